//! Which application answers a request.

use crate::config::Settings;
use crate::worker::request::vars::Request;

/// The mountpoints of the loaded applications, in load order.
#[derive(Clone, Debug, Default)]
pub struct Mounts {
    points: Vec<String>,
    default: Option<usize>,
    manage_script_name: bool,
}

impl Mounts {
    pub fn new(points: Vec<String>, settings: &Settings) -> Mounts {
        let default = points.iter().position(String::is_empty).filter(|_| !settings.apps.no_default_app);
        Mounts { points, default, manage_script_name: settings.apps.manage_script_name }
    }

    /// The index of the application for a request, whose SCRIPT_NAME and PATH_INFO are cut to fit when
    /// `manage-script-name` is set. `None`: no application answers here.
    #[inline]
    pub fn choose(&self, request: &mut Request) -> Option<usize> {
        if self.points.len() == 1 && self.default == Some(0) {
            return Some(0);
        }
        if self.manage_script_name
            && let Some((app, taken)) = self.longest(request.value_at(request.known.path_info))
        {
            // PEP 3333: the two together spell the path; a mountpoint's own last slash belongs to PATH_INFO.
            request.mount(&self.points[app].as_bytes()[..taken], taken);
            return Some(app);
        }
        self.exact(request).or(self.default)
    }

    /// No application is loaded.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The application that is mounted just where the request asks, the default one left aside.
    pub fn exact(&self, request: &Request) -> Option<usize> {
        let key = request.app_key();
        self.points.iter().position(|point| point.as_bytes() == key)
    }

    /// The application with the longest mountpoint that the path begins with, at a path boundary.
    fn longest(&self, path: &[u8]) -> Option<(usize, usize)> {
        let fits = |point: &String| {
            let prefix = point.trim_end_matches('/').as_bytes();
            let rest = path.strip_prefix(prefix)?;
            (!prefix.is_empty() && matches!(rest.first(), None | Some(b'/'))).then_some(prefix.len())
        };
        let candidates = self.points.iter().enumerate().filter_map(|(app, point)| Some((app, fits(point)?)));
        candidates.max_by_key(|&(app, taken)| (taken, std::cmp::Reverse(app)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::uwsgi;

    fn choose(points: &[&str], manage: bool, path: &str, script: Option<&str>) -> (Option<usize>, String) {
        let settings = Settings {
            apps: crate::config::Apps { manage_script_name: manage, ..Default::default() },
            ..Settings::default()
        };
        let mounts = Mounts::new(points.iter().map(|&point| point.to_owned()).collect(), &settings);
        let mut request = Request { text: vec![0; 4], ..Request::default() };
        uwsgi::push_var(&mut request.text, b"PATH_INFO", path.as_bytes()).unwrap();
        if let Some(script) = script {
            uwsgi::push_var(&mut request.text, b"SCRIPT_NAME", script.as_bytes()).unwrap();
        }
        request.index(request.text.len(), 10).unwrap();
        let app = mounts.choose(&mut request);
        let name = |index| String::from_utf8_lossy(request.value_at(index)).into_owned();
        (app, format!("{}|{}", name(request.known.script_name), name(request.known.path_info)))
    }

    #[test]
    fn the_longest_mountpoint_wins_at_a_boundary() {
        let points = ["", "/a", "/a/b", "/c/"];
        assert_eq!(choose(&points, true, "/a/b/x", None), (Some(2), "/a/b|/x".into()));
        assert_eq!(choose(&points, true, "/ab", None), (Some(0), "|/ab".into()));
        assert_eq!(choose(&points, true, "/a", None), (Some(1), "/a|".into()));
        assert_eq!(choose(&points, true, "/c/d", None), (Some(3), "/c|/d".into()));
        assert_eq!(choose(&points, true, "/c", None), (Some(3), "/c|".into()));
    }

    #[test]
    fn without_managing_script_name_decides() {
        assert_eq!(choose(&["/a", ""], false, "/x", Some("/a")), (Some(0), "/a|/x".into()));
        assert_eq!(choose(&["/a"], false, "/x", Some("/b")).0, None);
        assert_eq!(choose(&["/a"], false, "/x", None).0, None);
        assert_eq!(choose(&[], true, "/x", None).0, None);
    }
}

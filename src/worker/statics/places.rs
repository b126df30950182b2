//! Where files are that the server answers with by itself.

use super::types::Types;
use crate::base::reason::reason;
use crate::config::Settings;
use crate::config::statics::Map;
use crate::log;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// Where files are, ready to be looked up.
pub struct Statics {
    pub settings: Arc<Settings>,
    pub worker: u32,
    /// In the order in which they are looked at: uWSGI's.
    pub places: Vec<Place>,
    pub safe: Vec<CString>,
    pub types: Types,
    /// A Cache-Control of the server's would contradict that of `add-header`.
    pub has_cache_control: bool,
}

/// Paths that begin with `prefix` are below `root`.
pub struct Place {
    /// Without a slash at its end; empty for everything.
    pub prefix: Vec<u8>,
    pub root: CString,
    /// The prefix is part of the path below the root, too (`static-map2`).
    pub whole: bool,
    /// Somebody has mapped it, rather than asked to try.
    pub mapped: bool,
}

impl Place {
    fn checked(root: &Path) -> Option<Place> {
        Some(Place { prefix: Vec::new(), root: absolute(root)?, whole: false, mapped: false })
    }

    fn mapped(map: &Map, whole: bool) -> Option<Place> {
        Some(Place { prefix: map.prefix.clone().into(), root: absolute(&map.target)?, whole, mapped: true })
    }

    /// What of a path is below the root. The prefix ends where a part of the path ends.
    pub fn below<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let rest = path.strip_prefix(&self.prefix[..])?;
        let is_boundary = matches!(rest.first(), None | Some(b'/'));
        is_boundary.then_some(if self.whole { path } else { rest })
    }
}

/// The application may go elsewhere.
fn absolute(path: &Path) -> Option<CString> {
    CString::new(std::path::absolute(path).ok()?.as_os_str().as_bytes()).ok()
}

impl Statics {
    /// `None`: no request can be for a file.
    pub fn new(settings: &Arc<Settings>, worker: u32) -> Option<Statics> {
        let statics = &settings.statics;
        if statics.is_empty() {
            return None;
        }
        let checks = statics.checks.iter().filter_map(|root| Place::checked(root));
        let maps = statics.maps.iter().filter_map(|map| Place::mapped(map, false));
        let maps2 = statics.maps2.iter().filter_map(|map| Place::mapped(map, true));
        let complain = |file: &Path, error: &std::io::Error| {
            // Each worker reads it; one says so.
            if worker == 1 {
                log::say(&format!("cannot read {} (mime-file): {}", file.display(), reason(error)));
            }
        };
        Some(Statics {
            places: checks.chain(maps).chain(maps2).collect(),
            safe: statics.safe.iter().filter_map(|path| absolute(path)).collect(),
            types: Types::read(&statics.mime_files, complain),
            has_cache_control: has_header(settings, "Cache-Control"),
            settings: settings.clone(),
            worker,
        })
    }
}

fn has_header(settings: &Settings, name: &str) -> bool {
    settings.requests.add_headers.iter().any(|(is, _)| is.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_a_part_of_the_path_ends() {
        let below = |prefix: &str, path: &'static str, whole: bool| {
            let map = Map::parse(&format!("{prefix}=/srv")).unwrap();
            let place = Place::mapped(&map, whole).unwrap();
            place.below(path.as_bytes()).map(|rest| std::str::from_utf8(rest).unwrap())
        };
        assert_eq!(below("/static", "/static/a", false), Some("/a"));
        assert_eq!(below("/static", "/static/a", true), Some("/static/a"));
        assert_eq!(below("/static/", "/static", false), Some(""));
        assert_eq!(below("/static", "/staticfoo", false), None);
        assert_eq!(below("/static", "/stati", false), None);
        assert_eq!(below("/", "/a", false), Some("/a"));
        assert_eq!(below("/", "", false), Some(""));
        assert_eq!(below("/", "a", false), None);
    }
}

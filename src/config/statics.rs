//! Which files the server answers with by itself, and how.

use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::bytes::{Regex, RegexBuilder};

use super::{Apps, Settings, ValueError, Warning};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statics {
    /// Directories in which each request's path is looked up (`check-static`).
    pub checks: Vec<PathBuf>,
    /// The same in DOCUMENT_ROOT, as the front end names it.
    pub check_docroot: bool,
    pub maps: Vec<Map>,
    /// The same, with the whole path looked up below the directory (`static-map2`).
    pub maps2: Vec<Map>,
    /// Files that stand for their directory.
    pub index: Vec<String>,
    /// Ends of paths that are left to the application.
    pub skip: Vec<String>,
    /// Where symlinks may lead to beside the directory that they are in.
    pub safe: Vec<PathBuf>,
    pub mime_files: Vec<PathBuf>,
    pub expires: Vec<Expires>,
    pub compressed: Compressed,
    pub handing: Handing,
    /// Files are read and written, not sent by the kernel (`disable-sendfile`).
    pub copies: bool,
}

/// Paths that begin with `prefix` are files below `target`, or the file `target`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// Without a slash at its end; empty for everything.
    pub prefix: String,
    pub target: PathBuf,
}

/// How long clients and caches may keep an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Expires {
    pub of: Subject,
    pub time: Duration,
    /// Counted from the last change of the file rather than from now.
    pub from_change: bool,
}

/// What a rule about expiry looks at.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// The path of the file, without symlinks.
    File(Pattern),
    PathInfo(Pattern),
    Uri(Pattern),
    /// The Content-Type, as a whole.
    Type(String),
}

/// For which files `NAME.br` and `NAME.gz` are looked for: any of these.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compressed {
    pub all: bool,
    /// Beginnings and ends of the file's path, without symlinks, and patterns of it.
    pub prefixes: Vec<String>,
    pub suffixes: Vec<String>,
    pub patterns: Vec<Pattern>,
}

/// Who sends the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handing {
    #[default]
    Server,
    /// The front end, by X-Accel-Redirect or X-Sendfile.
    Accel,
    Sendfile,
}

/// A regular expression over bytes, equal to another of the same text.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Pattern {
    pub fn new(text: &str) -> Result<Pattern, ValueError> {
        // Paths are bytes; what uWSGI's PCRE matches in linear time means the same here.
        let built = RegexBuilder::new(text).unicode(false).build();
        built.map(Pattern).map_err(|error| {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let remedy = format!("{reason}; look-around and back references are not available");
            ValueError::new(format!("\"{text}\" is no regular expression"), &remedy)
        })
    }

    pub fn matches(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }
}

impl Statics {
    /// May a request be for a file at all?
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty() && self.maps.is_empty() && self.maps2.is_empty() && !self.check_docroot
    }
}

impl Settings {
    /// Is a server without an application what was meant?
    pub fn serves_files_only(&self) -> bool {
        let Apps { mounts, need_app, dynamic_apps, .. } = &self.apps;
        mounts.is_empty() && !need_app && !dynamic_apps && !self.statics.is_empty()
    }
}

/// Places that are not there. What is made later is found then, but most often it is a slip of the pen.
pub fn missing(settings: &Settings) -> Vec<Warning> {
    let Statics { checks, maps, maps2, safe, .. } = &settings.statics;
    let targets = |maps: &'static str, of: &[Map]| of.iter().map(|map| (maps, map.target.clone())).collect();
    let named = |name: &'static str, of: &[PathBuf]| of.iter().map(|path| (name, path.clone())).collect();
    let places: [Vec<(&str, PathBuf)>; 4] = [
        named("check-static", checks),
        targets("static-map", maps),
        targets("static-map2", maps2),
        named("static-safe", safe),
    ];
    let warning = |(name, path): (&str, PathBuf)| {
        let place = settings.instance.chdir.as_deref().unwrap_or(Path::new("")).join(&path);
        let shown = std::path::absolute(&place).unwrap_or(place);
        let text = format!("option \"{name}\": \"{}\" does not exist", shown.display());
        (!shown.exists()).then(|| Warning::new(&settings.origin_of_end(name, &path.to_string_lossy()), text))
    };
    places.into_iter().flatten().filter_map(warning).collect()
}

impl Map {
    /// `/path=directory`, or `/path=file`.
    pub fn parse(text: &str) -> Result<Map, ValueError> {
        match text.split_once('=') {
            Some((prefix, target)) if !target.is_empty() => Ok(Map {
                prefix: match prefix.trim_end_matches('/') {
                    "" => String::new(),
                    prefix => format!("/{}", prefix.trim_start_matches('/')),
                },
                target: target.into(),
            }),
            _ => Err(ValueError::new(format!("\"{text}\" maps nothing"), "write /path=directory")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_has_two_sides() {
        let map = |text| Map::parse(text).map(|map| (map.prefix, map.target));
        assert_eq!(map("/static=/srv/a=b"), Ok(("/static".into(), "/srv/a=b".into())));
        assert_eq!(map("/static/=/srv/"), Ok(("/static".into(), "/srv/".into())));
        assert_eq!(map("static=x"), Ok(("/static".into(), "x".into())));
        assert_eq!(map("/=x"), Ok(("".into(), "x".into())));
        assert!(map("/static").is_err() && map("/static=").is_err());
    }

    #[test]
    fn patterns_are_bytes() {
        assert!(Pattern::new(r"\.(css|js)$").unwrap().matches(b"/a.css"));
        assert!(Pattern::new(r"(?i)\d.\.png").unwrap().matches(b"1\xe9.PNG"));
        assert!(Pattern::new("(").is_err() && Pattern::new("a(?=b)").is_err());
    }
}

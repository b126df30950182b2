//! From a request's path to an open file, never beyond the directories that were named.

use super::places::{Place, Statics};
use crate::log;
use crate::sys::files::{self, Kind, Metadata};
use crate::worker::request::vars::Request;
use std::ffi::{CStr, CString};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// A regular file, open for reading.
pub struct Found {
    pub file: OwnedFd,
    pub facts: Metadata,
    /// The directory that it was looked up in; its path below it stands in the caller's buffer. `None`: the file itself was
    /// named in the configuration.
    pub root: Option<OwnedFd>,
}

pub enum Lookup {
    /// The request is the application's.
    Nothing,
    File(Found),
    /// A directory with an index, asked for without its slash.
    Directory,
    /// It is there and may not be read.
    Forbidden(Error),
    /// The system has no descriptor or memory left, or the disk is broken.
    Failed(Error),
}

impl Statics {
    /// Looks in each place, until there is a file. `path` is a buffer: it gets the file's path below its root, with NUL.
    pub fn find(&self, request: &Request, path: &mut Vec<u8>) -> Lookup {
        let path_info = request.value_at(request.known.path_info);
        if self.is_skipped(path_info) {
            return Lookup::Nothing;
        }
        for place in &self.places {
            match self.look(place, path_info, path) {
                Lookup::Nothing => {}
                found => return found,
            }
        }
        if self.settings.statics.check_docroot
            && let Some(root) = request.find(b"DOCUMENT_ROOT").and_then(|root| CString::new(root).ok())
        {
            let place = Place { prefix: Vec::new(), root, whole: false, mapped: false };
            return self.look(&place, path_info, path);
        }
        Lookup::Nothing
    }

    fn look(&self, place: &Place, path_info: &[u8], path: &mut Vec<u8>) -> Lookup {
        let Some(below) = place.below(path_info) else { return Lookup::Nothing };
        if !put_path(below, path) {
            return Lookup::Nothing;
        }
        match self.open(place, below.last() == Some(&b'/'), path) {
            Ok(lookup) => lookup,
            Err(error) if files::is_absent(&error) => Lookup::Nothing,
            // What is only tried may be the application's after all.
            Err(error) if error.kind() == ErrorKind::PermissionDenied && !place.mapped => Lookup::Nothing,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Lookup::Forbidden(error),
            Err(error) => Lookup::Failed(error),
        }
    }

    fn open(&self, place: &Place, has_slash: bool, path: &mut Vec<u8>) -> Result<Lookup> {
        let root = files::place(&place.root)?;
        let opened = match self.open_below(root.as_fd(), path) {
            // Not a directory: the place is a file, which stands for everything below.
            Err(error) if error.kind() == ErrorKind::NotADirectory && place.mapped => {
                return self.open_itself(root, path);
            }
            opened => opened?,
        };
        let Some((file, facts)) = opened else { return Ok(Lookup::Nothing) };
        match facts.kind {
            Kind::Regular if !has_slash && !self.is_skipped(path) => {
                Ok(Lookup::File(Found { file, facts, root: Some(root) }))
            }
            Kind::Directory => self.find_index(root, has_slash, path),
            _ => Ok(Lookup::Nothing),
        }
    }

    fn open_itself(&self, place: OwnedFd, path: &mut Vec<u8>) -> Result<Lookup> {
        let facts = files::facts(place.as_fd())?;
        if facts.kind != Kind::Regular {
            return Ok(Lookup::Nothing);
        }
        let file = files::open_place(place.as_fd())?;
        let real = files::real_path(file.as_fd())?;
        path.clear();
        path.extend_from_slice(real.file_name().unwrap_or_default().as_bytes());
        path.push(0);
        Ok(Lookup::File(Found { file, facts, root: None }))
    }

    fn find_index(&self, root: OwnedFd, has_slash: bool, path: &mut Vec<u8>) -> Result<Lookup> {
        path.pop();
        let length = path.len();
        for index in &self.settings.statics.index {
            path.truncate(length);
            path.push(b'/');
            path.extend_from_slice(index.as_bytes());
            path.push(0);
            match self.open_below(root.as_fd(), path) {
                Ok(Some((file, facts))) if facts.kind == Kind::Regular && !self.is_skipped(path) => {
                    return Ok(if has_slash {
                        Lookup::File(Found { file, facts, root: Some(root) })
                    } else {
                        Lookup::Directory
                    });
                }
                Err(error) if !files::is_absent(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(Lookup::Nothing)
    }

    /// Is what ends so the application's? A path below a root has its NUL.
    fn is_skipped(&self, path: &[u8]) -> bool {
        let path = path.strip_suffix(b"\0").unwrap_or(path);
        self.settings.statics.skip.iter().any(|end| path.ends_with(end.as_bytes()))
    }

    /// Opens what a path below a root leads to. `None`: it leads out, to where nothing may be served from.
    pub fn open_below(&self, root: BorrowedFd<'_>, path: &[u8]) -> Result<Option<(OwnedFd, Metadata)>> {
        let path = CStr::from_bytes_with_nul(path).map_err(|_| Error::from(ErrorKind::NotFound))?;
        match files::open_beneath(root, path) {
            Ok(file) => files::facts(file.as_fd()).map(|facts| Some((file, facts))),
            Err(error) if files::is_elsewhere(&error) => self.open_elsewhere(root, path),
            Err(error) => Err(error),
        }
    }

    /// A symlink leads out of the root, or names its target from `/` on. First the place it leads to is held, then looked
    /// at, then opened: what happens to the path meanwhile does not matter.
    fn open_elsewhere(&self, root: BorrowedFd<'_>, path: &CStr) -> Result<Option<(OwnedFd, Metadata)>> {
        let place = files::place_from(root, path)?;
        let real = files::real_path(place.as_fd())?;
        let is_in = |root: BorrowedFd<'_>| files::real_path(root).is_ok_and(|root| real.starts_with(root));
        let is_safe = |root: &CString| files::place(root).is_ok_and(|root| is_in(root.as_fd()));
        if !is_in(root) && !self.safe.iter().any(is_safe) {
            let root = files::real_path(root).unwrap_or_default();
            log::say(&format!(
                "worker {}: {} is not below {}, and not served; static-safe names where symlinks may lead to",
                self.worker,
                real.display(),
                root.display()
            ));
            return Ok(None);
        }
        let facts = files::facts(place.as_fd())?;
        if facts.kind != Kind::Regular {
            return Ok(Some((place, facts)));
        }
        let file = files::open_place(place.as_fd())?;
        Ok(Some((file, facts)))
    }
}

/// Writes a path as it is below a root: without empty parts, with NUL. `false`: one that climbs, or holds a NUL, names no file.
fn put_path(path: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return false,
            part if part.contains(&0) => return false,
            part => {
                if !out.is_empty() {
                    out.push(b'/');
                }
                out.extend_from_slice(part);
            }
        }
    }
    if out.is_empty() {
        out.push(b'.');
    }
    out.push(0);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below() {
        let put = |path: &str| {
            let mut out = Vec::new();
            put_path(path.as_bytes(), &mut out).then(|| String::from_utf8(out).unwrap())
        };
        for (path, expected) in [
            ("", ".\0"),
            ("/", ".\0"),
            ("/a/b", "a/b\0"),
            ("//a//./b/", "a/b\0"),
            ("/...", "...\0"),
            ("/a..b", "a..b\0"),
            ("/..\\a", "..\\a\0"),
            ("/%2e%2e/a", "%2e%2e/a\0"),
        ] {
            assert_eq!(put(path).as_deref(), Some(expected), "{path}");
        }
        for path in ["..", "/..", "/a/../b", "/a/..", "../a", "/a\0b"] {
            assert_eq!(put(path), None, "{path}");
        }
    }
}

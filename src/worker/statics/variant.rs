//! The file that is sent in place of the one that was asked for: the same, compressed, if the client can read it.

use super::find::Found;
use super::places::Statics;
use crate::config::statics::{Handing, Subject};
use crate::proto::http::coding;
use crate::sys::files::{self, Kind, Metadata};
use std::cmp::Reverse;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

/// Codings and the ends of their files' names, in the order of preference.
const CODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

pub struct Variant {
    /// Until it is sent.
    pub file: Option<OwnedFd>,
    pub facts: Metadata,
    pub coding: Option<&'static str>,
    /// With another Accept-Encoding it could have been another one.
    pub varies: bool,
    /// The path of the file that was asked for, without symlinks; empty where no rule looks at it.
    pub real: Vec<u8>,
}

impl Statics {
    /// `path` is that of the file below its root, with NUL.
    pub fn choose(&self, found: Found, path: &mut Vec<u8>, accepted: &[u8]) -> Variant {
        let real = match self.looks_at_path() {
            true => files::real_path(found.file.as_fd()).unwrap_or_default().into_os_string().into_vec(),
            false => Vec::new(),
        };
        let varies = self.may_be_compressed(&real);
        let compressed = if varies { self.compressed(&found, path, accepted) } else { None };
        let (coding, file, facts) = match compressed {
            Some((coding, file, facts)) => (Some(coding), file, facts),
            None => (None, found.file, found.facts),
        };
        Variant { file: Some(file), facts, coding, varies, real }
    }

    fn looks_at_path(&self) -> bool {
        let rules = &self.settings.statics;
        let compressed = &rules.compressed;
        !(compressed.prefixes.is_empty() && compressed.suffixes.is_empty() && compressed.patterns.is_empty())
            || rules.handing != Handing::Server
            || rules.expires.iter().any(|rule| matches!(rule.of, Subject::File(_)))
    }

    fn may_be_compressed(&self, real: &[u8]) -> bool {
        let rules = &self.settings.statics.compressed;
        rules.all
            || rules.prefixes.iter().any(|prefix| real.starts_with(prefix.as_bytes()))
            || rules.suffixes.iter().any(|suffix| real.ends_with(suffix.as_bytes()))
            || rules.patterns.iter().any(|pattern| pattern.matches(real))
    }

    /// The file with another end to its name that the client likes best.
    fn compressed(
        &self,
        found: &Found,
        path: &mut Vec<u8>,
        accepted: &[u8],
    ) -> Option<(&'static str, OwnedFd, Metadata)> {
        let root = found.root.as_ref()?;
        let mut codings = CODINGS.map(|(name, end)| (coding::weight(accepted, name.as_bytes()), name, end));
        // Stable: of equal weights ours goes first.
        codings.sort_by_key(|(weight, ..)| Reverse(*weight));
        let length = path.len() - 1;
        codings.into_iter().filter(|(weight, ..)| *weight > 0).find_map(|(_, name, end)| {
            path.truncate(length);
            path.extend_from_slice(end.as_bytes());
            path.push(0);
            let (file, facts) = self.open_below(root.as_fd(), path).ok()??;
            (facts.kind == Kind::Regular).then_some((name, file, facts))
        })
    }
}

//! `stats-push = file:…`: the document of the stats server, appended to a file.

use super::health::Health;
use crate::sys::owned_files::Place;
use std::io::{Error, ErrorKind, Result, Write};
use std::path::{Path, PathBuf};

pub struct FilePusher {
    path: PathBuf,
    separator: String,
    health: Health,
}

impl FilePusher {
    pub fn new(path: &Path, separator: &str) -> FilePusher {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let health = Health::new(format!("stats-push to {}", path.display()));
        FilePusher { path, separator: separator.to_owned(), health }
    }

    pub fn push(&mut self, document: &str) {
        match self.append(document) {
            Ok(()) => self.health.note(None),
            Err(error) => self.health.note_error(error),
        }
    }

    /// A FIFO would let its reader hold the master up.
    fn append(&self, document: &str) -> Result<()> {
        let mut file = Place::find(&self.path)?.open_log(false)?;
        if !file.metadata()?.is_file() {
            return Err(Error::new(ErrorKind::InvalidInput, "it is no regular file"));
        }
        let before = file.metadata()?.len();
        let written = file.write_all(format!("{document}{}", self.separator).as_bytes());
        if written.is_err() {
            // A full disk: nobody can read half a document, nor the next one behind it.
            let _ = file.set_len(before);
        }
        written
    }
}

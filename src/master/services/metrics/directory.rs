//! `metrics-dir`: the value of each metric in a file of its own, written when it has changed.

use super::number_file;
use crate::base::reason::reason;
use crate::log;
use crate::shm::metrics::Metrics;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};

#[derive(Default)]
pub struct Directory {
    path: Option<PathBuf>,
    /// By place.
    written: Vec<Option<i64>>,
    /// The log has it already that files cannot be written.
    is_failing: bool,
}

impl Directory {
    pub fn configure(&mut self, path: Option<&Path>) {
        let path = path.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        if path != self.path {
            *self = Directory { path, ..Directory::default() };
        }
    }

    /// # Errors
    /// It is not there. A server that starts ought to say so.
    pub fn check(&self) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let explain = |why: String| Error::other(format!("metrics-dir {}: {why}; make it", path.display()));
        match path.metadata() {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) => Err(explain("it is no directory".to_owned())),
            Err(error) => Err(explain(reason(error))),
        }
    }

    /// The value that a metric had when its file was written last.
    pub fn read(&self, name: &str) -> Option<i64> {
        number_file::read(&self.path.as_ref()?.join(name), 0).ok()
    }

    pub fn keep(&mut self, values: &Metrics) {
        let Some(path) = &self.path else { return };
        self.written.resize(values.list().len(), None);
        let mut failure = None;
        for (at, metric) in values.list().iter().enumerate() {
            let value = Some(values.get(at));
            if self.written[at] == value {
                continue;
            }
            match number_file::write(&path.join(&*metric.name), values.get(at)) {
                Ok(()) => self.written[at] = value,
                Err(error) => failure = Some(error),
            }
        }
        self.note(failure);
    }

    /// Says once that it does not work, and once that it does again.
    fn note(&mut self, failure: Option<Error>) {
        let was_failing = std::mem::replace(&mut self.is_failing, failure.is_some());
        let path = self.path.as_deref().unwrap_or(Path::new("")).display();
        match failure {
            Some(error) if !was_failing => {
                log::say(&format!("metrics-dir {path}: cannot write all metrics: {}", reason(error)));
            }
            None if was_failing => log::say(&format!("metrics-dir {path}: all metrics are written again")),
            _ => {}
        }
    }
}

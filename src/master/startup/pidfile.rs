//! Files with the master's pid: two kinds by when they are made, each before or after root is given up.

use crate::base::reason::reason;
use crate::config::Settings;
use crate::log;
use crate::sys::owned_files::{Owner, Place};
use crate::sys::process;
use std::fs::File;
use std::io::{Error, ErrorKind, Result, Seek, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// When a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Start,
    /// The first generation serves: a server that cannot start leaves the file of another alone.
    Ready,
}

#[derive(Clone, Debug)]
pub struct PidFile {
    option: &'static str,
    path: PathBuf,
    pub when: When,
    /// Opened by root, for the server's user to write.
    file: Option<Arc<File>>,
    /// It was not there before.
    is_new: bool,
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn listed(all: [(&'static str, &Option<PathBuf>, When); 2]) -> Vec<PidFile> {
    let named = all.into_iter().filter_map(|(option, path, when)| Some((option, path.as_ref()?, when)));
    named
        .map(|(option, path, when)| PidFile { option, path: absolute(path), when, file: None, is_new: false })
        .collect()
}

/// Those whose paths are relative to the directory before `chdir`.
pub fn before_chdir(settings: &Settings) -> Vec<PidFile> {
    listed([
        ("pidfile", &settings.instance.pidfiles.first, When::Start),
        ("safe-pidfile", &settings.instance.pidfiles.safe, When::Ready),
    ])
}

pub fn after_chdir(settings: &Settings) -> Vec<PidFile> {
    listed([
        ("pidfile2", &settings.instance.pidfiles.second, When::Start),
        ("safe-pidfile2", &settings.instance.pidfiles.safe_second, When::Ready),
    ])
}

impl PidFile {
    /// The file is written later, as another user, which a new file belongs to. Its content stays until then.
    pub fn open_for(&mut self, owner: Owner) -> std::result::Result<(), String> {
        let opened = Place::find(&self.path).and_then(|place| place.open_for(owner));
        let (file, is_new) = opened.map_err(|error| self.explain(error))?;
        (self.file, self.is_new) = (Some(Arc::new(file)), is_new);
        Ok(())
    }

    /// The open file, which children must not have: it may be more than their user could open.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.file.as_ref().map(|file| file.as_raw_fd())
    }

    pub fn write(&self) -> std::result::Result<(), String> {
        let open = || Place::find(&self.path)?.open_for(Owner::default()).map(|(file, _)| Arc::new(file));
        let file = self.file.clone().map_or_else(open, Ok);
        file.and_then(|file| replace_content(&file)).map_err(|error| self.explain(error))
    }

    fn explain(&self, error: Error) -> String {
        format!("cannot write {} {}: {}", self.option, self.path.display(), reason(error))
    }

    /// Removes the file if it is still this server's.
    pub fn remove(&self) -> std::result::Result<(), String> {
        match self.remove_own() {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(format!(
                "vacuum cannot remove {} {}: {}",
                self.option,
                self.path.display(),
                reason(error)
            )),
            _ => Ok(()),
        }
    }

    /// Was it made for a pid that was never written?
    fn is_unused(&self) -> bool {
        let is_empty =
            |file: &Arc<File>| file.metadata().is_ok_and(|facts| facts.is_file() && facts.len() == 0);
        self.is_new && self.file.as_ref().is_some_and(is_empty)
    }

    fn remove_empty(&self) -> Result<()> {
        let is_empty = Place::find(&self.path)?.read()?.is_empty();
        if is_empty { Place::find_name(&self.path)?.remove() } else { Ok(()) }
    }

    fn remove_own(&self) -> Result<()> {
        let is_own = Place::find(&self.path)?.read()?.trim() == process::pid().to_string();
        if is_own { Place::find_name(&self.path)?.remove() } else { Ok(()) }
    }
}

/// Removes the files of a server that has not begun to serve, as far as the user that it has become may do that.
pub fn remove_unused(files: &[PidFile]) {
    for file in files.iter().filter(|file| file.is_unused()) {
        if let Err(error) = file.remove_empty() {
            log::say(&format!(
                "cannot remove {} {}, which is empty: {}",
                file.option,
                file.path.display(),
                reason(error)
            ));
        }
    }
}

fn replace_content(mut file: &File) -> Result<()> {
    // A device has neither length nor place.
    if file.metadata()?.is_file() {
        file.set_len(0)?;
        file.rewind()?;
    }
    file.write_all(format!("{}\n", process::pid()).as_bytes())
}

//! Files with the master's pid: two kinds by when they are made, each before or after root is given up.

use crate::base::reason::reason;
use crate::config::Settings;
use crate::sys::{process, user};
use std::fs::OpenOptions;
use std::io::Result;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// When a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Start,
    /// The first generation serves: a server that cannot start leaves the file of another alone.
    Ready,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PidFile {
    option: &'static str,
    path: PathBuf,
    pub when: When,
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn listed(all: [(&'static str, &Option<PathBuf>, When); 2]) -> Vec<PidFile> {
    let named = all.into_iter().filter_map(|(option, path, when)| Some((option, path.as_ref()?, when)));
    named.map(|(option, path, when)| PidFile { option, path: absolute(path), when }).collect()
}

/// Those that stand under names as they are before `chdir`.
pub fn before_chdir(settings: &Settings) -> Vec<PidFile> {
    listed([
        ("pidfile", &settings.pidfile, When::Start),
        ("safe-pidfile", &settings.pidfiles.safe, When::Ready),
    ])
}

pub fn after_chdir(settings: &Settings) -> Vec<PidFile> {
    listed([
        ("pidfile2", &settings.pidfiles.second, When::Start),
        ("safe-pidfile2", &settings.pidfiles.safe_second, When::Ready),
    ])
}

impl PidFile {
    /// The file is written later, as another user: makes it now, owned by that user.
    pub fn make_for(&self, uid: Option<u32>, gid: Option<u32>) -> std::result::Result<(), String> {
        let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(&self.path);
        made.and_then(|_| user::chown(&self.path, uid, gid)).map_err(|error| self.explain(error))
    }

    pub fn write(&self) -> std::result::Result<(), String> {
        std::fs::write(&self.path, format!("{}\n", process::pid())).map_err(|error| self.explain(error))
    }

    fn explain(&self, error: std::io::Error) -> String {
        format!("cannot write {} {}: {}", self.option, self.path.display(), reason(error))
    }

    /// Removes the file if it is still this server's.
    pub fn remove(&self) -> Result<()> {
        match std::fs::read_to_string(&self.path)?.trim() == process::pid().to_string() {
            true => std::fs::remove_file(&self.path),
            false => Ok(()),
        }
    }
}

//! `py-autoreload`: a thread of the first worker that looks whether imported modules have changed on disk. It is there, and
//! not in the zygote, because much of a site is imported by its first requests.

use crate::base::reason::reason;
use crate::log;
use crate::shm::scoreboard::{Command, RestartRequest};
use crate::worker::shared::Shared;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// When each file was changed last, and how long it is.
pub type Known = HashMap<PathBuf, (SystemTime, u64)>;

/// The modules as they were when the application had been loaded: a worker may be forked long after.
pub fn known(py: Python<'_>, ignored: &[String]) -> Known {
    let files = files(py, ignored).unwrap_or_default().into_iter();
    files.filter_map(|(_, path)| state(&path).map(|state| (path, state))).collect()
}

fn state(path: &Path) -> Option<(SystemTime, u64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}

pub fn start(shared: &Arc<Shared>, interval: Duration, mut known: Known) {
    let shared = shared.clone();
    let started = std::thread::Builder::new().name("rwsgi autoreload".to_owned()).spawn(move || {
        while matches!(shared.lifeline.command(), Command::Serve | Command::Pause) {
            look(&shared, &mut known);
            std::thread::sleep(interval);
        }
    });
    if let Err(error) = started {
        log::say(&format!("py-autoreload cannot be used: {}", reason(error)));
    }
}

fn look(shared: &Shared, known: &mut Known) {
    let ignored = &shared.context.settings.watch.python_ignore;
    let files = Python::attach(|py| files(py, ignored)).unwrap_or_default();
    for (name, path) in files {
        let Some(now) = state(&path) else { continue };
        if known.insert(path.clone(), now).is_some_and(|before| before != now) {
            log::say(&format!("py-autoreload: {name} has changed ({})", path.display()));
            shared.lifeline.request_restart(RestartRequest::Reload);
        }
    }
}

/// The modules that have been imported from files. What only acts as a module is left alone: asking might import.
fn files(py: Python<'_>, ignored: &[String]) -> PyResult<Vec<(String, PathBuf)>> {
    let modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?.copy()?;
    let mut found = Vec::with_capacity(modules.len());
    for (name, module) in modules {
        let (Ok(name), Ok(module)) = (name.extract::<String>(), module.cast::<PyModule>()) else { continue };
        let file = module.dict().get_item(intern!(py, "__file__"))?;
        if let Some(path) = file.and_then(|file| file.extract::<PathBuf>().ok())
            && !ignored.contains(&name)
        {
            found.push((name, path));
        }
    }
    Ok(found)
}

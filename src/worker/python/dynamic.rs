//! Applications that a request names (`dynamic-apps`). Loaded once in each worker, at the first
//! request for a mountpoint that no configured application has.

use super::app::{attribute, callable};
use super::imports::run_file;
use crate::log;
use crate::worker::request::vars::Request;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

/// Whoever may name code may also invent names: so many are kept.
const MAX_APPS: usize = 256;

/// The applications that requests have named, by mountpoint.
#[derive(Default)]
pub struct Dynamic {
    apps: Mutex<HashMap<Vec<u8>, Py<PyAny>>>,
}

impl Dynamic {
    /// The application that a request names, loaded if it is not yet.
    pub fn find<'py>(&self, py: Python<'py>, request: &Request) -> PyResult<Bound<'py, PyAny>> {
        let mountpoint = request.app_key().to_vec();
        if let Some(app) = self.lock().get(&mountpoint) {
            return Ok(app.bind(py).clone());
        }
        // Not under the lock: an import runs any code.
        let app = load(py, request)?;
        let mut apps = self.lock();
        if apps.len() >= MAX_APPS {
            return Err(PyValueError::new_err(format!(
                "more than {MAX_APPS} applications are named by requests"
            )));
        }
        let known = apps.entry(mountpoint.clone()).or_insert_with(|| app.clone().unbind());
        log::say(&format!("loaded a dynamic application for mountpoint '{}'", mountpoint.escape_ascii()));
        Ok(known.bind(py).clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<u8>, Py<PyAny>>> {
        self.apps.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn load<'py>(py: Python<'py>, request: &Request) -> PyResult<Bound<'py, PyAny>> {
    let text = |key: &[u8]| request.find(key).map(|value| String::from_utf8_lossy(value).into_owned());
    if let Some((name, value)) = text(b"UWSGI_SETENV").as_deref().and_then(|pair| pair.split_once('=')) {
        py.import("os")?.getattr("environ")?.set_item(name, value)?;
    }
    if let Some(dir) = text(b"UWSGI_CHDIR") {
        py.import("os")?.call_method1("chdir", (dir,))?;
    }
    let name = text(b"UWSGI_CALLABLE").unwrap_or_else(|| "application".to_owned());
    if let Some(path) = text(b"UWSGI_FILE") {
        return callable(attribute(&run_file(py, Path::new(&path))?, &name)?, &name);
    }
    let spelled = text(b"UWSGI_SCRIPT").or_else(|| text(b"UWSGI_MODULE"));
    let spelled = spelled.ok_or_else(|| PyValueError::new_err("the request names no module or file"))?;
    let (module, name) = spelled.split_once(':').unwrap_or((&spelled, &name));
    let module = py.import("importlib")?.call_method1("import_module", (module,))?;
    callable(attribute(&module, name)?, name)
}

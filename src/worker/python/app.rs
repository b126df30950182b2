//! Finding the applications: paths, modules, files, callables.

use super::exceptions::traceback;
use super::imports::run_file;
use crate::base::reason::reason;
use crate::config::{App, AppSource, Settings};
use crate::log;
use pyo3::exceptions::{PyAttributeError, PyFileNotFoundError, PyImportError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::path::Path;

/// The loaded applications and where they are mounted, in load order.
#[derive(Default)]
pub struct Apps {
    pub callables: Vec<Py<PyAny>>,
    pub points: Vec<String>,
}

/// Readies sys.path, sys.argv and the environment as the settings want them, then loads every application. What fails is
/// in the log; `None` when nothing could be loaded.
pub fn load(py: Python<'_>, settings: &Settings, object: Option<&Py<PyAny>>) -> Option<Apps> {
    if let Err(error) = prepare(py, settings) {
        log::say(&format!("cannot prepare the interpreter\n{}", traceback(py, &error)));
        return None;
    }
    super::imports::run(py, &settings.python.shared_imports, "shared-import");
    let mut apps = Apps::default();
    let mut failed = false;
    for app in &settings.apps.mounts {
        match find(py, app, object) {
            Ok(callable) => {
                apps.callables.push(callable.unbind());
                apps.points.push(app.mountpoint.clone());
            }
            Err(error) => {
                failed = true;
                complain(py, settings, app, &error);
            }
        }
    }
    if let Some(dir) = &settings.python.chdir2
        && let Err(error) = std::env::set_current_dir(dir)
    {
        log::say(&format!("cannot chdir to {} (chdir2): {}", dir.display(), reason(error)));
        return None;
    }
    if settings.apps.mounts.is_empty() && (settings.apps.dynamic_apps || settings.serves_files_only()) {
        return Some(apps);
    }
    if settings.apps.mounts.is_empty() {
        log::say("no application is named: use module, wsgi-file or mount (rwsgi --help lists the options)");
    }
    (!failed && !apps.callables.is_empty()).then_some(apps)
}

fn complain(py: Python<'_>, settings: &Settings, app: &App, error: &PyErr) {
    let what = match &app.source {
        AppSource::Module(module) => format!("module {module}"),
        AppSource::File(path) => format!("file {}", path.display()),
        AppSource::Object => "the object given to serve()".to_owned(),
    };
    let mut text = format!(
        "cannot load the application from {what} ({}, mountpoint '{}')\n{}",
        app.origin,
        app.mountpoint,
        traceback(py, error)
    );
    if let AppSource::Module(module) = &app.source
        && is_missing(py, error, module)
    {
        let here = std::env::current_dir().map_or_else(|_| "?".into(), |dir| dir.display().to_string());
        let paths: Vec<_> =
            settings.python.pythonpath.iter().map(|path| path.display().to_string()).collect();
        text.push_str(&format!(
            "There is no module {module} in {here}{}: set chdir or pythonpath to the directory that holds it.",
            if paths.is_empty() { String::new() } else { format!(" or {}", paths.join(", ")) }
        ));
    }
    if error.is_instance_of::<PyAttributeError>(py) {
        if let Some(likely) = likely_callable(py, app) {
            text.push_str(&format!("It has a callable named {likely}: say so with callable = {likely}."));
        } else if let Some(likely) = likely_module(py, app) {
            text.push_str(&format!("There is a module {likely}: say so with module = {likely}."));
        }
    }
    log::say(text.trim_end());
}

/// A name in the module that might be what was meant.
fn likely_callable(py: Python<'_>, app: &App) -> Option<String> {
    let AppSource::Module(name) = &app.source else { return None };
    let module = py.import("sys").ok()?.getattr("modules").ok()?.get_item(name).ok()?;
    let names = ["application", "app", "wsgi_app", "wsgi", "create_app", "make_app"];
    let is_callable = |name: &&str| module.getattr(*name).is_ok_and(|object| object.is_callable());
    names.into_iter().find(is_callable).map(|name| {
        if name.ends_with("_app") && name != "wsgi_app" { format!("{name}()") } else { name.to_owned() }
    })
}

/// Of a Django project the package is named, and its wsgi.py is meant.
fn likely_module(py: Python<'_>, app: &App) -> Option<String> {
    let AppSource::Module(name) = &app.source else { return None };
    let likely = format!("{name}.wsgi");
    let found = py.import("importlib.util").ok()?.call_method1("find_spec", (&likely,)).ok()?;
    (!found.is_none()).then_some(likely)
}

/// Is it the named module itself that cannot be found, not something that it imports?
fn is_missing(py: Python<'_>, error: &PyErr, module: &str) -> bool {
    let name: Option<String> = error
        .is_instance_of::<PyImportError>(py)
        .then(|| error.value(py).getattr("name").ok()?.extract().ok())
        .flatten();
    name.is_some_and(|name| module == name || module.starts_with(&format!("{name}.")))
}

fn prepare(py: Python<'_>, settings: &Settings) -> PyResult<()> {
    let sys = py.import("sys")?;
    ready_streams(&sys)?;
    super::imports::optimize(py, settings.python.optimize)?;
    let os_environ = py.import("os")?.getattr("environ")?;
    for name in &settings.python.unenv {
        os_environ.call_method1("pop", (name, py.None()))?;
    }
    for (name, value) in &settings.python.env {
        os_environ.set_item(name, value)?;
    }
    if let Some(home) = &settings.python.virtualenv {
        enter_virtualenv(py, home)?;
    }
    let path = sys.getattr("path")?.cast_into::<PyList>()?;
    let here = std::env::current_dir()?;
    for dir in std::iter::once(&here).chain(&settings.python.pythonpath) {
        path.insert(0, text(dir))?;
    }
    let mut arguments = vec!["rwsgi".to_owned()];
    arguments
        .extend(settings.python.pyargv.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned));
    sys.setattr("argv", arguments)
}

/// What the application prints is in the log at once; streams that were closed at start are there.
fn ready_streams(sys: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = sys.py();
    for (name, number) in [("stdout", 1), ("stderr", 2)] {
        let stream = sys.getattr(name)?;
        if stream.is_none() {
            let options = PyDict::new(py);
            options.set_item("buffering", 1)?;
            options.set_item("errors", "backslashreplace")?;
            options.set_item("closefd", false)?;
            let stream = py.import("io")?.call_method("open", (number, "w"), Some(&options))?;
            sys.setattr(name, &stream)?;
            sys.setattr(format!("__{name}__"), stream)?;
        } else if let Some(reconfigure) = stream.getattr_opt("reconfigure")? {
            let options = PyDict::new(py);
            options.set_item("line_buffering", true)?;
            reconfigure.call((), Some(&options))?;
        }
    }
    Ok(())
}

/// Puts a virtualenv's packages in front, as its own interpreter would.
fn enter_virtualenv(py: Python<'_>, home: &Path) -> PyResult<()> {
    let sys = py.import("sys")?;
    let version = sys.getattr("version_info")?;
    let (major, minor): (u32, u32) = (version.get_item(0)?.extract()?, version.get_item(1)?.extract()?);
    let packages = home.join(format!("lib/python{major}.{minor}/site-packages"));
    if !packages.is_dir() {
        return Err(PyImportError::new_err(format!(
            "{} is no virtualenv of Python {major}.{minor}: it has no {}. rwsgi runs in the Python that started it; \
             install it into that virtualenv and start it from there",
            home.display(),
            packages.display()
        )));
    }
    let home = home.canonicalize()?;
    let prefix: std::path::PathBuf = sys.getattr("prefix")?.extract()?;
    if prefix.canonicalize().is_ok_and(|prefix| prefix == home) {
        return Ok(());
    }
    let path = sys.getattr("path")?.cast_into::<PyList>()?;
    let before = path.len();
    py.import("site")?.call_method1("addsitedir", (text(&packages),))?;
    // addsitedir appends; the virtualenv's packages come before those of the outer interpreter.
    let added = path.get_slice(before, path.len());
    path.del_slice(before, path.len())?;
    path.set_slice(0, 0, &added)?;
    sys.setattr("prefix", text(&home))?;
    sys.setattr("exec_prefix", text(&home))?;
    py.import("os")?.getattr("environ")?.set_item("VIRTUAL_ENV", text(&home))
}

/// A path as Python's own functions have it: a str, never a pathlib object.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn find<'py>(py: Python<'py>, app: &App, object: Option<&Py<PyAny>>) -> PyResult<Bound<'py, PyAny>> {
    let found = match &app.source {
        AppSource::Object => {
            let object = object.ok_or_else(|| PyTypeError::new_err("serve() was given no application"))?;
            return callable(object.bind(py).clone(), "the object");
        }
        AppSource::Module(module) => attribute(py.import(module.as_str())?.as_any(), &app.callable)?,
        AppSource::File(path) if !path.exists() => {
            let here = std::env::current_dir().unwrap_or_default();
            let path = here.join(path);
            return Err(PyFileNotFoundError::new_err(format!("there is no file {}", path.display())));
        }
        AppSource::File(path) => attribute(&run_file(py, path)?, &app.callable)?,
    };
    callable(found, &app.callable)
}

pub(super) fn callable<'py>(object: Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    if object.is_callable() {
        return Ok(object);
    }
    let kind = object.get_type().name()?.to_string();
    Err(PyTypeError::new_err(format!("{name} is no WSGI application: {kind} objects cannot be called")))
}

/// A name in a module, dotted if need be; `name()` calls a factory.
pub(super) fn attribute<'py>(module: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let (path, is_factory) = match name.strip_suffix("()") {
        Some(path) => (path, true),
        None => (name, false),
    };
    let mut object = module.clone();
    for part in path.split('.') {
        object = object.getattr(part)?;
    }
    if is_factory { object.call0() } else { Ok(object) }
}

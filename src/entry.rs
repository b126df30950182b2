//! Layer 7: the one place where the layers are wired together, and what Python sees of it.

use crate::config::{self, Action, Loaded, Settings, Sources, check};
use crate::log;
use crate::master;
use crate::master::configuration::{Configuration, Read};
use crate::top;
use crate::worker::application::Application;
use crate::worker::python::Interpreter;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PyString, PyTuple};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

pyo3::create_exception!(
    rwsgi,
    ConfigError,
    PyValueError,
    "An option is unknown, or its value is wrong. The message names the option and where it was written."
);
pyo3::create_exception!(
    rwsgi,
    BootError,
    PyRuntimeError,
    "The application could not be loaded, or the server not set up."
);

fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect()
}

/// What a reload reads. A source that can be read but once is not read again: what it said stays.
fn reader(sources: Sources, loaded: &Loaded) -> Read {
    if sources.arguments.iter().enumerate().any(|(at, _)| is_read_once(&sources.arguments, at)) {
        let loaded = loaded.clone();
        return Box::new(move || loaded.clone().with_certificates());
    }
    Box::new(move || config::load(&sources))
}

/// Is this argument a configuration on standard input or on a descriptor?
fn is_read_once(arguments: &[String], at: usize) -> bool {
    const FILES: [&str; 8] = ["ini", "xml", "yaml", "json", "toml", "config", "include", "inherit"];
    let is_once = |name: &str| name == "-" || name.starts_with("fd://");
    let names_file = |option: &str| option.strip_prefix("--").is_some_and(|name| FILES.contains(&name));
    let argument = arguments[at].as_str();
    match argument.split_once('=') {
        Some((option, name)) => names_file(option) && is_once(name),
        None => {
            let before = at.checked_sub(1).map(|before| arguments[before].as_str());
            let is_value = before.is_some_and(|before| before.starts_with('-') && !before.contains('='));
            is_once(argument) && (!is_value || before.is_some_and(names_file))
        }
    }
}

fn serve_loaded(mut loaded: Loaded, sources: Sources, object: Option<Py<PyAny>>) -> i32 {
    log::start();
    log::set_date_format(loaded.settings.log.date.as_deref());
    for message in &loaded.messages {
        log::say(message);
    }
    loaded.warnings.extend(config::statics::missing(&loaded.settings));
    for warning in &loaded.warnings {
        log::say(&format!("warning: {warning}"));
    }
    if loaded.settings.instance.show_config {
        print(&config::show(&loaded.settings));
    }
    let mut configuration = Configuration::new(reader(sources, &loaded));
    configuration.set_said(&loaded);
    master::startup::serve::serve(&mut Interpreter::new(object), loaded.settings, configuration)
}

fn print(text: &str) {
    // A closed pipe behind --help is no error.
    let mut output = std::io::stdout();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

/// What `rwsgi check` wants to know of this Python.
fn python() -> Option<check::Python> {
    Python::attach(|py| {
        let version = py.version_info();
        let path: Vec<String> = py.import("sys").ok()?.getattr("path").ok()?.extract().ok()?;
        Some(check::Python {
            version: (version.major, version.minor),
            path: path.into_iter().map(PathBuf::from).collect(),
            knows: |name| Python::attach(|py| finds(py, name).unwrap_or(false)),
            load: loads,
        })
    })
}

/// Nothing is imported for a name without a dot.
fn finds(py: Python<'_>, name: &str) -> PyResult<bool> {
    Ok(!py.import("importlib.util")?.call_method1("find_spec", (name,))?.is_none())
}

/// What the application prints must not get into the report.
fn loads(settings: &Settings) -> bool {
    let moved = Python::attach(|py| -> PyResult<()> {
        let sys = py.import("sys")?;
        sys.setattr("stdout", sys.getattr("stderr")?)
    });
    let here = settings.instance.chdir.as_ref().map_or(Ok(()), std::env::set_current_dir);
    moved.is_ok() && here.is_ok() && Interpreter::new(None).load(settings).is_ok()
}

/// `rwsgi check`, `rwsgi init` and the like; `None`: the arguments are those of a server.
fn run_command(sources: &Sources) -> Option<i32> {
    let (input, output) = (std::io::stdin(), std::io::stdout());
    let is_interview = sources.arguments == ["init"] && input.is_terminal() && output.is_terminal();
    let outcome = if is_interview {
        let ask = |question: &str, default: &str| {
            print(&format!("{question} [{default}]: "));
            let mut line = String::new();
            let read = input.read_line(&mut line).ok()?;
            (read > 0).then_some(line)
        };
        match config::init::interview(ask) {
            Some(site) => config::init::outcome(&site, Path::new("."), false, false),
            None => return Some(1),
        }
    } else {
        config::command(sources, output.is_terminal(), python().as_ref())?
    };
    if let Err(error) = outcome.write() {
        eprintln!("rwsgi: {}", log::printable(&error.to_string()));
        return Some(2);
    }
    eprint!("{}", outcome.errors);
    print(&outcome.output);
    Some(i32::from(outcome.status))
}

/// Runs the command line (without the program's name) and returns the exit status. Errors are printed.
#[pyfunction]
pub fn main(argv: Vec<String>) -> i32 {
    let sources = Sources { environment: environment(), arguments: argv, ..Sources::default() };
    if let Some((_, arguments)) = sources.arguments.split_first().filter(|(command, _)| *command == "top") {
        return top::run(arguments);
    }
    let command = sources.arguments.split_first();
    if let Some(status) = command.and_then(|(name, words)| top::commands::run(name, words)) {
        return status;
    }
    if let Some(status) = run_command(&sources) {
        return status;
    }
    match config::load(&sources) {
        Ok(loaded) => match loaded.action {
            Action::Serve => serve_loaded(loaded, sources, None),
            Action::Help => {
                print(&config::help());
                0
            }
            Action::Exit(status) => i32::from(status),
            Action::Version => {
                print(concat!(env!("CARGO_PKG_VERSION"), "\n"));
                0
            }
        },
        Err(error) => {
            eprintln!("rwsgi: {}", log::printable(&error.to_string()));
            1
        }
    }
}

/// Serves `app` (an object, `module:callable`, or None) with options of the command line, underscores for hyphens.
/// Blocks until the server has stopped.
#[pyfunction]
#[pyo3(signature = (app, options))]
pub fn serve(app: Option<Bound<'_, PyAny>>, options: &Bound<'_, PyDict>) -> PyResult<()> {
    let mut keywords = Keywords::new();
    let mut object = None;
    match app {
        None => {}
        Some(app) => match app.cast::<PyString>() {
            Ok(name) => keywords.push(("module".to_owned(), Some(name.to_string()))),
            Err(_) if app.is_callable() => object = Some(app.unbind()),
            Err(_) => return Err(PyTypeError::new_err("app must be a WSGI callable or the name of one")),
        },
    }
    push_keywords(&mut keywords, options)?;
    let sources =
        Sources { environment: environment(), keywords, object: object.is_some(), ..Sources::default() };
    let loaded = config::load(&sources).map_err(|error| config_error(options.py(), &error))?;
    let status = serve_loaded(loaded, sources, object);
    master::startup::serve::reset_signals();
    match status {
        0 => Ok(()),
        status => Err(BootError::new_err(format!("the server ended with status {status}; its log says why"))),
    }
}

type Keywords = Vec<(String, Option<String>)>;

fn push_keywords(keywords: &mut Keywords, options: &Bound<'_, PyDict>) -> PyResult<()> {
    options.iter().try_for_each(|(name, value)| {
        let name = name.cast::<PyString>()?.to_string().replace('_', "-");
        push_keyword(keywords, &name, &value)
    })
}

fn push_keyword(keywords: &mut Keywords, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        for item in value.try_iter()? {
            push_keyword(keywords, name, &item?)?;
        }
        return Ok(());
    }
    if value.is_none() {
        return Ok(());
    }
    let text = match value.cast::<PyBool>() {
        Ok(flag) => if flag.is_true() { "true" } else { "false" }.to_owned(),
        Err(_) => value.str()?.to_string(),
    };
    keywords.push((name.to_owned(), Some(text)));
    Ok(())
}

/// The message, and where Python code finds the file and the line of it.
fn config_error(py: Python<'_>, error: &config::ConfigError) -> PyErr {
    let exception = ConfigError::new_err(error.to_string());
    if let config::Origin::File { path, line } = &error.origin {
        let value = exception.value(py);
        let _ = value.setattr("file", path).and_then(|()| value.setattr("line", line));
    }
    exception
}

/// Text, file and line.
pub type Place = (String, Option<String>, Option<u32>);

fn place(origin: &config::Origin) -> Place {
    let text = origin.to_string();
    match origin {
        config::Origin::File { path, line } => (text, Some(path.clone()), Some(*line)),
        _ => (text, None, None),
    }
}

#[derive(IntoPyObject)]
pub enum Meaning {
    Switch(bool),
    Number(u64),
    Text(String),
}

impl From<config::Meaning> for Meaning {
    fn from(meaning: config::Meaning) -> Meaning {
        match meaning {
            config::Meaning::Switch(on) => Meaning::Switch(on),
            config::Meaning::Number(number) => Meaning::Number(number),
            config::Meaning::Text(text) => Meaning::Text(text),
        }
    }
}

/// Spellings, whether it repeats, value, place.
pub type Value = (Vec<&'static str>, bool, Meaning, Place);
/// What stands in the files (name, value, place), what it means, and the warnings (text, place).
pub type Pieces = (Vec<(String, Option<String>, Place)>, Vec<Value>, Vec<(String, Place)>);

/// Reads a configuration without starting anything. The checked and documented form is `rwsgi.load_config`.
#[pyfunction]
pub fn load_config(path: String, options: &Bound<'_, PyDict>) -> PyResult<Pieces> {
    let mut keywords = vec![("config".to_owned(), Some(path))];
    push_keywords(&mut keywords, options)?;
    let caller = config::Caller::LoadConfig;
    let sources = Sources { environment: environment(), keywords, caller, ..Sources::default() };
    let loaded = config::load(&sources).map_err(|error| config_error(options.py(), &error))?;
    let values = config::values(&loaded.settings, config::is_built).into_iter().map(|value| {
        let names = value.row.spellings().collect();
        (names, value.row.repeats, value.meaning().into(), place(&value.origin))
    });
    let values = values.collect();
    let written = loaded.settings.written.into_iter().map(|w| (w.name, w.value, place(&w.origin))).collect();
    let warnings = loaded.warnings.into_iter().map(|w| (w.text, place(&w.origin))).collect();
    Ok((written, values, warnings))
}

/// The module that `python/rwsgi` is built around.
#[pymodule(gil_used = false)]
pub fn _rwsgi(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    let config_error = module.py().get_type::<ConfigError>();
    config_error.setattr("file", module.py().None())?;
    config_error.setattr("line", module.py().None())?;
    module.add("ConfigError", config_error)?;
    module.add("BootError", module.py().get_type::<BootError>())?;
    module.add("HarakiriTimeout", module.py().get_type::<crate::worker::python::HarakiriTimeout>())?;
    module.add_function(wrap_pyfunction!(main, module)?)?;
    module.add_function(wrap_pyfunction!(load_config, module)?)?;
    module.add_function(wrap_pyfunction!(serve, module)?)
}

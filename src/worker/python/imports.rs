//! What is imported beside the applications, and how modules are compiled.

use super::exceptions::traceback;
use crate::log;
use pyo3::intern;
use pyo3::prelude::*;
use std::path::Path;

/// Imports modules, or executes files; one that fails is named in the log and costs nothing else, as in uWSGI.
pub fn run(py: Python<'_>, names: &[String], option: &str) {
    for name in names {
        let is_file = name.contains('/') || name.ends_with(".py");
        let imported = if is_file {
            run_file(py, Path::new(name)).map(drop)
        } else {
            py.import("importlib").and_then(|it| it.call_method1("import_module", (name,))).map(drop)
        };
        if let Err(error) = imported {
            log::say(&format!("cannot import {name} ({option})\n{}", traceback(py, &error)));
        }
    }
}

/// Compiles every module that is imported from now on as `-O` does. The interpreter runs already, so that its own level is
/// fixed (`sys.flags.optimize`); the import system takes the level as a keyword, whose default is ours to set.
pub fn optimize(py: Python<'_>, level: u8) -> PyResult<()> {
    if level == 0 {
        return Ok(());
    }
    let machinery = py.import("importlib._bootstrap_external")?;
    let defaults = intern!(py, "__kwdefaults__");
    let compile = machinery.getattr("SourceLoader")?.getattr("source_to_code")?;
    compile.getattr(defaults)?.set_item("_optimize", level.min(2))?;
    // So that bytecode of one level is not taken for that of another.
    machinery.getattr("cache_from_source")?.getattr(defaults)?.set_item("optimization", level.min(2))
}

/// Executes a file as a module of its own, named as uWSGI names it.
pub(super) fn run_file<'py>(py: Python<'py>, path: &Path) -> PyResult<Bound<'py, PyAny>> {
    // A str, never a pathlib object, as Python's own functions have it.
    let path = path.to_string_lossy().into_owned();
    let stem = path.replace(['/', '.'], "_");
    let name = format!("uwsgi_file_{}", stem.strip_suffix("_py").unwrap_or(&stem));
    let machinery = py.import("importlib.machinery")?;
    let util = py.import("importlib.util")?;
    let loader = machinery.getattr("SourceFileLoader")?.call1((&name, &path))?;
    let spec = util.call_method1("spec_from_loader", (&name, &loader))?;
    let module = util.call_method1("module_from_spec", (&spec,))?;
    py.import("sys")?.getattr("modules")?.set_item(&name, &module)?;
    loader.call_method1("exec_module", (&module,))?;
    Ok(module)
}

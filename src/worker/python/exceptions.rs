//! Exceptions of the application: as text, and those after which a worker is replaced (`reload-on-exception` and similar
//! options).

use crate::config::Recycle;
use pyo3::prelude::*;

/// The traceback as Python prints it, in one piece.
pub fn traceback(py: Python<'_>, error: &PyErr) -> String {
    let format = || -> PyResult<String> {
        let parts = (error.get_type(py), error.value(py), error.traceback(py));
        let lines = py.import("traceback")?.call_method1("format_exception", parts)?;
        let text = "".into_pyobject(py)?.call_method1("join", (lines,))?;
        // Names of files may hold bytes that are no text: lone surrogates (PEP 383).
        text.call_method1("encode", ("utf-8", "backslashreplace"))?
            .call_method1("decode", ("utf-8",))?
            .extract()
    };
    format().unwrap_or_else(|_| error.to_string())
}

/// Does the configuration want a new worker after this exception?
pub fn ask_for_reload(py: Python<'_>, recycle: &Recycle, error: &PyErr) -> bool {
    if recycle.on_exception {
        return true;
    }
    let (types, values) = (&recycle.on_exception_type, &recycle.on_exception_value);
    let reprs = &recycle.on_exception_repr;
    if types.is_empty() && values.is_empty() && reprs.is_empty() {
        return false;
    }
    let kind = error.get_type(py);
    let name = kind.name().map_or_else(|_| String::new(), |name| name.to_string());
    let full = kind.fully_qualified_name().map_or_else(|_| name.clone(), |name| name.to_string());
    let module = kind.module().map_or_else(|_| String::new(), |module| module.to_string());
    // A type of the builtins has two spellings too: uWSGI's has the module.
    let names = [name.clone(), full, format!("{module}.{name}")];
    let text = error.value(py).str().map_or_else(|_| String::new(), |text| text.to_string());
    types.iter().any(|wanted| names.contains(wanted))
        || values.contains(&text)
        || reprs.iter().any(|wanted| names.iter().any(|name| is_repr(wanted, name, &text)))
}

/// `TYPE:TEXT`, a blank behind the colon or not.
fn is_repr(wanted: &str, name: &str, text: &str) -> bool {
    let rest = wanted.strip_prefix(name).and_then(|rest| rest.strip_prefix(':'));
    rest.is_some_and(|rest| rest == text || rest.strip_prefix(' ') == Some(text))
}

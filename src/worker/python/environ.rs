//! The environ of a request.
//!
//! A front end sends the same variables in the same order with almost every request, and most of their values are those
//! of the request before. So each core keeps the last environ, untouched by the app: the next one is that dict with the
//! changed values replaced, and the app gets a copy, which CPython makes in one piece.

use super::ffi;
use crate::worker::request::vars::{Request, Var};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::collections::HashMap;

/// Names that are kept as ready objects; a client can invent any number of header names.
const MAX_NAMES: usize = 512;

pub struct Environ {
    /// What every environ of this core has: the `wsgi.` variables and the like.
    base: Py<PyDict>,
    last: Option<Last>,
    names: HashMap<Box<[u8]>, Py<PyString>>,
    scheme: Vec<u8>,
}

/// The environ of the request before, and the packet that it was made of.
struct Last {
    dict: Py<PyDict>,
    text: Vec<u8>,
    vars: Vec<Var>,
    keys: Vec<Py<PyString>>,
    /// No variable came twice: a position can stand for its key.
    plain: bool,
}

impl Environ {
    pub fn new(base: Bound<'_, PyDict>) -> Environ {
        Environ { base: base.unbind(), last: None, names: HashMap::new(), scheme: Vec::new() }
    }

    /// Puts an object into this and all coming environs.
    pub fn set_fixed(&mut self, key: &Bound<'_, PyString>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = key.py();
        self.base.bind(py).set_item(key, value)?;
        if let Some(last) = &self.last {
            last.dict.bind(py).set_item(key, value)?;
        }
        Ok(())
    }

    /// The environ of a request, the caller's to change.
    pub fn build<'py>(&mut self, py: Python<'py>, request: &Request) -> PyResult<Bound<'py, PyDict>> {
        if self.scheme != request.scheme() {
            self.scheme = request.scheme().to_vec();
            let scheme = ffi::latin1(py, &self.scheme)?;
            self.set_fixed(intern!(py, "wsgi.url_scheme"), scheme.as_any())?;
        }
        match &mut self.last {
            Some(last) if last.fits(request) => last.update(py, request)?,
            _ => self.rebuild(py, request)?,
        }
        match &self.last {
            Some(last) => last.dict.bind(py).copy(),
            None => self.base.bind(py).copy(),
        }
    }

    fn rebuild(&mut self, py: Python<'_>, request: &Request) -> PyResult<()> {
        let dict = self.base.bind(py).copy()?;
        let fixed = dict.len();
        let mut keys = Vec::with_capacity(request.vars.len());
        for var in &request.vars {
            let key = self.name(py, request.get(var.key))?;
            dict.set_item(&key, ffi::latin1(py, request.get(var.value))?)?;
            keys.push(key.unbind());
        }
        // The base has an empty SCRIPT_NAME, which PEP 3333 wants and front ends leave out.
        let replaced = usize::from(request.known.script_name.is_some());
        let plain = dict.len() + replaced == fixed + keys.len();
        let (text, vars) = (request.text.clone(), request.vars.clone());
        self.last = Some(Last { dict: dict.unbind(), text, vars, keys, plain });
        Ok(())
    }

    fn name<'py>(&mut self, py: Python<'py>, name: &[u8]) -> PyResult<Bound<'py, PyString>> {
        if let Some(known) = self.names.get(name) {
            return Ok(known.bind(py).clone());
        }
        let made = ffi::latin1(py, name)?;
        if self.names.len() < MAX_NAMES {
            self.names.insert(name.into(), made.clone().unbind());
        }
        Ok(made)
    }
}

impl Last {
    /// Does a request have the same variables in the same order?
    fn fits(&self, request: &Request) -> bool {
        let same = |(old, new): (&Var, &Var)| self.text[old.key.range()] == *request.get(new.key);
        self.plain && self.vars.len() == request.vars.len() && self.vars.iter().zip(&request.vars).all(same)
    }

    fn update(&mut self, py: Python<'_>, request: &Request) -> PyResult<()> {
        let dict = self.dict.bind(py);
        for (index, (old, new)) in self.vars.iter().zip(&request.vars).enumerate() {
            let value = request.get(new.value);
            if self.text[old.value.range()] != *value {
                dict.set_item(&self.keys[index], ffi::latin1(py, value)?)?;
            }
        }
        self.text.clear();
        self.text.extend_from_slice(&request.text);
        self.vars.clear();
        self.vars.extend_from_slice(&request.vars);
        Ok(())
    }
}

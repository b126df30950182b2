//! `start_response`, and the `write` that it returns.

use super::ffi;
use crate::sys::process;
use crate::worker::exchange::{Exchange, Gone};
use pyo3::exceptions::{PyAssertionError, PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::sync::{Arc, Mutex, MutexGuard};

/// What the application calls to set status and headers (PEP 3333).
#[pyclass(frozen, module = "rwsgi._rwsgi")]
pub struct StartResponse {
    exchange: Arc<Mutex<Exchange>>,
    serial: AtomicU64,
    write: Py<Write>,
}

/// The `write` callable that start_response returns.
#[pyclass(frozen, module = "rwsgi._rwsgi")]
pub struct Write {
    exchange: Arc<Mutex<Exchange>>,
    serial: AtomicU64,
}

fn over() -> PyErr {
    PyValueError::new_err("the request has ended; its answer cannot be changed any more")
}

fn lock<'a>(exchange: &'a Mutex<Exchange>, serial: &AtomicU64) -> PyResult<MutexGuard<'a, Exchange>> {
    let exchange = exchange.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if exchange.serial == serial.load(Relaxed) { Ok(exchange) } else { Err(over()) }
}

impl StartResponse {
    pub fn new(py: Python<'_>, exchange: Arc<Mutex<Exchange>>) -> PyResult<StartResponse> {
        let write = Py::new(py, Write { exchange: exchange.clone(), serial: AtomicU64::new(0) })?;
        Ok(StartResponse { exchange, serial: AtomicU64::new(0), write })
    }

    /// From now on this object answers the request with this number.
    pub fn attach_to(&self, py: Python<'_>, serial: u64) {
        self.serial.store(serial, Relaxed);
        self.write.bind(py).get().serial.store(serial, Relaxed);
    }

    /// Does anybody but this object hold its `write`?
    pub fn write_is_held(&self) -> bool {
        ffi::references(&self.write) > 1
    }
}

#[pymethods]
impl StartResponse {
    #[pyo3(signature = (status, headers, exc_info = None, /))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        status: &Bound<'py, PyAny>,
        headers: &Bound<'py, PyAny>,
        exc_info: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Py<Write>> {
        let exc_info = exc_info.filter(|info| !info.is_none());
        let mut exchange = lock(&self.exchange, &self.serial)?;
        if exchange.head_sent() {
            drop(exchange);
            return Err(match exc_info {
                Some(info) => exception_of(info)?,
                None => PyAssertionError::new_err("start_response was called after the headers were sent"),
            });
        }
        if exchange.head.is_set() && exc_info.is_none() {
            return Err(PyAssertionError::new_err(
                "start_response was called a second time without exc_info",
            ));
        }
        let result = set_head(&mut exchange, status, headers);
        if result.is_err() {
            exchange.head.clear();
        }
        result.map(|()| self.write.clone_ref(py))
    }
}

/// The exception of an exc_info tuple, to be raised again.
fn exception_of(info: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    Ok(PyErr::from_value(info.get_item(1)?))
}

fn set_head(exchange: &mut Exchange, status: &Bound<'_, PyAny>, headers: &Bound<'_, PyAny>) -> PyResult<()> {
    let status = text(status, "the status")?;
    let refused = |error: crate::proto::http::response::HeadError, what: &[u8]| {
        PyValueError::new_err(format!("{error}: {}", what.escape_ascii()))
    };
    exchange.start(status).map_err(|error| refused(error, status))?;
    let Ok(headers) = headers.cast::<PyList>() else {
        return Err(wrong_type("the headers must be a list", headers));
    };
    for header in headers {
        let pair = header.cast::<PyTuple>().map_err(|_| wrong_type("a header must be a tuple", &header))?;
        if pair.len() != 2 {
            return Err(wrong_type("a header must be a tuple of a name and a value", &header));
        }
        let (name, value) = (pair.get_borrowed_item(0)?, pair.get_borrowed_item(1)?);
        let name = text(&name, "a header name")?;
        let value = text(&value, "a header value")?;
        exchange.head.header(name, value).map_err(|error| refused(error, name))?;
    }
    Ok(())
}

fn wrong_type(what: &str, object: &Bound<'_, PyAny>) -> PyErr {
    let kind = object.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("{what}, not {kind}"))
}

#[inline]
fn text<'a>(object: &'a Bound<'_, PyAny>, what: &str) -> PyResult<&'a [u8]> {
    let text = object.cast::<PyString>().map_err(|_| wrong_type(&format!("{what} must be a str"), object))?;
    ffi::latin1_bytes(text)
        .ok_or_else(|| PyValueError::new_err(format!("{what} has characters outside Latin-1: {text:?}")))
}

#[pymethods]
impl Write {
    fn __call__(&self, py: Python<'_>, data: &Bound<'_, PyBytes>) -> PyResult<()> {
        if process::is_copy() {
            // The answer is the parent's, and what is shared with it says how far it is.
            return Ok(());
        }
        let mut exchange = lock(&self.exchange, &self.serial)?;
        if !exchange.head.is_set() {
            return Err(PyAssertionError::new_err("write() before start_response"));
        }
        let data = data.as_bytes();
        if data.is_empty() {
            return Ok(());
        }
        let result = exchange.write(data);
        let (flushed, tells) = (exchange.is_flushed(), exchange.tells_gone());
        drop(exchange);
        let sent = match result {
            Ok(taken) if taken == data.len() && flushed => Ok(()),
            Ok(taken) => {
                let rest = &data[taken..];
                py.detach(|| -> PyResult<_> { Ok(lock(&self.exchange, &self.serial)?.write_rest(rest)) })?
            }
            Err(Gone) => Err(Gone),
        };
        match sent {
            Err(Gone) if tells => Err(PyOSError::new_err("the client closed the connection")),
            _ => Ok(()),
        }
    }
}

//! `start_response`, and the `write` that it returns.

use super::{attached, ffi};
use crate::proto::http::response::HeadError;
use crate::sys::process;
use crate::worker::response::wait::SharedExchange;
use crate::worker::response::{Exchange, WriteError};
use pyo3::exceptions::{PyAssertionError, PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::*};

/// What the application calls to set status and headers (PEP 3333).
#[pyclass(frozen, module = "rwsgi._rwsgi")]
pub struct StartResponse {
    exchange: Arc<SharedExchange>,
    serial: AtomicU64,
    write: Py<Write>,
}

/// The `write` callable that start_response returns.
#[pyclass(frozen, module = "rwsgi._rwsgi")]
pub struct Write {
    exchange: Arc<SharedExchange>,
    serial: AtomicU64,
}

fn over() -> PyErr {
    PyValueError::new_err("the request has ended; its answer cannot be changed any more")
}

impl StartResponse {
    pub fn new(py: Python<'_>, exchange: Arc<SharedExchange>) -> PyResult<StartResponse> {
        let write = Py::new(py, Write { exchange: exchange.clone(), serial: AtomicU64::new(0) })?;
        Ok(StartResponse { exchange, serial: AtomicU64::new(0), write })
    }

    /// From now on this object answers the request with this number.
    pub fn attach_to(&self, py: Python<'_>, serial: u64) {
        self.serial.store(serial, Relaxed);
        self.write.bind(py).get().serial.store(serial, Relaxed);
    }

    /// Does anything but this object hold its `write`?
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
        if process::is_copy() {
            return Ok(self.write.clone_ref(py));
        }
        let exc_info = exc_info.filter(|info| !info.is_none());
        let mut exchange = attached::lock(py, &self.exchange);
        if exchange.serial != self.serial.load(Relaxed) {
            drop(exchange);
            return Err(over());
        }
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
        drop(exchange);
        // Only now: an exception's text may be made by code of the application.
        result.map_err(HeadFault::raise)?;
        Ok(self.write.clone_ref(py))
    }
}

/// The exception of an exc_info tuple, to be raised again.
fn exception_of(info: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    Ok(PyErr::from_value(info.get_item(1)?))
}

/// What is wrong with a status or with headers.
enum HeadFault<'py> {
    Type(&'static str, Bound<'py, PyAny>),
    NotLatin1(&'static str, Bound<'py, PyAny>),
    Refused(HeadError, Vec<u8>),
}

impl HeadFault<'_> {
    fn raise(self) -> PyErr {
        match self {
            HeadFault::Type(what, object) => {
                let kind = object.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
                PyTypeError::new_err(format!("{what}, not {kind}"))
            }
            HeadFault::NotLatin1(what, text) => {
                PyValueError::new_err(format!("{what} has characters outside Latin-1: {text:?}"))
            }
            HeadFault::Refused(error, what) => {
                PyValueError::new_err(format!("{error}: {}", what.escape_ascii()))
            }
        }
    }
}

/// The exchange is locked: nothing here runs code of the application.
fn set_head<'py>(
    exchange: &mut Exchange,
    status: &Bound<'py, PyAny>,
    headers: &Bound<'py, PyAny>,
) -> Result<(), HeadFault<'py>> {
    let status = text(status, STATUS)?;
    exchange.start(status).map_err(|error| HeadFault::Refused(error, status.to_vec()))?;
    let Ok(headers) = headers.cast::<PyList>() else {
        return Err(HeadFault::Type("the headers must be a list", headers.clone()));
    };
    for header in headers {
        let Ok(pair) = header.cast::<PyTuple>() else {
            return Err(HeadFault::Type("a header must be a tuple", header));
        };
        let (Ok(name), Ok(value), 2) = (pair.get_borrowed_item(0), pair.get_borrowed_item(1), pair.len())
        else {
            return Err(HeadFault::Type("a header must be a tuple of a name and a value", header));
        };
        let (name, value) = (text(&name, NAME)?, text(&value, VALUE)?);
        exchange.head.header(name, value).map_err(|error| HeadFault::Refused(error, name.to_vec()))?;
    }
    Ok(())
}

/// A text of the head: what it is called, and what it is called when it is no str.
type Called = (&'static str, &'static str);
const STATUS: Called = ("the status", "the status must be a str");
const NAME: Called = ("a header name", "a header name must be a str");
const VALUE: Called = ("a header value", "a header value must be a str");

#[inline]
fn text<'a, 'py>(object: &'a Bound<'py, PyAny>, called: Called) -> Result<&'a [u8], HeadFault<'py>> {
    let Ok(text) = object.cast::<PyString>() else {
        return Err(HeadFault::Type(called.1, object.clone()));
    };
    ffi::latin1_bytes(text).ok_or_else(|| HeadFault::NotLatin1(called.0, object.clone()))
}

/// What write() raises when the answer has all that it may have.
pub const COMPLETE: &str = "the answer is complete: nothing more can be sent";

#[pymethods]
impl Write {
    fn __call__(&self, py: Python<'_>, data: &Bound<'_, PyBytes>) -> PyResult<()> {
        if process::is_copy() {
            // The answer is the parent's, and what is shared with it says how far it is.
            return Ok(());
        }
        let serial = self.serial.load(Relaxed);
        let mut exchange = attached::lock(py, &self.exchange);
        let (is_over, is_set, tells) =
            (exchange.serial != serial, exchange.head.is_set(), exchange.tells_gone());
        let data = data.as_bytes();
        let is_gone = !is_over && data.is_empty() && exchange.look_for_client();
        drop(exchange);
        if is_over {
            return Err(over());
        }
        if !is_set {
            return Err(PyAssertionError::new_err("write() before start_response"));
        }
        let written = match (is_gone, data.is_empty()) {
            (true, _) => Err(WriteError::Gone),
            (false, true) => Ok(()),
            (false, false) => attached::write(py, &self.exchange, serial, data),
        };
        match written {
            Err(WriteError::Over) => Err(over()),
            Err(WriteError::Gone) if tells => Err(PyOSError::new_err("the client closed the connection")),
            Err(WriteError::Complete) if tells => Err(PyOSError::new_err(COMPLETE)),
            _ => Ok(()),
        }
    }
}

//! `wsgi.input`.

use super::attached;
use crate::net::client::Client;
use crate::worker::body::Body;
use crate::worker::body::error::BodyError;
use crate::worker::body::reader::Want;
use crate::worker::response::wait::SharedExchange;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::*};

/// The body of the request. Reads never go past its end and never touch the next request; once the request is over,
/// they raise.
#[pyclass(frozen, module = "rwsgi._rwsgi")]
pub struct Input {
    exchange: Arc<SharedExchange>,
    serial: AtomicU64,
}

/// Copying more than this is worth letting go of the interpreter.
const ATTACHED: usize = 64 * 1024;

fn raise(error: BodyError) -> PyErr {
    match error {
        BodyError::Over => PyValueError::new_err(error.to_string()),
        _ => PyOSError::new_err(error.to_string()),
    }
}

impl Input {
    pub fn new(exchange: Arc<SharedExchange>) -> Input {
        Input { exchange, serial: AtomicU64::new(0) }
    }

    /// From now on this object reads the body of the request with this number.
    pub fn attach_to(&self, serial: u64) {
        self.serial.store(serial, Relaxed);
    }

    fn serial(&self) -> u64 {
        self.serial.load(Relaxed)
    }

    /// What a read is going to give, and whether all of it is here.
    fn known_length(&self, most: u64) -> Option<(usize, bool)> {
        let exchange = self.exchange.try_lock()?;
        if exchange.serial != self.serial() {
            return None;
        }
        let length = exchange.body.known_length(most)?;
        Some((length, length <= ATTACHED && exchange.body.is_ready_for(length as u64)))
    }

    /// So many bytes, straight into the object that the app gets; fewer when another thread has read some of them.
    fn fill<'py>(&self, py: Python<'py>, length: usize, is_here: bool) -> PyResult<Bound<'py, PyBytes>> {
        let mut filled = 0;
        let bytes = PyBytes::new_with(py, length, |out| {
            let mut step = |body: &mut Body, client: &mut Client| body.fill(client, out, &mut filled);
            attached::read(py, &self.exchange, self.serial(), is_here, &mut step).map_err(raise)
        })?;
        Ok(if filled == length { bytes } else { PyBytes::new(py, &bytes.as_bytes()[..filled]) })
    }

    /// Up to `most` bytes. What is there already is taken at once; to wait for the client the thread lets go of the
    /// interpreter.
    fn take(&self, py: Python<'_>, most: u64, line: bool) -> PyResult<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut want = Want { most, line };
        let mut step = |body: &mut Body, client: &mut Client| body.read(client, &mut want, &mut bytes);
        let is_here = self.is_ready_for(most);
        attached::read(py, &self.exchange, self.serial(), is_here, &mut step).map_err(raise)?;
        Ok(bytes)
    }

    fn is_ready_for(&self, most: u64) -> bool {
        self.exchange.try_lock().is_some_and(|exchange| exchange.body.is_ready_for(most))
    }
}

/// A size as Python's files take it: nothing, None or a negative number mean "all".
fn limit(size: Option<i64>) -> u64 {
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(u64::MAX)
}

/// Where the body is read from next; or why nothing is changed.
fn seek(body: &mut Body, position: i64, whence: u8) -> Result<u64, &'static str> {
    if !body.is_seekable() {
        return Err("wsgi.input can only seek with post-buffering");
    }
    let length = body.buffered_len() as i64;
    let from = match whence {
        0 => 0,
        1 => body.tell() as i64,
        2 => length,
        _ => return Err("whence must be 0, 1 or 2"),
    };
    let to = from.saturating_add(position);
    if !(0..=length).contains(&to) {
        return Err("wsgi.input cannot seek outside the body");
    }
    body.seek(to as u64);
    Ok(to as u64)
}

#[pymethods]
impl Input {
    /// At most `size` bytes, fewer only at the end of the body. Raises OSError when the body is broken.
    #[pyo3(signature = (size = None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        let most = limit(size);
        match self.known_length(most) {
            Some((length, is_here)) => self.fill(py, length, is_here),
            None => Ok(PyBytes::new(py, &self.take(py, most, false)?)),
        }
    }

    /// One line with its newline, cut at `size` bytes.
    #[pyo3(signature = (size = None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.take(py, limit(size), true)?))
    }

    /// The lines of the body, until they are `hint` bytes long together.
    #[pyo3(signature = (hint = None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<i64>) -> PyResult<Bound<'py, PyList>> {
        let most = hint.filter(|&hint| hint > 0).map_or(u64::MAX, |hint| hint as u64);
        let lines = PyList::empty(py);
        let mut total = 0;
        while total < most {
            let line = self.take(py, u64::MAX, true)?;
            if line.is_empty() {
                break;
            }
            total += line.len() as u64;
            lines.append(PyBytes::new(py, &line))?;
        }
        Ok(lines)
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = self.take(py, u64::MAX, true)?;
        Ok((!line.is_empty()).then(|| PyBytes::new(py, &line)))
    }

    /// Nothing: the server closes the body.
    fn close(&self) {}

    /// Goes to a place of the body; only with `post-buffering`.
    #[pyo3(signature = (position, whence = 0, /))]
    fn seek(&self, py: Python<'_>, position: i64, whence: u8) -> PyResult<u64> {
        let mut exchange = attached::lock_for(py, &self.exchange, self.serial()).map_err(raise)?;
        let sought = seek(&mut exchange.body, position, whence);
        drop(exchange);
        sought.map_err(PyOSError::new_err)
    }

    /// Bytes read so far.
    fn tell(&self, py: Python<'_>) -> PyResult<u64> {
        attached::lock_for(py, &self.exchange, self.serial())
            .map(|exchange| exchange.body.tell())
            .map_err(raise)
    }
}

//! `wsgi.input`.

use crate::worker::body::BodyError;
use crate::worker::exchange::Exchange;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::sync::{Arc, Mutex, MutexGuard};

/// The body of the request. Reads never go past its end and never touch the next request; once the request is over,
/// they raise.
#[pyclass(frozen, module = "rwsgi._rwsgi")]
pub struct Input {
    exchange: Arc<Mutex<Exchange>>,
    serial: AtomicU64,
}

fn raise(error: BodyError) -> PyErr {
    match error {
        BodyError::Over => PyValueError::new_err(error.to_string()),
        _ => PyOSError::new_err(error.to_string()),
    }
}

impl Input {
    pub fn new(exchange: Arc<Mutex<Exchange>>) -> Input {
        Input { exchange, serial: AtomicU64::new(0) }
    }

    /// From now on this object reads the body of the request with this number.
    pub fn attach_to(&self, serial: u64) {
        self.serial.store(serial, Relaxed);
    }

    fn lock(&self) -> Result<MutexGuard<'_, Exchange>, BodyError> {
        let exchange = self.exchange.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if exchange.serial == self.serial.load(Relaxed) { Ok(exchange) } else { Err(BodyError::Over) }
    }

    fn known_length(&self, most: u64) -> Option<usize> {
        let exchange = self.exchange.try_lock().ok()?;
        if exchange.serial != self.serial.load(Relaxed) {
            return None;
        }
        exchange.body.known_length(most)
    }

    /// So many bytes of a body that is here, straight into the object that the app gets.
    fn fill<'py>(&self, py: Python<'py>, length: usize) -> PyResult<Bound<'py, PyBytes>> {
        PyBytes::new_with(py, length, |out| {
            let mut fill = || self.lock()?.body.fill(out);
            if length > 64 * 1024 { py.detach(fill) } else { fill() }.map_err(raise)
        })
    }

    /// Up to `most` bytes. What is there already is taken at once; to wait for the client the thread lets go of the
    /// interpreter, and of the lock before it takes the interpreter again.
    fn take(&self, py: Python<'_>, most: u64, line: bool) -> PyResult<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Ok(mut exchange) = self.exchange.try_lock()
            && exchange.serial == self.serial.load(Relaxed)
            && exchange.body.is_ready_for(most)
        {
            exchange.read(most, line, &mut bytes).map_err(raise)?;
            return Ok(bytes);
        }
        py.detach(|| self.lock()?.read(most, line, &mut bytes)).map_err(raise)?;
        Ok(bytes)
    }
}

/// A size as Python's files take it: nothing, None or a negative number mean "all".
fn limit(size: Option<i64>) -> u64 {
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(u64::MAX)
}

#[pymethods]
impl Input {
    /// At most `size` bytes, fewer only at the end of the body. Raises OSError when the body is broken.
    #[pyo3(signature = (size = None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        let most = limit(size);
        match self.known_length(most) {
            Some(length) => self.fill(py, length),
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
        py.detach(|| {
            let mut exchange = self.lock()?;
            if !exchange.body.is_seekable() {
                return Ok(Err("wsgi.input can only seek with post-buffering"));
            }
            let length = exchange.body.buffered_len() as i64;
            let from = match whence {
                0 => 0,
                1 => exchange.body.tell() as i64,
                2 => length,
                _ => return Ok(Err("whence must be 0, 1 or 2")),
            };
            let to = from.saturating_add(position);
            if !(0..=length).contains(&to) {
                return Ok(Err("wsgi.input cannot seek outside the body"));
            }
            exchange.body.seek(to as u64)?;
            Ok(Ok(to as u64))
        })
        .map_err(raise)?
        .map_err(PyOSError::new_err)
    }

    /// Bytes read so far.
    fn tell(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| self.lock().map(|exchange| exchange.body.tell())).map_err(raise)
    }
}

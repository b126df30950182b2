//! `wsgi.file_wrapper`: a file that goes out by sendfile where it is a file, and block by block where it only acts as one.

use pyo3::exceptions::PyAttributeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

const BLOCK: usize = 8192;

/// Wraps an object with `read`; iterating yields blocks of `block_size` bytes.
#[pyclass(frozen, module = "rwsgi._rwsgi")]
pub struct FileWrapper {
    pub filelike: Py<PyAny>,
    block_size: usize,
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, block_size = BLOCK, /))]
    fn new(filelike: Bound<'_, PyAny>, block_size: usize) -> PyResult<FileWrapper> {
        if !filelike.hasattr(intern!(filelike.py(), "read"))? {
            return Err(PyAttributeError::new_err("wsgi.file_wrapper takes an object with a read method"));
        }
        Ok(FileWrapper { filelike: filelike.unbind(), block_size: block_size.max(1) })
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let block = self.filelike.bind(py).call_method1(intern!(py, "read"), (self.block_size,))?;
        let block = block.cast_into::<PyBytes>()?;
        Ok((!block.as_bytes().is_empty()).then_some(block))
    }

    /// Closes the file, if it can be closed.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self.filelike.bind(py).getattr_opt(intern!(py, "close"))? {
            Some(close) => close.call0().map(drop),
            None => Ok(()),
        }
    }
}

/// The descriptor of a wrapped file and the place in it, if its bytes are those of the descriptor.
pub fn descriptor(wrapper: &Bound<'_, FileWrapper>) -> Option<(i32, u64)> {
    let py = wrapper.py();
    let filelike = wrapper.get().filelike.bind(py);
    let raw = raw_file(filelike).ok()??;
    let fd: i32 = raw.call_method0(intern!(py, "fileno")).ok()?.extract().ok()?;
    // tell() knows what a buffered reader has read ahead of its user; the descriptor does not.
    let place: u64 = raw.call_method0(intern!(py, "tell")).ok()?.extract().ok()?;
    Some((fd, place))
}

/// Only these hand out their descriptor's bytes unchanged: a GzipFile, too, has a fileno().
fn raw_file<'py>(filelike: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = filelike.py();
    let io = py.import(intern!(py, "io"))?;
    let is_raw = |object: &Bound<'py, PyAny>| -> PyResult<bool> {
        let kinds = [intern!(py, "BufferedReader"), intern!(py, "BufferedRandom"), intern!(py, "FileIO")];
        for kind in kinds {
            if object.get_type().is(io.getattr(kind)?) {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let mut object = filelike.clone();
    // Django's FieldFile holds a File, which holds the file.
    for _ in 0..4 {
        if is_raw(&object)? {
            return Ok(Some(object));
        }
        if !passes_through(&object)? {
            break;
        }
        match object.getattr_opt(intern!(py, "file"))? {
            Some(inner) => object = inner,
            None => break,
        }
    }
    Ok(None)
}

/// Does an object only hold a file, whose bytes are its own?
fn passes_through(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let class = object.get_type();
    let module = class.module()?.to_string();
    Ok((module == "tempfile" && class.name()? == "_TemporaryFileWrapper")
        || module.starts_with("django.core.files")
        || module.starts_with("django.db.models.fields.files"))
}

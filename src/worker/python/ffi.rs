//! Calls of CPython's C API: all `unsafe` code of `python/` is here.

use crate::sys::process::ForkHooks;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// A `str` of these bytes, one character a byte: how PEP 3333 puts bytes into native strings.
#[inline]
pub fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    // SAFETY: attached; pointer and length are those of a live slice, a null error handler is "strict", which Latin-1
    // never needs. The new reference, or the null of a MemoryError, is taken over.
    unsafe {
        let object =
            ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), bytes.len() as isize, std::ptr::null());
        Bound::from_owned_ptr_or_err(py, object).map(|object| object.cast_into_unchecked())
    }
}

/// The bytes of a `str` without characters above U+00FF; `None` when it has some. No copy is made.
#[inline]
pub fn latin1_bytes<'a>(text: &'a Bound<'_, PyString>) -> Option<&'a [u8]> {
    let object = text.as_ptr();
    // SAFETY: attached, and `object` is a str. On 3.10 and 3.11 a legacy string may have to be made ready first; then
    // its kind says how it is stored, and 1 means one byte a character. The buffer lives as long as the str, which is
    // immutable.
    unsafe {
        #[cfg(not(Py_3_12))]
        if ffi::PyUnicode_READY(object) != 0 {
            ffi::PyErr_Clear();
            return None;
        }
        if ffi::PyUnicode_KIND(object) != ffi::PyUnicode_1BYTE_KIND {
            return None;
        }
        let length = ffi::PyUnicode_GET_LENGTH(object) as usize;
        Some(std::slice::from_raw_parts(ffi::PyUnicode_1BYTE_DATA(object), length))
    }
}

/// How many references an object has. Without the GIL the number says little: then it is always "many".
#[inline]
pub fn references<T>(object: &Py<T>) -> isize {
    if cfg!(Py_GIL_DISABLED) {
        return isize::MAX;
    }
    // SAFETY: a live object; callers are attached, so that no other thread changes the count meanwhile.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) }
}

/// Raises an exception in another thread, at its next bytecode.
pub fn raise_in(_py: Python<'_>, ident: u64, exception: &Bound<'_, PyAny>) {
    // SAFETY: attached; an ident that is no thread's is answered with 0.
    unsafe { ffi::PyThreadState_SetAsyncExc(ident as _, exception.as_ptr()) };
}

/// The code that a frame runs.
pub fn code_of<'py>(frame: &Bound<'py, PyAny>) -> Bound<'py, PyAny> {
    // SAFETY: attached, and `frame` is a frame, as all callers have got it from CPython as one. The new reference is
    // never null, and taken over.
    unsafe { Bound::from_owned_ptr(frame.py(), ffi::PyFrame_GetCode(frame.as_ptr().cast()).cast()) }
}

/// The frame that has called this one.
pub fn caller_of<'py>(frame: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    // SAFETY: as above; null where nothing has called it.
    unsafe { Bound::from_owned_ptr_or_opt(frame.py(), ffi::PyFrame_GetBack(frame.as_ptr().cast()).cast()) }
}

/// CPython's three ends of a fork. Each runs attached: `os.register_at_fork` callbacks run in them.
pub struct PythonForkHooks;

impl ForkHooks for PythonForkHooks {
    fn before(&self) {
        // SAFETY: the master and the zygote fork while attached.
        Python::attach(|_| unsafe { ffi::PyOS_BeforeFork() });
    }

    fn after_in_parent(&self) {
        // SAFETY: as above; this releases what PyOS_BeforeFork took.
        Python::attach(|_| unsafe { ffi::PyOS_AfterFork_Parent() });
    }

    fn after_in_child(&self) {
        // SAFETY: as above, in the child's only thread.
        Python::attach(|_| unsafe { ffi::PyOS_AfterFork_Child() });
    }
}

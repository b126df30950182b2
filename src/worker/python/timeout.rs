//! Harakiri's first step (`harakiri-graceful-timeout`): an exception inside the request whose time is up.

use super::ffi;
use crate::shm::scoreboard::{CoreSlot, Phase};
use crate::sys::{clock, io, process, signal};
use crate::worker::shared::Shared;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::*;

pyo3::create_exception!(
    rwsgi,
    HarakiriTimeout,
    pyo3::exceptions::PyTimeoutError,
    "The request has run longer than harakiri allows; the worker is killed when it goes on."
);

fn is_late(core: CoreSlot) -> bool {
    let deadline = core.deadline_us().load(Acquire);
    core.phase() != Phase::Idle && deadline != 0 && deadline <= clock::monotonic_us()
}

/// Starts the thread that waits for the master's word. The main thread is reached by a signal, which also ends a wait
/// (`sleep`, `recv`) that it is in; other threads get their exception when they next run Python code.
pub fn arm(py: Python<'_>, shared: &Arc<Shared>) -> PyResult<()> {
    let main = shared.context.scoreboard.core(shared.context.slot_index, 0);
    let handler = PyCFunction::new_closure(
        py,
        None,
        None,
        move |_: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| {
            if is_late(main) { Err(HarakiriTimeout::new_err("harakiri")) } else { Ok(()) }
        },
    )?;
    py.import("signal")?.call_method1("signal", (signal::interrupt(), handler))?;
    let (reading, writing) = io::pipe(false)?;
    signal::tell_of_expiry(writing)?;
    let shared = shared.clone();
    std::thread::Builder::new()
        .name("rwsgi harakiri".to_owned())
        .spawn(move || {
            while matches!(io::read(reading.as_fd(), &mut [0]), Ok(1..)) {
                expire(&shared);
            }
        })
        .map(drop)
        .map_err(PyErr::from)
}

fn expire(shared: &Shared) {
    for (index, core) in shared.context.scoreboard.cores(shared.context.slot_index).enumerate() {
        if !is_late(core) {
            continue;
        }
        if index == 0 {
            process::signal_thread(core.tid().load(Relaxed) as i32, signal::interrupt());
            continue;
        }
        Python::attach(|py| {
            if is_late(core) {
                ffi::raise_in(py, core.ident().load(Relaxed), py.get_type::<HarakiriTimeout>().as_any());
            }
        });
    }
}

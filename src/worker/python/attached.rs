//! The exchange of a request, for threads that have the GIL. Most steps with it are short, but one that sends or reads
//! a file waits for a disk: so a thread that finds it locked lets go of the GIL until it is free. A thread that has
//! locked it never takes the GIL.
//!
//! In a child that the application has forked, a thread that does not exist there may have it locked for ever: no
//! thread waits for it there.

use crate::net::client::Client;
use crate::sys::process;
use crate::worker::body::Body;
use crate::worker::body::error::BodyError;
use crate::worker::response::wait::{Guard, ReadStep, SharedExchange};
use crate::worker::response::{Sent, WriteError};
use pyo3::prelude::*;

/// Locks the exchange. Nothing of Python's may be called while it is locked.
#[inline]
pub fn lock<'a>(py: Python<'_>, shared: &'a SharedExchange) -> Guard<'a> {
    shared.try_lock().unwrap_or_else(|| wait_for_lock(py, shared))
}

#[cold]
#[inline(never)]
fn wait_for_lock<'a>(py: Python<'_>, shared: &'a SharedExchange) -> Guard<'a> {
    loop {
        // Not to keep it: its holder would then wait for the GIL.
        py.detach(|| drop(shared.lock()));
        if let Some(exchange) = shared.try_lock() {
            return exchange;
        }
    }
}

/// Locks the exchange of the request with this number, if it is this process's.
pub fn lock_for<'a>(py: Python<'_>, shared: &'a SharedExchange, serial: u64) -> Result<Guard<'a>, BodyError> {
    let exchange = match process::is_copy() {
        true => shared.try_lock().ok_or(BodyError::InChild)?,
        false => lock(py, shared),
    };
    if exchange.serial == serial { Ok(exchange) } else { Err(BodyError::Over) }
}

/// Reads what has come.
#[cold]
fn read_in_child(shared: &SharedExchange, serial: u64, step: &mut ReadStep<'_>) -> Result<(), BodyError> {
    match shared.read_now(serial, step) {
        None | Some(Err(BodyError::Closed)) => Err(BodyError::InChild),
        Some(read) => read,
    }
}

/// Reads what is here without letting go of the GIL (`is_short`), and waits for the rest without it.
pub fn read(
    py: Python<'_>,
    shared: &SharedExchange,
    serial: u64,
    is_short: bool,
    step: &mut (impl FnMut(&mut Body, &mut Client) -> Result<bool, BodyError> + Send),
) -> Result<(), BodyError> {
    if process::is_copy() {
        return read_in_child(shared, serial, step);
    }
    if is_short && let Some(read) = shared.read_now(serial, step) {
        return read;
    }
    py.detach(|| shared.read(serial, step))
}

/// Sends a piece of the answer, if the exchange is still that of the request with this number.
pub fn write(py: Python<'_>, shared: &SharedExchange, serial: u64, bytes: &[u8]) -> Result<(), WriteError> {
    let exchange = lock(py, shared);
    if exchange.serial != serial {
        return Err(WriteError::Over);
    }
    write_with(py, shared, exchange, bytes, false)
}

/// The same with the exchange locked already. The GIL is let go only where the client has to be waited for.
#[inline]
pub fn write_with(
    py: Python<'_>,
    shared: &SharedExchange,
    mut exchange: Guard<'_>,
    bytes: &[u8],
    whole: bool,
) -> Result<(), WriteError> {
    let serial = exchange.serial;
    let sent = exchange.try_write(bytes, whole)?;
    drop(exchange);
    match sent {
        Sent::All => Ok(()),
        sent => write_on(py, shared, serial, (bytes, whole), sent),
    }
}

#[cold]
#[inline(never)]
fn write_on(
    py: Python<'_>,
    shared: &SharedExchange,
    serial: u64,
    (bytes, whole): (&[u8], bool),
    sent: Sent,
) -> Result<(), WriteError> {
    py.detach(|| shared.write_on(serial, bytes, whole, sent))
}

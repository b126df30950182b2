//! Layer 2: the one module with `unsafe`. System calls behind a safe API, a SAFETY comment a block.

mod accepted;
pub mod backlog;
pub mod clients;
pub mod clock;
pub mod crash;
pub mod epoll;
pub mod eventfd;
pub mod files;
pub mod handshakes;
pub mod io;
pub mod listeners;
pub mod orphan;
pub mod output;
pub mod owned_files;
pub mod process;
pub mod proctitle;
pub mod random;
pub mod scm;
pub mod shm;
pub mod signal;
mod sock_diag;
pub mod socket;
mod socket_name;
pub mod spool;
pub mod threads;
pub mod unix_listener;
pub mod user;
pub mod wait;
pub mod waiter;

use std::io::{Error, Result};

/// Turns the -1 of a system call into its error.
fn check(result: libc::c_int) -> Result<libc::c_int> {
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result) }
}

/// The same for calls that return a length.
fn check_len(result: libc::ssize_t) -> Result<usize> {
    usize::try_from(result).map_err(|_| Error::last_os_error())
}

/// Repeats a call that a signal interrupted.
fn retry<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

//! What the server needs of the language that the applications are written in. The master and the life of a worker know
//! nothing else of it.

use super::Shared;
use super::mounts::Mounts;
use crate::config::Settings;
use crate::sys::epoll::{Epoll, Events};
use crate::sys::process::ForkHooks;
use std::io::Result;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

/// The application could not be loaded; the log says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadFailed;

pub trait Host {
    /// Can threads of one process run application code at the same time?
    fn is_parallel(&self) -> bool;

    /// Runs around every fork.
    fn hooks(&self) -> &'static dyn ForkHooks;

    /// Loads the applications and returns their mountpoints in load order.
    fn load(&mut self, settings: &Settings) -> std::result::Result<Vec<String>, LoadFailed>;

    /// After loading, before the first fork: makes what was loaded cheap to share.
    fn settle(&self);

    /// In each worker, before it is ready: what is wanted of it beside the applications.
    fn begin(&self, settings: &Settings);

    /// Runs every core of a worker until it is told to leave; announces the worker when the first core can serve.
    fn serve(&self, shared: &Arc<Shared>, mounts: &Arc<Mounts>);

    /// At the end of a worker's life: exit handlers run and streams are flushed.
    fn wind_up(&self);

    /// Signals for which the application has handlers of its own, as a set of bits.
    fn app_signals(&self, signals: &[i32]) -> u64;

    /// Readies the stack dump of all threads, to be written to this descriptor when the dump signal comes.
    fn arm_dump(&self, to: BorrowedFd<'_>);

    /// Waits while the language's other threads may run.
    fn wait(&self, epoll: &Epoll, events: &mut Events, timeout: Option<Duration>) -> Result<()>;

    /// Reads while the language's other threads may run.
    fn read(&self, fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize>;
}

//! What a process of the server needs of the language that runs in it. A process without one needs nothing of this.

use crate::sys::epoll::{Epoll, Events};
use crate::sys::process::ForkHooks;
use std::io::Result;
use std::os::fd::BorrowedFd;
use std::time::Duration;

pub trait Runtime {
    /// Runs around every fork.
    fn hooks(&self) -> &'static dyn ForkHooks;

    /// At the end of a process's life: exit handlers run and streams are flushed.
    fn wind_up(&self);

    /// Signals for which the application has handlers of its own, as a set of bits.
    fn app_signals(&self, signals: &[i32]) -> u64;

    /// Readies the stack dump of all threads, to be written to this descriptor when the dump signal comes.
    fn arm_dump(&self, to: BorrowedFd<'_>);

    /// Does the language itself tell what ran when a fatal signal came (faulthandler)?
    fn reports_faults(&self) -> bool {
        false
    }

    /// Waits while the language's other threads may run.
    fn wait(&self, epoll: &Epoll, events: &mut Events, timeout: Option<Duration>) -> Result<()>;

    /// Reads while the language's other threads may run.
    fn read(&self, fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize>;
}

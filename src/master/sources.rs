//! Where the master's events come from, and what ends its sleep.

use super::workers::zygote::protocol::Notice;
use crate::process::runtime::Runtime;
use crate::supervise::{Child, Ended};
use crate::sys::epoll::{self, Epoll, Events};
use crate::sys::io;
use std::io::Result;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

/// Something has happened.
#[derive(Debug)]
pub enum Event {
    /// The zygote with this pid has sent a message.
    Zygote(i32, Notice),
    /// A child has ended, and is reaped.
    Ended(Child, Ended),
    /// Signals have come, as a set of bits.
    Signals(u64),
    /// The worker in this slot serves from now on.
    WorkerReady(usize),
}

/// Token of the wake pipe. Whose descriptor else ended the sleep does not matter: in each turn all are looked at.
const WAKE: u64 = 1;
pub const OTHER: u64 = 0;

pub struct Sources {
    pub epoll: Rc<Epoll>,
    /// Signal handlers and workers write to the other end.
    wake: OwnedFd,
    /// Only the master may hold it: when it is closed, the workers know that the master has ended.
    alive: OwnedFd,
    events: Events,
}

impl Sources {
    pub fn new(wake: OwnedFd, alive: OwnedFd) -> Result<Sources> {
        let epoll = Rc::new(Epoll::new()?);
        epoll.add(&wake, epoll::READ, WAKE)?;
        Ok(Sources { epoll, wake, alive, events: Events::with_capacity(16) })
    }

    /// Sleeps until something happens, at most so long.
    pub fn wait(&mut self, runtime: &impl Runtime, timeout: Duration) {
        let waited = runtime.wait(&self.epoll, &mut self.events, Some(timeout));
        if waited.is_ok() && self.events.iter().any(|(token, _)| token == WAKE) {
            self.empty_wake_pipe();
        }
    }

    fn empty_wake_pipe(&self) {
        let mut buffer = [0; 256];
        while io::read(self.wake.as_fd(), &mut buffer).is_ok_and(|got| got == buffer.len()) {}
    }

    /// Descriptors that children close.
    pub fn private(&self) -> [RawFd; 2] {
        [self.alive.as_raw_fd(), self.wake.as_raw_fd()]
    }
}

//! The events that one thread has got from an epoll and not handled yet.

use crate::net::listener::Bound;
use crate::sys::epoll::{self, Epoll, Events};
use crate::sys::waiter::Waiter;
use crate::worker::conn::table::CONNECTION;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Tokens: listeners by index, connections by [`CONNECTION`] and their key, then these.
const ALIVE: u64 = 1 << 32;
/// Another worker has given a connection.
pub const GIVEN: u64 = 1 << 34;
/// A parked thread is needed.
pub const CALLED: u64 = 1 << 35;

/// Where listeners and the master's pipe are watched.
pub fn watch(epoll: &Epoll, listeners: &[Bound], alive: &OwnedFd) -> Result<()> {
    for (index, listener) in listeners.iter().enumerate() {
        listen_to(epoll, listener, index)?;
    }
    epoll.add(alive, epoll::HANGUP, ALIVE)
}

/// Watches one listener.
pub fn listen_to(epoll: &Epoll, listener: &Bound, index: usize) -> Result<()> {
    epoll.add(&listener.fd, epoll::READ | epoll::EXCLUSIVE, index as u64)
}

/// What a wait brought.
#[derive(Debug)]
pub enum Arrival {
    /// A listener has a connection.
    Listener(usize),
    /// A connection of the worker's table has bytes, or is closed.
    Connection(usize),
    /// Another worker has given a connection.
    Given,
    /// The thread was parked, and is needed.
    Called,
    /// The master is gone.
    Orphaned,
    /// A signal came: look at commands, let Python look at its handlers.
    Interrupted,
    TimedOut,
    /// No wait is possible.
    Failed(Error),
}

pub struct Intake {
    waiter: &'static Waiter,
    events: Events,
    next: usize,
    count: usize,
    wakes: u64,
}

impl Intake {
    /// `batch`: most events of one wait.
    pub fn new(waiter: &'static Waiter, batch: usize) -> Intake {
        Intake { waiter, events: Events::with_capacity(batch), next: 0, count: 0, wakes: 0 }
    }

    /// How many waits have brought something.
    pub fn wakes(&self) -> u64 {
        self.wakes
    }

    /// An event of an earlier wait that is not handled yet.
    pub fn pending(&mut self) -> Option<Arrival> {
        while self.next < self.count {
            let event = self.events.get(self.next);
            self.next += 1;
            if let Some((token, _)) = event {
                return Some(match token {
                    ALIVE => Arrival::Orphaned,
                    GIVEN => Arrival::Given,
                    CALLED => Arrival::Called,
                    token if token & CONNECTION != 0 => Arrival::Connection((token & !CONNECTION) as usize),
                    token => Arrival::Listener(token as usize),
                });
            }
        }
        None
    }

    pub fn wait(&mut self, epoll: &Epoll, timeout: Option<Duration>) -> Arrival {
        (self.next, self.count) = (0, 0);
        match epoll.wait_until_woken(&mut self.events, timeout, self.waiter) {
            Ok(()) => {
                self.count = self.events.iter().count();
                self.wakes += 1;
                self.pending().unwrap_or(Arrival::TimedOut)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Arrival::Interrupted,
            Err(error) => Arrival::Failed(error),
        }
    }

    /// Waits for nothing but time, or a signal. `false`: a signal came.
    pub fn doze(&mut self, epoll: &Epoll, time: Duration) -> Result<bool> {
        (self.next, self.count) = (0, 0);
        match epoll.wait_until_woken(&mut self.events, Some(time), self.waiter) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The caller ignores a signal that came: the next wait ends at once.
    pub fn remember_signal(&self) {
        self.waiter.remember();
    }
}

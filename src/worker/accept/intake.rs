//! The events that one thread has got from an epoll and not handled yet.

use crate::net::listener::Bound;
use crate::sys::clock;
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
    /// When the last wait brought several, and how long each of those of the one before took.
    woken_us: u64,
    each_us: u64,
}

impl Intake {
    /// `batch`: most events of one wait.
    pub fn new(waiter: &'static Waiter, batch: usize) -> Intake {
        Intake {
            waiter,
            events: Events::with_capacity(batch),
            next: 0,
            count: 0,
            wakes: 0,
            woken_us: 0,
            each_us: 0,
        }
    }

    /// How many waits have brought something.
    pub fn wakes(&self) -> u64 {
        self.wakes
    }

    /// Events of the last wait that are not handled yet.
    pub fn left(&self) -> usize {
        self.count - self.next
    }

    /// Is the first of them handled now?
    pub fn is_fresh(&self) -> bool {
        self.next == 1
    }

    /// How long the last of them will wait, as far as those of the wait before tell.
    pub fn delay_us(&self) -> u64 {
        self.each_us * self.left() as u64
    }

    /// Since when those of the last wait are here, if there were several.
    pub fn since_us(&self) -> u64 {
        self.woken_us
    }

    /// The connections among them, the last first.
    pub fn connections_left(&self) -> impl Iterator<Item = usize> + '_ {
        let tokens = (self.next..self.count).rev().filter_map(|index| self.events.get(index));
        tokens.filter(|(token, _)| token & CONNECTION != 0).map(|(token, _)| (token & !CONNECTION) as usize)
    }

    /// Remembers when several came at once.
    fn note_batch(&mut self, handled: usize) {
        let now = clock::monotonic_us();
        self.each_us = now.saturating_sub(self.woken_us) / handled.max(1) as u64;
        self.woken_us = now;
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
        let handled = self.count;
        (self.next, self.count) = (0, 0);
        match epoll.wait_until_woken(&mut self.events, timeout, self.waiter) {
            Ok(()) => {
                self.count = self.events.iter().count();
                self.wakes += 1;
                if self.count > 1 {
                    self.note_batch(handled);
                }
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

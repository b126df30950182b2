//! How a thread of a worker gets its next connection.
//!
//! Alone in its process, a thread waits on the worker's own epoll, where every listener stands with EPOLLEXCLUSIVE: a
//! process that runs a request waits nowhere, so the kernel passes it over. With several threads a process can be busy
//! and wait at once; then all workers share one epoll a line (queue), listeners stand in each, and the kernel wakes the
//! first line that has somebody in it, first come first served. A thread waits in the line that matches what its process
//! has in flight: a request goes to an idle process as long as there is one.

use super::{Bound, Shared};
use crate::config::Protocol;
use crate::policy::balance;
use crate::sys::epoll::{self, Epoll, Events};
use crate::sys::socket;
use crate::sys::waiter::Waiter;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::*;
use std::time::Duration;

/// The most lines; processes with more in flight share the last.
pub const MAX_ACCEPT_QUEUES: usize = 16;

/// Tokens: listeners by index, then these.
const ALIVE: u64 = 1 << 32;
/// Connections: this bit and their key.
pub const CONNECTION: u64 = 1 << 33;
/// Another worker has given a connection.
pub const GIVEN: u64 = 1 << 34;

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

/// The shared lines, made by the master before the first fork. The order in which a listener is added to them is the
/// order in which the kernel looks for a waiting thread.
pub fn make_accept_queues(threads: u32, listeners: &[Bound], alive: &OwnedFd) -> Result<Vec<Epoll>> {
    let accept_queues: Vec<Epoll> =
        (0..(threads as usize).min(MAX_ACCEPT_QUEUES)).map(|_| Epoll::new()).collect::<Result<_>>()?;
    accept_queues.iter().try_for_each(|queue| watch(queue, listeners, alive))?;
    Ok(accept_queues)
}

/// How long a worker waits in accept() before it looks around: a signal that comes just before it is not seen earlier, and
/// request lines are not written earlier.
pub const MAX_ACCEPT_WAIT: Duration = Duration::from_millis(500);

/// How long a thread sits parked when nobody calls it.
const MAX_PARK: Duration = Duration::from_secs(30);

/// What a wait brought.
#[derive(Debug)]
pub enum Arrival {
    /// A listener has a connection.
    Listener(usize),
    /// A connection of the worker's table has bytes, or is closed.
    Connection(u64),
    /// Another worker has given a connection.
    Given,
    /// The master is gone.
    Orphaned,
    /// A signal came: look at orders, let Python look at its handlers.
    Interrupted,
    TimedOut,
    /// No wait is possible.
    Failed(Error),
}

/// One thread's place to wait.
pub struct Intake {
    waiter: &'static Waiter,
    events: Events,
    next: usize,
    count: usize,
    wakes: u64,
}

impl Intake {
    pub fn new(shared: &Shared, waiter: &'static Waiter) -> Intake {
        // What one of several threads took, another that is idle could not serve.
        let batch = if shared.has_private_epoll() && shared.scoreboard.threads() == 1 { 64 } else { 1 };
        Intake { waiter, events: Events::with_capacity(batch), next: 0, count: 0, wakes: 0 }
    }

    /// What an earlier wait brought and nobody has looked at.
    pub fn pending(&mut self) -> Option<Arrival> {
        while self.next < self.count {
            let event = self.events.get(self.next);
            self.next += 1;
            if let Some((token, _)) = event {
                return Some(match token {
                    ALIVE => Arrival::Orphaned,
                    GIVEN => Arrival::Given,
                    token if token & CONNECTION != 0 => Arrival::Connection(token & !CONNECTION),
                    token => Arrival::Listener(token as usize),
                });
            }
        }
        None
    }

    /// Waits for the next arrival; a paused worker waits for nothing but a signal.
    pub fn wait(&mut self, shared: &Shared, paused: bool, timeout: Option<Duration>) -> Arrival {
        if let Some(arrival) = self.pending() {
            return arrival;
        }
        self.next = 0;
        self.count = 0;
        let result = if paused {
            shared.idle_epoll.wait_until_woken(&mut self.events, timeout, self.waiter)
        } else if shared.has_private_epoll() {
            shared.epoll.wait_until_woken(&mut self.events, timeout, self.waiter)
        } else {
            self.wait_in_queue(shared, timeout)
        };
        match result {
            Ok(()) => {
                self.count = self.events.iter().count();
                self.wakes += 1;
                self.pending().unwrap_or(Arrival::TimedOut)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Arrival::Interrupted,
            Err(error) => Arrival::Failed(error),
        }
    }

    fn wait_in_queue(&mut self, shared: &Shared, timeout: Option<Duration>) -> Result<()> {
        let Some(queue) = shared.enter_queue() else {
            self.wait_parked(shared);
            return Err(ErrorKind::Interrupted.into());
        };
        let result = shared.accept_queues[queue].wait_until_woken(&mut self.events, timeout, self.waiter);
        shared.leave_queue(queue);
        result
    }

    /// Waits until this thread is needed in a line.
    fn wait_parked(&mut self, shared: &Shared) {
        if shared.park() {
            self.wait_idle(shared, MAX_PARK);
            shared.unpark();
        }
    }

    /// Waits for nothing but time, or a signal: the listeners have connections that this process should not take yet.
    /// One thread that looks again is enough.
    pub fn back_off(&mut self, shared: &Shared, time: Duration) {
        if !shared.begin_back_off() {
            (self.next, self.count) = (0, 0);
            self.wait_parked(shared);
            return self.waiter.remember();
        }
        self.doze(shared, time);
        shared.end_back_off();
    }

    /// The same for every thread.
    pub fn doze(&mut self, shared: &Shared, time: Duration) {
        (self.next, self.count) = (0, 0);
        if !self.wait_idle(shared, time) {
            // The caller does not look at what the signal may stand for.
            self.waiter.remember();
        }
    }

    /// `false`: a signal came.
    fn wait_idle(&mut self, shared: &Shared, time: Duration) -> bool {
        match shared.idle_epoll.wait_until_woken(&mut self.events, Some(time), self.waiter) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::Interrupted => false,
            Err(error) => {
                shared.cannot_wait(error);
                true
            }
        }
    }

    /// Goes to the end of the kernel's order when this worker has served more than its neighbours.
    pub fn step_back(&mut self, shared: &Shared, listener: usize) {
        if shared.has_private_epoll() && self.wakes.is_multiple_of(8) && self.is_ahead(shared) {
            shared.step_back(listener);
        }
    }

    fn is_ahead(&self, shared: &Shared) -> bool {
        let others =
            (0..shared.scoreboard.slots()).filter(|&slot| slot != shared.slot_index).filter_map(|slot| {
                let other = shared.scoreboard.worker(slot);
                let counts = other.stage() == crate::shm::scoreboard::Stage::Ready
                    && other.generation().load(Relaxed) == shared.slot.generation().load(Relaxed);
                counts.then(|| other.served())
            });
        balance::steps_back(shared.slot.served(), others)
    }
}

/// Waits for a connection on the only listener.
pub fn wait_accept(listener: &Bound) -> Result<OwnedFd> {
    socket::wait_accept(listener.fd.as_fd())
}

/// Takes a connection from a listener. `WouldBlock`: another process was quicker.
pub fn accept(listener: &Bound) -> Result<(OwnedFd, Option<SocketAddr>)> {
    // Who sends uwsgi packets says in them for whom.
    match listener.protocol {
        Protocol::Uwsgi => socket::accept(listener.fd.as_fd()).map(|client| (client, None)),
        Protocol::Http => socket::accept_from(listener.fd.as_fd()),
    }
}

/// The system has run out of something that others may give back.
pub fn is_shortage(error: &Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(socket::EMFILE | socket::ENFILE | socket::ENOBUFS | socket::ENOMEM | socket::ENOSPC)
    )
}

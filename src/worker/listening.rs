//! Whether a worker takes new connections: its listeners are in its own epoll, and there is room in its table.

use super::toggle::Toggle;
use super::{Shared, intake};
use crate::base::reason::reason;
use crate::log;
use crate::sys::{clock, epoll};
use std::io::{Error, ErrorKind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use std::time::Duration;

/// How long a worker without descriptors leaves new connections to others, and how long a thread that has met it looks away.
const SHORTAGE_US: u64 = 100_000;
const SHORTAGE: Duration = Duration::from_millis(5);
/// When listeners that could not be put back into the epoll are tried again.
pub(super) const RETRY: Duration = Duration::from_millis(100);
/// How long a thread looks away from a closed listener.
const CLOSED: Duration = Duration::from_millis(1);
/// How often the log is told of the same trouble.
const REPEAT_US: u64 = 60_000_000;

#[derive(Debug, Default)]
pub(in crate::worker) struct Listening {
    /// Are the listeners in the worker's own epoll?
    listeners: Toggle,
    /// The table is full, or was a moment ago.
    full: AtomicBool,
    /// Until then no descriptor is expected to be free.
    short_until_us: AtomicU64,
    said_us: AtomicU64,
}

impl Shared {
    /// No more connections fit into the table.
    pub(super) fn set_table_full(&self) {
        self.listening.full.store(true, Relaxed);
        self.slot.table_full().store(1, Relaxed);
        self.set_listening(false);
    }

    /// Is the table full, or was it a moment ago?
    #[inline]
    pub(super) fn is_table_full(&self) -> bool {
        self.listening.full.load(Relaxed) && self.is_still_full()
    }

    #[cold]
    fn is_still_full(&self) -> bool {
        let is_short = clock::monotonic_us() < self.listening.short_until_us.load(Relaxed);
        let full = is_short || !self.conns().has_room();
        self.listening.full.store(full, Relaxed);
        self.slot.table_full().store(full.into(), Relaxed);
        full
    }

    /// EMFILE, ENFILE, ENOBUFS, ENOMEM: connections stay in the backlog for others, or until something is free again.
    pub(super) fn accept_failed(&self, error: &Error) {
        if matches!(
            error.kind(),
            ErrorKind::WouldBlock | ErrorKind::ConnectionAborted | ErrorKind::Interrupted
        ) {
            return;
        }
        if error.kind() == ErrorKind::InvalidInput {
            // EINVAL, accept(2): it does not listen any more. The master has closed it, and gives the command to stop next.
            return epoll::sleep(CLOSED);
        }
        let text = reason(error);
        if !intake::is_shortage(error) {
            return self.give_up(&format!("cannot accept: {text}"));
        }
        self.out_of_descriptors();
        self.complain(&format!(
            "cannot accept connections: {text}; they wait in the backlog (see max-fd and http-connections)"
        ));
    }

    /// Connections stay where they are for a moment, for others or until something is free again.
    pub(super) fn out_of_descriptors(&self) {
        self.listening.short_until_us.store(clock::monotonic_us() + SHORTAGE_US, Relaxed);
        self.set_table_full();
        epoll::sleep(SHORTAGE);
    }

    /// Trouble that comes again and again is said once a minute.
    pub(super) fn complain(&self, what: &str) {
        let (now, last) = (clock::monotonic_us(), self.listening.said_us.load(Relaxed));
        let is_due = last == 0 || now.saturating_sub(last) > REPEAT_US;
        if is_due && self.listening.said_us.compare_exchange(last, now, Relaxed, Relaxed).is_ok() {
            log::say(&format!("worker {}: {what} (said once a minute)", self.id));
        }
    }

    /// Are the listeners out of the epoll, though this worker would take connections?
    pub(super) fn has_stopped_listening(&self) -> bool {
        self.has_private_epoll() && self.listening.listeners.is_off()
    }

    /// Takes the listeners out of the worker's own epoll, or puts them back.
    #[inline]
    pub(super) fn set_listening(&self, on: bool) {
        if self.has_private_epoll() && self.listening.listeners.is_off() == on {
            self.change_listening(on);
        }
    }

    #[cold]
    fn change_listening(&self, on: bool) {
        let changed =
            self.listening.listeners.turn(on, || if on { self.listen() } else { self.stop_listening() });
        if let Err(error) = changed {
            self.cannot_listen(error);
        }
    }

    fn listen(&self) -> std::io::Result<()> {
        let mut all = self.listeners.iter().enumerate();
        all.try_for_each(|(index, bound)| match intake::listen_to(&self.epoll, bound, index) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            result => result,
        })
    }

    fn stop_listening(&self) -> std::io::Result<()> {
        for bound in self.listeners.iter() {
            // One that is not there, or closed, is out of it already.
            let _ = self.epoll.remove(&bound.fd);
        }
        Ok(())
    }

    /// What lacks memory is tried again soon; nothing else gets better by waiting.
    fn cannot_listen(&self, error: Error) {
        if intake::is_shortage(&error) {
            self.complain(&format!("cannot listen: {}; trying again", reason(error)));
        } else {
            self.give_up(&format!("cannot listen: {}", reason(error)));
        }
    }

    /// Goes to the end of the kernel's order of those who wait for a listener.
    pub(super) fn step_back(&self, listener: usize) {
        let bound = &self.listeners[listener];
        let leave = || self.epoll.remove(&bound.fd).is_ok();
        let restarted =
            self.listening.listeners.restart(leave, || intake::listen_to(&self.epoll, bound, listener));
        if let Err(error) = restarted {
            self.cannot_listen(error);
        }
    }
}

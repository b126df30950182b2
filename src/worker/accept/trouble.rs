//! What a worker does when it cannot accept, listen or wait.

use crate::base::reason::reason;
use crate::net::listener::is_shortage;
use crate::sys::{clock, epoll};
use crate::worker::shared::Shared;
use std::io::{Error, ErrorKind, Result};
use std::time::Duration;

/// How long a worker without descriptors leaves new connections to others, and how long the thread that found none
/// sleeps.
const SHORTAGE_US: u64 = 100_000;
const SHORTAGE: Duration = Duration::from_millis(5);
/// When listeners that could not be put back into the epoll are tried again.
pub const RETRY: Duration = Duration::from_millis(100);
/// How long a thread sleeps that found a closed listener.
const CLOSED: Duration = Duration::from_millis(1);
/// How long a thread sleeps that cannot wait for events.
const BROKEN_WAIT: Duration = Duration::from_millis(50);

/// EMFILE, ENFILE, ENOBUFS, ENOMEM: connections stay in the backlog for others, or until something is free again.
pub fn accept_failed(shared: &Shared, error: &Error) {
    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionAborted | ErrorKind::Interrupted) {
        return;
    }
    if error.kind() == ErrorKind::InvalidInput {
        // EINVAL, accept(2): it does not listen any more. The master has closed it, and gives the command to stop next.
        return epoll::sleep(CLOSED);
    }
    let text = reason(error);
    if !is_shortage(error) {
        return shared.lifeline.give_up(&format!("cannot accept: {text}"));
    }
    out_of_descriptors(shared);
    shared.log.complaints.say(&format!(
        "cannot accept connections: {text}; they wait in the backlog (see max-fd and http-connections)"
    ));
}

/// Connections stay where they are for a moment, for others or until something is free again.
pub fn out_of_descriptors(shared: &Shared) {
    shared.table.set_short_until(clock::monotonic_us() + SHORTAGE_US);
    let has_listened = !shared.acceptor.has_stopped_listening();
    set_listening(shared, false);
    if has_listened {
        // Who puts them back: a thread that waits without a limit would not look, and this one may soon run a request.
        shared.lifeline.threads.wake_all();
    }
    epoll::sleep(SHORTAGE);
}

/// Takes the listeners out of the worker's own epoll, or puts them back.
#[inline]
pub fn set_listening(shared: &Shared, on: bool) {
    if let Err(error) = shared.acceptor.set_listening(&shared.context, &shared.table, on) {
        cannot_listen(shared, &error);
    }
}

/// What lacks memory is tried again soon; nothing else gets better by waiting.
#[cold]
pub fn cannot_listen(shared: &Shared, error: &Error) {
    if is_shortage(error) {
        shared.log.complaints.say(&format!("cannot listen: {}; trying again", reason(error)));
    } else {
        shared.lifeline.give_up(&format!("cannot listen: {}", reason(error)));
    }
}

/// A wait for events has failed: not because of a signal, and so it will again.
#[cold]
pub fn cannot_wait(shared: &Shared, error: &Error) {
    shared.lifeline.give_up(&format!("cannot wait for connections: {}", reason(error)));
    epoll::sleep(BROKEN_WAIT);
}

/// A wait for nothing but time is over.
pub fn check_wait(shared: &Shared, waited: Result<()>) {
    if let Err(error) = waited {
        cannot_wait(shared, &error);
    }
}

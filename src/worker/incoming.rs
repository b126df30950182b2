//! New connections: accepted from the listeners, and taken from the backlog by a worker that leaves.

use super::accept::trouble;
use super::conn::Conn;
use super::core::Core;
use super::dispatch;
use super::lifecycle;
use super::shared::Shared;
use crate::config::Protocol;
use crate::net::client::Client;
use crate::sys::epoll;
use std::io::ErrorKind;
use std::time::Duration;

/// How long a thread waits after an accept that failed.
const FAILED: Duration = Duration::from_millis(10);

/// What an attempt to accept has brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Accepted {
    Nothing,
    /// A connection that has no request to run now.
    Connection,
    Request,
}

/// What the only thread of a worker has waited for in accept(2).
pub enum Alone {
    Connection(Conn),
    /// It is to look at signals and commands.
    Signal,
    Nothing,
}

/// Waits in accept(2) for a connection of the only listener.
pub fn wait_alone(shared: &Shared) -> Alone {
    match shared.context.listeners[0].wait_accept() {
        Ok(client) => {
            let client = Client::plain(client);
            return Alone::Connection(Conn::new(client, Protocol::Uwsgi, 0, 0));
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => return Alone::Signal,
        Err(error) => {
            let is_over = error.kind() == ErrorKind::WouldBlock;
            if is_over {
                shared.log.access.flush();
            }
            if shared.lifeline.has_lost_its_master() {
                lifecycle::set_orphaned(shared);
            }
            if is_over {
                // A signal that came just before the wait has not interrupted it.
                return Alone::Signal;
            }
            trouble::accept_failed(shared, &error);
            epoll::sleep(FAILED);
        }
    }
    Alone::Nothing
}

/// Accepts from a listener.
pub fn take(shared: &Shared, listener: usize) -> Option<Conn> {
    if shared.table.is_full() || shared.lifeline.is_being_killed() {
        return None;
    }
    let bound = shared.context.listeners.get(listener)?;
    let (client, peer) = match bound.accept() {
        Ok(accepted) => accepted,
        Err(error) => {
            trouble::accept_failed(shared, &error);
            return None;
        }
    };
    let client = shared.context.client(client, listener);
    Some(Conn::accepted(client, bound, listener, peer, &shared.context.settings.http))
}

/// Accepts from a listener and reads.
pub fn accept(core: &mut Core, listener: usize) -> Accepted {
    let Some(conn) = take(&core.shared, listener) else { return Accepted::Nothing };
    if dispatch::read(core, conn).is_request() { Accepted::Request } else { Accepted::Connection }
}

/// Of several threads one may have been woken for a connection (EPOLLEXCLUSIVE) while another took the listeners out of
/// the epoll, where it found nothing: no other worker is woken for it. So each looks once at each listener. `true`: there
/// is a request to run.
pub fn take_missed(core: &mut Core, looked_at: &mut usize) -> bool {
    let looks = core.shared.acceptor.watches_table() && core.shared.context.has_threads();
    let listeners = core.shared.context.listeners.clone();
    trouble::set_listening(&core.shared, false);
    for (index, bound) in listeners.iter().enumerate().skip(*looked_at).filter(|_| looks) {
        *looked_at += 1;
        core.claim();
        if epoll::is_readable(&bound.fd) && accept(core, index) == Accepted::Request {
            return true;
        }
        core.unclaim();
        if core.has_unread() {
            break;
        }
    }
    false
}

/// Takes what was in the backlog when the server began to stop: closing the listeners would reset it. The master lets no
/// client in after that; whoever made an inherited socket does, so that there this is done only while `takes_inherited`.
/// `true`: there is a request to run.
pub fn drain(core: &mut Core, takes_inherited: impl Fn() -> bool) -> bool {
    let listeners = core.shared.context.listeners.clone();
    for (index, bound) in listeners.iter().enumerate() {
        core.claim();
        // One that is accepted may not need the application, and others wait behind it.
        while !core.has_unread() && (!bound.inherited || takes_inherited()) && epoll::is_readable(&bound.fd) {
            match accept(core, index) {
                Accepted::Request => return true,
                Accepted::Connection => core.claim(),
                Accepted::Nothing => break,
            }
        }
    }
    core.unclaim();
    false
}

//! What the connection table needs of the worker around it: room for what comes, answers for those that have waited too
//! long or take too much memory, and whether the standby poller looks after them.

use super::deadline::Overdue;
use super::stale::{stalest, take_stale};
use super::table::RequestMemory;
use super::{Conn, State, keep, leftover, linger};
use crate::config::Protocol;
use crate::log;
use crate::sys::{clock, epoll};
use crate::worker::request::canned;
use crate::worker::shared::Shared;

/// Puts a connection into the table until it is readable or writable.
pub fn keep(shared: &Shared, conn: Conn) {
    let memory = shared.table.keep(conn);
    linger::make_room(shared);
    shed_if_needed(shared, memory);
}

/// The same for a core, which may be busy when they come.
#[inline]
pub fn keep_for_standby(shared: &Shared, conn: Conn) {
    let memory = keep::for_standby(shared, conn);
    linger::make_room(shared);
    shed_if_needed(shared, memory);
}

/// Puts a connection into the table that has buffered input for a core, which epoll cannot report.
pub fn leave_to_core(shared: &Shared, conn: Conn) {
    let memory = shared.table.leave_to_core(conn);
    shed_if_needed(shared, memory);
}

/// Puts a connection back as it was.
pub fn put_back(shared: &Shared, conn: Conn, wanted: u32) {
    let memory = shared.table.watch(conn, wanted);
    shed_if_needed(shared, memory);
}

/// Every thread may have been busy for longer than a client may wait. Returns a connection whose client has done
/// nothing.
fn put_back_if_moved(shared: &Shared, conn: Conn) -> Option<Conn> {
    if !conn.has_moved() {
        return Some(conn);
    }
    let wanted = conn.events & !epoll::ONESHOT;
    put_back(shared, conn, wanted);
    None
}

fn shed_if_needed(shared: &Shared, memory: RequestMemory) {
    if memory == RequestMemory::Exceeded {
        shed_requests(shared);
    }
}

// ── time ──

/// Closes the connections that have waited too long, once a second.
#[inline]
pub fn sweep(shared: &Shared, now_us: u64) {
    if shared.table.is_sweep_due(now_us) {
        drop_all_overdue(shared, now_us);
    }
}

#[cold]
fn drop_all_overdue(shared: &Shared, now_us: u64) {
    for conn in shared.table.sweep(now_us) {
        let Some(conn) = put_back_if_moved(shared, conn) else { continue };
        let trickles = conn.overdue(now_us, shared.table.limits()) == Some(Overdue::Trickling);
        drop_overdue(shared, conn, trickles);
    }
}

fn drop_overdue(shared: &Shared, conn: Conn, trickles: bool) {
    let http = &shared.context.settings.http;
    let limit = match trickles {
        true => format!("less than http-min-rate = {} bytes a second", http.min_rate),
        false => format!("nothing for http-timeout = {} s", http.timeout.as_secs()),
    };
    match (&conn.state, conn.protocol, conn.buf.is_empty()) {
        (State::Head, Protocol::Uwsgi, _) => canned::note_slow_peer(shared, conn.buf.len()),
        (State::Head, Protocol::Http, false) => {
            let (bytes, limit) = (conn.buf.len(), http.head_timeout.as_secs());
            let text = format!("only {bytes} bytes of its head came within http-headers-timeout = {limit} s");
            return canned::turn_away(shared, conn, 408, &text);
        }
        (State::Body(_), ..) => {
            return canned::turn_away(shared, conn, 408, &format!("its client sent {limit} of its body"));
        }
        (State::Sending(_), ..) => leftover::cut_off(shared, &conn, &limit),
        _ => {}
    }
    shared.table.forget(&conn);
}

// ── memory: what requests that have begun and not ended may take together (`http-request-memory`) ──

/// Requests in the table take more memory than they may. Gives up those that have waited longest for a byte, until
/// there is some room again.
#[cold]
fn shed_requests(shared: &Shared) {
    // Closing puts connections into the table, too.
    let Some(_turn) = shared.shedding.try_lock() else { return };
    let most = shared.context.settings.http.request_memory;
    let order = stalest(&shared.table.lock(), clock::monotonic_us());
    let mut given_up = 0;
    for stale in order {
        let mut places = shared.table.lock();
        if places.request_memory() <= most - most / 8 {
            break;
        }
        let Some(conn) = take_stale(&mut places, stale) else { continue };
        drop(places);
        let Some(conn) = put_back_if_moved(shared, conn) else { continue };
        shed_request(shared, conn);
        given_up += 1;
    }
    note_shed(shared, given_up);
}

fn shed_request(shared: &Shared, conn: Conn) {
    match conn.protocol {
        Protocol::Http => {
            canned::count_refused(shared, 408);
            canned::answer_last(shared, conn, 408);
        }
        Protocol::Uwsgi => {
            canned::count_refused(shared, 0);
            shared.table.forget(&conn);
        }
    }
}

fn note_shed(shared: &Shared, given_up: u64) {
    if given_up > 0
        && let Some(count) = shared.log.shed.count(given_up, clock::monotonic_us())
    {
        let requests = if count == 1 { "request" } else { "requests" };
        log::say(&format!(
            "worker {}: gave up {count} {requests} (408): what has come of requests that have not ended took more than \
             http-request-memory = {} bytes together; those that had waited longest went first (said once a minute)",
            shared.context.id, shared.context.settings.http.request_memory
        ));
    }
}

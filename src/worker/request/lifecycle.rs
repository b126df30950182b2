//! The begin and end of a request on a core: shown on the scoreboard, counted; what its connection does next.

use super::access;
use crate::config::Protocol;
use crate::shm::scoreboard::RestartRequest;
use crate::sys::clock;
use crate::worker::conn::Conn;
use crate::worker::conn::{leftover, linger};
use crate::worker::core::Core;
use crate::worker::handoff::work;
use crate::worker::response::wait::Finished;
use crate::worker::response::{After, Released};
use std::sync::atomic::Ordering::*;

/// What the scoreboard is to know of a request beside its text.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// What the handlers of signals know of its client.
    pub client: u64,
    pub listener: usize,
    /// Bytes of its head, or of its packet.
    pub head_bytes: usize,
}

/// Puts a request on the scoreboard whose exchange has begun.
pub fn show(core: &mut Core, shown: Shown) {
    let now = clock::monotonic_us();
    core.in_flight.started_us = now;
    core.in_flight.is_running = true;
    let deadline =
        core.shared.context.settings.harakiri.timeout.map_or(0, |time| now + time.as_micros() as u64);
    let request = &core.request;
    let (method, uri) = (request.get(request.known.method), request.get(request.known.uri));
    core.slot.set_origin(shown.listener, shown.head_bytes);
    core.slot.set_ids(request.request_id(), request.trace_id());
    core.slot.begin(shown.client, now, deadline, method, uri);
    let slot = core.shared.context.slot;
    slot.begun_us().store(now, Relaxed);
    if core.in_flight.ready_us != 0 {
        slot.waited_us().fetch_add(now.saturating_sub(core.in_flight.ready_us), Relaxed);
    }
    if core.in_flight.is_counted {
        core.claim();
    } else {
        slot.in_flight().store(1, Relaxed);
    }
    work::notify_begin(&core.shared);
}

/// Sends what is left of the answer, closes, counts and logs.
pub fn finish(core: &mut Core) {
    if !core.in_flight.is_running {
        return;
    }
    core.in_flight.is_running = false;
    let Finished { released, outcome, ended_us } = core.exchange.finish();
    core.slot.end();
    if core.in_flight.is_counted {
        core.unclaim();
    } else {
        core.shared.context.slot.in_flight().store(0, Relaxed);
    }
    if outcome.is_gone() {
        core.shared.context.slot.gone_clients().fetch_add(1, Relaxed);
    }
    if core.shared.context.settings.log.requests {
        access::log(core, &outcome, ended_us);
    }
    access::note_trouble(core, &outcome);
    match (core.current.take(), released) {
        (Some(conn), Some(released)) => after_http(core, conn, released, ended_us),
        (Some(conn), None) => core.shared.table.forget(&conn),
        (None, Some(released)) => after_packet(core, released),
        (None, None) => {}
    }
    if core.shared.context.limit.is_some_and(|limit| outcome.served >= limit) {
        core.shared.lifeline.request_restart(RestartRequest::MaxRequests);
    }
}

/// The request on `conn` is over.
fn after_http(core: &mut Core, mut conn: Conn, released: Released, now_us: u64) {
    conn.client = Some(released.client);
    if !released.surplus.is_empty() {
        conn.buf = released.surplus;
    }
    match released.after {
        After::Keep => core.next_request(conn, now_us),
        After::Close if conn.buf.is_empty() => core.shared.table.forget(&conn),
        After::Close | After::ReadOn => linger::close(&core.shared, conn),
        After::Send(queue, keep) => leftover::put(&core.shared, conn, queue, keep),
    }
}

/// The request of a front end is over.
fn after_packet(core: &mut Core, released: Released) {
    let client = released.client;
    let conn = || Conn::new(client, Protocol::Uwsgi, 0, clock::monotonic_us());
    match released.after {
        After::Keep | After::Close => {}
        After::ReadOn => linger::close(&core.shared, conn()),
        After::Send(queue, _) => leftover::put(&core.shared, conn(), queue, false),
    }
}

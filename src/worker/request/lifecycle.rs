//! The life of a request on a core: shown on the scoreboard, ended, counted. What becomes of its connection then.

use super::access;
use crate::config::Protocol;
use crate::shm::scoreboard::{RestartRequest, bump};
use crate::sys::{clock, signal};
use crate::worker::conn::{leftover, linger};
use crate::worker::conns::{Conn, Waits};
use crate::worker::core::Core;
use crate::worker::response::wait::Finished;
use crate::worker::response::{After, Outcome, Released};
use std::sync::atomic::{AtomicU64, Ordering::*};

/// Puts a request on the scoreboard whose exchange has begun. `client`: what the handlers of signals know of its client.
pub fn show(core: &mut Core, client: u64) {
    let now = clock::monotonic_us();
    core.started_us = now;
    core.running = true;
    let deadline = core.shared.settings.harakiri.timeout.map_or(0, |time| now + time.as_micros() as u64);
    let request = &core.request;
    let (method, uri) = (request.get(request.known.method), request.get(request.known.uri));
    core.slot.begin(client, now, deadline, method, uri);
    if core.counts_in_flight {
        core.shared.progress_us.store(now, Relaxed);
        core.claim();
    } else {
        core.shared.slot.in_flight().store(1, Relaxed);
    }
    core.shared.notify_standby();
}

/// Sends what is left of the answer, closes, counts and logs.
pub fn finish(core: &mut Core) {
    if !core.running {
        return;
    }
    core.running = false;
    let Finished { released, outcome } = core.exchange.finish();
    core.slot.end();
    let shared = core.shared.clone();
    if core.counts_in_flight {
        shared.progress_us.store(clock::monotonic_us(), Relaxed);
        core.unclaim();
    } else {
        shared.slot.in_flight().store(0, Relaxed);
    }
    bump(core.slot.requests(), 1);
    let served = count(core, &outcome);
    // Who sees the end of the answer finds the request counted.
    if shared.settings.log.requests {
        access::log(core, &outcome, served);
    }
    access::note_trouble(core, &outcome);
    match (core.current.take(), released) {
        (Some(conn), Some(released)) => after_http(core, conn, released),
        (Some(conn), None) => shared.forget(&conn),
        (None, Some(released)) => after_packet(core, released),
        (None, None) => {}
    }
    if shared.limit.is_some_and(|limit| served >= limit) {
        shared.request_restart(RestartRequest::MaxRequests);
    }
}

/// The worker's counters; returns how many requests it has served.
fn count(core: &Core, outcome: &Outcome) -> u64 {
    let slot = core.shared.slot;
    let add = |word: &AtomicU64, by: u64| {
        if core.counts_in_flight { word.fetch_add(by, Relaxed) + by } else { bump(word, by) }
    };
    if outcome.is_gone() {
        slot.gone_clients().fetch_add(1, Relaxed);
    }
    add(slot.bytes_sent(), outcome.head_bytes + outcome.body_bytes);
    add(slot.requests(), 1)
}

/// The request on `conn` is over.
fn after_http(core: &mut Core, mut conn: Conn, released: Released) {
    conn.client = Some(released.client);
    if !released.surplus.is_empty() {
        conn.buf = released.surplus;
    }
    match released.after {
        After::Keep => core.next_request(conn),
        After::Close if conn.buf.is_empty() => core.shared.forget(&conn),
        After::Close | After::ReadOn => linger::close(&core.shared, conn),
        After::Send(queue, keep) => leftover::keep(&core.shared, conn, queue, keep),
    }
}

/// The request of a front end is over.
fn after_packet(core: &mut Core, released: Released) {
    let client = released.client;
    let conn = || Conn::new(client, Protocol::Uwsgi, 0, clock::monotonic_us());
    match released.after {
        After::Keep | After::Close => {}
        After::ReadOn => linger::close(&core.shared, conn()),
        After::Send(queue, _) => leftover::keep(&core.shared, conn(), queue, false),
    }
}

impl Core {
    /// The connection is free for another request.
    pub(in crate::worker) fn next_request(&mut self, mut conn: Conn) {
        conn.waits = Waits::Idle;
        conn.since_us = clock::monotonic_us();
        if conn.buf.is_empty() {
            self.keep(conn);
        } else {
            self.again.push_back(conn);
        }
    }

    pub fn count_exception(&self) {
        self.shared.slot.exceptions().fetch_add(1, Relaxed);
    }

    /// Which request this is, for the log.
    pub fn describe(&self) -> String {
        let (request, known) = (&self.request, &self.request.known);
        format!(
            "worker {} core {}: {} {}",
            self.shared.id,
            self.index,
            request.get(known.method).escape_ascii(),
            request.get(known.uri).escape_ascii()
        )
    }

    /// What a signal may have meant: asked after `Interrupted`.
    pub fn obey_signals(&mut self) {
        let noted = signal::take_noted();
        if signal::is_in(noted, signal::SIGTERM) || signal::is_in(noted, signal::SIGHUP) {
            self.shared.request_restart(RestartRequest::Leave);
        }
    }
}

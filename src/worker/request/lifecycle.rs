//! The life of a request on a core: begun, shown on the scoreboard, answered, counted, logged.

use crate::log;
use crate::log::format;
use crate::net::client::Client;
use crate::shm::scoreboard::{RestartRequest, bump};
use crate::sys::{clock, signal};
use crate::worker::body::BodyError;
use crate::worker::body::spool::Storage;
use crate::worker::conn::linger::CUT_SHORT;
use crate::worker::conns::Overdue;
use crate::worker::core::Core;
use crate::worker::response::wait::{Finished, Guard};
use crate::worker::response::{End, Loss, Outcome};
use std::sync::atomic::{AtomicU64, Ordering::*};

impl Core {
    pub(in crate::worker) fn choose_app(&mut self) {
        self.app = self.mounts.choose(&mut self.request);
    }

    /// The exchange has begun: puts the request on the scoreboard, answers it from a file if it names one, and reads its body
    /// ahead, if it is to be. `false`: it is answered, perhaps since its body cannot be read.
    pub(in crate::worker) fn start(&mut self) -> bool {
        self.show_request();
        let settings = &self.shared.settings;
        let (memory, file) = (settings.requests.post_buffering, settings.requests.post_buffering_limit);
        let storage = Storage { memory, file, may_open: true };
        if self.answer_static() {
            self.finish();
            return false;
        }
        let failed = self.lock().body.failed();
        let read = match failed {
            Some(error) => Err(error),
            // Of an HTTP request it has been, while the connection waited in the table.
            None if storage.memory > 0 && self.current.is_none() => self.exchange.buffer_body(storage),
            None => Ok(()),
        };
        read.map_err(|error| self.refuse_body(error)).is_ok()
    }

    fn show_request(&mut self) {
        let now = clock::monotonic_us();
        self.started_us = now;
        self.running = true;
        let deadline = self.shared.settings.harakiri.timeout.map_or(0, |time| now + time.as_micros() as u64);
        let client = self.lock().client().map_or(0, Client::scoreboard_word);
        let request = &self.request;
        let (method, uri) = (request.get(request.known.method), request.get(request.known.uri));
        self.slot.begin(client, now, deadline, method, uri);
        if self.counts_in_flight {
            self.shared.progress_us.store(now, Relaxed);
            self.claim();
        } else {
            self.shared.slot.in_flight().store(1, Relaxed);
        }
        self.shared.notify_standby();
    }

    /// Sends what is left of the answer, closes, counts and logs.
    pub(in crate::worker) fn finish(&mut self) {
        if !self.running {
            return;
        }
        self.running = false;
        let Finished { released, outcome } = self.exchange.finish();
        self.slot.end();
        let shared = self.shared.clone();
        if self.counts_in_flight {
            shared.progress_us.store(clock::monotonic_us(), Relaxed);
            self.unclaim();
        } else {
            shared.slot.in_flight().store(0, Relaxed);
        }
        bump(self.slot.requests(), 1);
        let served = self.count(&outcome);
        // Who sees the end of the answer finds the request counted.
        if shared.settings.log.requests {
            self.log(&outcome, served);
        }
        match outcome.end {
            End::Gone(Loss::Slow(overdue)) if self.current.is_some() => {
                self.note_slow_reader(&outcome, overdue)
            }
            End::Gone(Loss::CutShort) => log::say(&format!("{}: {CUT_SHORT}", self.describe())),
            _ => {}
        }
        if outcome.has_set_coding {
            self.note_coding();
        }
        match (self.current.take(), released) {
            (Some(conn), Some(released)) => self.after_http(conn, released),
            (Some(conn), None) => self.shared.forget(&conn),
            (None, Some(released)) => self.after_packet(released),
            (None, None) => {}
        }
        if shared.limit.is_some_and(|limit| served >= limit) {
            self.shared.request_restart(RestartRequest::MaxRequests);
        }
    }

    fn log(&mut self, outcome: &Outcome, served: u64) {
        // The wake signal that tells of it may still be on its way.
        self.shared.follow_log();
        let now = clock::monotonic_us();
        let total = self.shared.scoreboard.total_requests().fetch_add(1, Relaxed) + 1;
        let mut text = std::mem::take(&mut self.line);
        let entry = self.entry(outcome, now, served, total);
        self.shared.log.push(now, &mut text, |date, out| {
            format::push(out, &format::Entry { date, ..entry });
            format::cut(out, 16 * 1024);
        });
        self.line = text;
    }

    /// The worker's counters; returns how many requests it has served.
    fn count(&self, outcome: &Outcome) -> u64 {
        let slot = self.shared.slot;
        let add = |word: &AtomicU64, by: u64| {
            if self.counts_in_flight { word.fetch_add(by, Relaxed) + by } else { bump(word, by) }
        };
        if outcome.is_gone() {
            slot.gone_clients().fetch_add(1, Relaxed);
        }
        add(slot.bytes_sent(), outcome.head_bytes + outcome.body_bytes);
        add(slot.requests(), 1)
    }

    fn entry<'a>(&'a self, outcome: &Outcome, now: u64, served: u64, total: u64) -> format::Entry<'a> {
        let (request, known) = (&self.request, &self.request.known);
        let settings = &self.shared.settings;
        let forwarded = settings.log.x_forwarded_for && !known.forwarded_for.is_empty();
        format::Entry {
            pid: self.shared.pid,
            app: self.app,
            requests: served,
            total,
            addr: request.get(if forwarded { known.forwarded_for } else { known.remote_addr }),
            user: request.get(known.remote_user),
            vars: request.vars.len(),
            vars_bytes: request.block_len,
            date: "",
            method: request.get(known.method),
            uri: request.get(known.uri),
            body_bytes: outcome.body_bytes,
            micros: now - self.started_us,
            in_micros: settings.log.micros,
            by_sendfile: outcome.by_sendfile,
            protocol: request.get(known.protocol),
            // The client went away before it had the whole answer: nginx's mark for it.
            status: if outcome.is_gone() { 499 } else { outcome.code },
            headers: outcome.headers,
            head_bytes: outcome.head_bytes,
            core: self.index,
        }
    }

    fn note_slow_reader(&self, outcome: &Outcome, overdue: Overdue) {
        let limit = match overdue {
            Overdue::Silent => format!("nothing for {} s", outcome.send_timeout.as_secs()),
            Overdue::Trickling => {
                format!("less than http-min-rate = {} bytes a second", self.shared.settings.http.min_rate)
            }
        };
        log::say(&format!("{}: the client read {limit}; its answer was cut off", self.describe()));
    }

    fn note_coding(&self) {
        if self.shared.set_codings.count(1, clock::monotonic_us()).is_some() {
            log::say(&format!(
                "{}: the application set Transfer-Encoding, which is the server's to set (PEP 3333); it was left out (said \
                 once a minute)",
                self.describe()
            ));
        }
    }

    /// A body that could not be read ahead: the request ends here, answered and logged like any other.
    fn refuse_body(&mut self, error: BodyError) {
        self.answer_broken_body(self.lock(), error);
        self.finish();
    }

    fn answer_broken_body(&self, mut exchange: Guard<'_>, error: BodyError) {
        let status = error.status();
        exchange.answer_plain(status);
        drop(exchange);
        log::say(&format!("{}: {error}; answered {status}", self.describe()));
    }

    /// The application raised, and only let through what reading the body has raised: the fault is the client's, who is told
    /// as if the body had been read ahead.
    pub fn blame_body(&self, mut exchange: Guard<'_>, error: BodyError) {
        match error {
            // Nobody is there to be told, and it happens every minute.
            BodyError::Closed => exchange.give_up(Loss::Left),
            error => self.answer_broken_body(exchange, error),
        }
    }

    /// No application is loaded that answers here.
    pub fn answer_without_app(&self, mut exchange: Guard<'_>) {
        if self.shared.settings.serves_files_only() {
            return exchange.answer_plain(404);
        }
        exchange.answer_plain(503);
        drop(exchange);
        log::say(&format!(
            "{}: no application is loaded for it; answered 503. Look for an error at start, or for a mount that fits",
            self.describe()
        ));
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

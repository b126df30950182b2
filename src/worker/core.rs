//! One core: a thread that takes a request, lets the application answer it, and sees it off. Python comes in between
//! [`Core::next`] and the next call of it.

use super::body::BodyError;
use super::conns::{Conn, Limits, Waits};
use super::exchange::Exchange;
use super::http::Http;
use super::intake::{self, Arrival, CONNECTION, Intake};
use super::mounts::Mounts;
use super::request::Request;
use super::{Shared, log};
use crate::config::Protocol;
use crate::proto::uwsgi;
use crate::report::line;
use crate::shm::board::{CoreSlot, Order, Stage, Wish, bump};
use crate::sys::{clock, epoll, io, signal};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::*;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// What the caller of [`Core::next`] is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A request is in [`Core::request`] and its exchange has begun.
    Request,
    /// A connection waits, and threads of this process are at work: take the interpreter first, then call
    /// [`Core::take_waiting`]. A request is better off in the backlog than behind a busy interpreter.
    Attach,
    /// A signal came: the main thread lets Python run its handlers.
    Interrupted,
    /// The worker is done.
    Leave,
}

/// Connections in a row from one listener before the others get a look.
const STREAK: u32 = 16;
/// The longest that a thread goes straight to sleep after it has looked for a waiting connection in vain.
const MOST_SKIPS: u32 = 32;
/// How often waiting connections are looked over.
const SWEEP_US: u64 = 1_000_000;
/// How long the head of an HTTP request may take.
const HEAD: Duration = Duration::from_secs(15);
/// How long a connection may stay without a request: longer than the 60 s of common balancers, so that they close first.
const IDLE: Duration = Duration::from_secs(75);

pub struct Core {
    pub shared: Arc<Shared>,
    pub index: usize,
    pub slot: CoreSlot,
    pub request: Request,
    /// The app that answers, by its place in load order.
    pub app: Option<usize>,
    pub exchange: Arc<Mutex<Exchange>>,
    mounts: Arc<Mounts>,
    intake: Intake,
    pub(super) http: Http,
    /// The HTTP connection of the running request.
    pub(super) current: Option<Conn>,
    /// A connection that has its next request in its buffer already.
    pub(super) again: Option<Conn>,
    line: Vec<u8>,
    started_us: u64,
    running: bool,
    /// The listener to look at first: that of the last request.
    hot: Option<usize>,
    streak: u32,
    /// Looking for the next connection before sleeping costs a system call when there is none: after looks in vain,
    /// so many requests are ended without one.
    skips: u32,
    next_skips: u32,
    waiting: Option<usize>,
    counts_in_flight: bool,
}

impl Core {
    pub fn new(shared: Arc<Shared>, mounts: Arc<Mounts>, index: usize) -> Core {
        shared.enlist();
        let slot = shared.board.core(shared.slot_index, index);
        slot.end();
        slot.tid().store(crate::sys::process::thread_id() as u64, Relaxed);
        let mut request = Request::default();
        request.text.reserve(shared.settings.buffer_size.min(16 * 1024) + uwsgi::HEAD_LEN);
        Core {
            index,
            slot,
            request,
            app: None,
            exchange: Arc::new(Mutex::new(Exchange::new(slot, shared.settings.socket_timeout))),
            mounts,
            intake: Intake::new(&shared),
            http: Http::new(shared.settings.buffer_size),
            current: None,
            again: None,
            line: Vec::with_capacity(1024),
            started_us: 0,
            running: false,
            hot: None,
            streak: 0,
            skips: 0,
            next_skips: 1,
            waiting: None,
            counts_in_flight: shared.board.threads() > 1,
            shared,
        }
    }

    /// The exchange of the running request. A thread that panicked with it left nothing half-done that the next request
    /// would not overwrite.
    pub fn lock(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Sees the last request off and gets the next. Not while attached to the interpreter.
    pub fn next(&mut self) -> Step {
        self.finish();
        loop {
            if let Some(conn) = self.again.take()
                && self.read(conn)
            {
                return Step::Request;
            }
            match self.shared.slot.order() {
                Order::Serve => self.shared.set_deaf(false),
                Order::Pause => match self.rest() {
                    Some(step) => return step,
                    None => continue,
                },
                Order::Retire => {
                    if self.has_left_nothing() {
                        return self.leave();
                    }
                    self.hot = None;
                }
            }
            if let Some(listener) = self.hot.take()
                && self.accept_hot(listener)
            {
                return Step::Request;
            }
            let arrival = self.wait(false);
            if let Some(step) = self.handle(arrival) {
                return step;
            }
            self.sweep();
        }
    }

    fn handle(&mut self, arrival: Arrival) -> Option<Step> {
        match arrival {
            Arrival::Listener(listener) if self.intake.waited_behind(&self.shared) => {
                self.waiting = Some(listener);
                return Some(Step::Attach);
            }
            Arrival::Listener(listener) => {
                if self.accept(listener) {
                    self.intake.step_back(&self.shared, listener);
                    return Some(Step::Request);
                }
            }
            Arrival::Connection(key) => {
                let conn = self.shared.conns().take(key as usize);
                if conn.is_some_and(|conn| self.read(conn)) {
                    return Some(Step::Request);
                }
            }
            Arrival::TimedOut => self.shared.log.flush(),
            Arrival::Orphaned => self.shared.set_orphaned(),
            Arrival::Interrupted => return Some(Step::Interrupted),
        }
        None
    }

    /// Looks for a connection without having been woken for one, as long as that mostly finds one.
    fn accept_hot(&mut self, listener: usize) -> bool {
        if self.skips > 0 {
            self.skips -= 1;
            return false;
        }
        let found = self.accept(listener);
        self.next_skips = if found { 1 } else { (2 * self.next_skips).min(MOST_SKIPS) };
        self.skips = if found { 0 } else { self.next_skips };
        found
    }

    /// Takes the connection that made [`Core::next`] say `Attach`, if it still waits. Attached; never waits.
    pub fn take_waiting(&mut self) -> bool {
        self.waiting.take().is_some_and(|listener| self.accept(listener))
    }

    fn wait(&mut self, paused: bool) -> Arrival {
        // Lines are written when there is time for it, at the latest when they have waited a little.
        let timeout = if !self.shared.log.is_empty() {
            Some(log::IDLE)
        } else if self.shared.own_epoll() && self.shared.conns().len() > 0 {
            Some(Duration::from_micros(SWEEP_US))
        } else {
            None
        };
        self.intake.wait(&self.shared, paused, timeout)
    }

    /// On pause: wait for another order.
    fn rest(&mut self) -> Option<Step> {
        self.shared.set_deaf(true);
        match self.wait(true) {
            Arrival::Orphaned => self.shared.set_orphaned(),
            Arrival::Interrupted => return Some(Step::Interrupted),
            _ => self.shared.log.flush(),
        }
        None
    }

    fn leave(&mut self) -> Step {
        self.shared.slot.set_stage(Stage::Retiring);
        self.shared.kick_all();
        Step::Leave
    }

    /// Accepts from a listener and reads the request; `true` when there is one to run.
    fn accept(&mut self, listener: usize) -> bool {
        let shared = self.shared.clone();
        let Some(bound) = shared.listeners.get(listener) else { return false };
        let Some((client, peer)) = intake::accept(bound) else {
            self.streak = 0;
            return false;
        };
        self.streak += 1;
        if self.streak < STREAK {
            self.hot = Some(listener);
        } else {
            self.streak = 0;
        }
        let mut conn = Conn::new(client, bound.protocol, listener, clock::monotonic_us());
        conn.peer = peer;
        self.read(conn)
    }

    // ── connections ──

    fn read(&mut self, conn: Conn) -> bool {
        match conn.protocol {
            Protocol::Uwsgi => self.read_packet(conn),
            Protocol::Http => self.read_http(conn),
        }
    }

    /// Puts a connection into the table until it has bytes.
    pub(super) fn keep(&mut self, mut conn: Conn) {
        let shared = &self.shared;
        let flags = if self.counts_in_flight { epoll::READ | epoll::ONESHOT } else { epoll::READ };
        let mut conns = shared.conns();
        let known = conn.key;
        let key = known.unwrap_or_else(|| conns.reserve());
        conn.key = Some(key);
        let Some(client) = &conn.client else { return };
        let token = CONNECTION | key as u64;
        let watched = match known {
            None => shared.epoll.add(client, flags, token),
            Some(_) if self.counts_in_flight => shared.epoll.modify(client, flags, token),
            Some(_) => Ok(()),
        };
        match watched {
            Ok(()) => conns.put(key, conn),
            Err(_) => conns.release(key),
        }
        let full = conns.is_full();
        drop(conns);
        if full {
            shared.set_deaf(true);
        }
    }

    /// A connection is closed, or was never in the table.
    pub(super) fn forget(&mut self, conn: &Conn) {
        if let Some(key) = conn.key {
            self.shared.conns().release(key);
        }
    }

    /// May answers keep their connection open?
    pub(super) fn keeps_connections(&self) -> bool {
        self.shared.slot.order() == Order::Serve && !self.shared.conns().is_full()
    }

    /// Closes the connections that have waited too long, once a second.
    fn sweep(&mut self) {
        if !self.shared.own_epoll() || self.shared.conns().len() == 0 {
            return;
        }
        let now = clock::monotonic_us();
        let due = self.shared.next_sweep_us.load(Relaxed);
        let next = now + SWEEP_US;
        if now < due || self.shared.next_sweep_us.compare_exchange(due, next, Relaxed, Relaxed).is_err() {
            return;
        }
        let limits = Limits { packet: self.shared.settings.socket_timeout, head: HEAD, idle: IDLE };
        let overdue = self.shared.conns().overdue(now, &limits);
        for conn in overdue {
            self.drop_overdue(conn);
        }
    }

    fn drop_overdue(&mut self, mut conn: Conn) {
        self.forget(&conn);
        let Some(client) = conn.client.take() else { return };
        match (conn.waits, conn.protocol, conn.buf.is_empty()) {
            (Waits::Head, Protocol::Uwsgi, _) => self.too_slow(conn.buf.len()),
            (Waits::Head, Protocol::Http, false) => {
                let text =
                    format!("only {} bytes of its head came within {} s", conn.buf.len(), HEAD.as_secs());
                self.refuse(client, 408, &text);
            }
            _ => {}
        }
    }

    /// On the way out: idle connections are closed, those with a request on its way are served first.
    fn has_left_nothing(&mut self) -> bool {
        if !self.shared.own_epoll() {
            return true;
        }
        self.shared.set_deaf(true);
        let idle = self.shared.conns().take_idle();
        for mut conn in idle {
            let begun = conn.client.as_ref().is_some_and(|client| io::has_bytes(client.as_fd()));
            if begun {
                conn.waits = Waits::Head;
                self.keep(conn);
            } else {
                self.forget(&conn);
            }
        }
        self.shared.conns().len() == 0
    }

    // ── the life of a request ──

    pub(super) fn choose_app(&mut self) {
        self.app = self.mounts.choose(&mut self.request);
    }

    /// The exchange has begun: reads its body ahead, if it is to be, and puts the request on the board. `false`: the body
    /// cannot be read, and that was answered.
    pub(super) fn start(&mut self) -> bool {
        self.enter_board();
        let memory = self.shared.settings.post_buffering;
        let mut exchange = self.lock();
        let read = if memory > 0 && !exchange.body.is_drained() {
            exchange.buffer_body(memory)
        } else {
            exchange.body.failed().map_or(Ok(()), Err)
        };
        drop(exchange);
        read.map_err(|error| self.refuse_body(error)).is_ok()
    }

    fn enter_board(&mut self) {
        let now = clock::monotonic_us();
        self.started_us = now;
        self.running = true;
        let deadline = self.shared.settings.harakiri.map_or(0, |time| now + time.as_micros() as u64);
        let client = self.lock().client().map_or(0, |fd| std::os::fd::AsRawFd::as_raw_fd(&fd) as u64 + 1);
        let request = &self.request;
        let (method, uri) = (request.get(request.known.method), request.get(request.known.uri));
        self.slot.begin(client, now, deadline, method, uri);
        if self.counts_in_flight {
            self.shared.slot.in_flight().fetch_add(1, AcqRel);
        } else {
            self.shared.slot.in_flight().store(1, Relaxed);
        }
    }

    /// Sends what is left of the answer, closes, counts and logs.
    fn finish(&mut self) {
        if !self.running {
            return;
        }
        self.running = false;
        let exchange = self.exchange.clone();
        let mut exchange = exchange.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let client = exchange.finish();
        let surplus = if client.is_some() { exchange.body.take_surplus() } else { Vec::new() };
        self.slot.end();
        let shared = self.shared.clone();
        if self.counts_in_flight {
            shared.slot.in_flight().fetch_sub(1, AcqRel);
        } else {
            shared.slot.in_flight().store(0, Relaxed);
        }
        bump(self.slot.requests(), 1);
        let served = self.count(&exchange);
        if shared.settings.log_requests {
            self.log(&exchange, served);
        }
        drop(exchange);
        if let Some(conn) = self.current.take() {
            self.after_http(conn, client, surplus);
        }
        if shared.limit.is_some_and(|limit| served >= limit) {
            if shared.slot.wish() == Wish::None {
                shared.slot.set_wish(Wish::MaxRequests);
                shared.tell_master();
            }
        }
    }

    fn log(&mut self, exchange: &Exchange, served: u64) {
        let now = clock::monotonic_us();
        let total = self.shared.board.total_requests().fetch_add(1, Relaxed) + 1;
        let mut text = std::mem::take(&mut self.line);
        let entry = self.entry(exchange, now, served, total);
        self.shared.log.push(now, &mut text, |date, out| {
            line::push(out, &line::Entry { date, ..entry });
            line::cut(out, 16 * 1024);
        });
        self.line = text;
    }

    /// The worker's counters; returns how many requests it has served.
    fn count(&self, exchange: &Exchange) -> u64 {
        let slot = self.shared.slot;
        let add = |word: &std::sync::atomic::AtomicU64, by: u64| {
            if self.counts_in_flight { word.fetch_add(by, Relaxed) + by } else { bump(word, by) }
        };
        if exchange.is_gone() {
            add(slot.gone_clients(), 1);
        }
        add(slot.bytes_sent(), exchange.head_bytes + exchange.body_bytes);
        add(slot.requests(), 1)
    }

    fn entry<'a>(&'a self, exchange: &Exchange, now: u64, served: u64, total: u64) -> line::Entry<'a> {
        let (request, known) = (&self.request, &self.request.known);
        let settings = &self.shared.settings;
        let forwarded = settings.log_x_forwarded_for && !known.forwarded_for.is_empty();
        line::Entry {
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
            body_bytes: exchange.body_bytes,
            micros: now - self.started_us,
            in_micros: settings.log_micros,
            by_sendfile: exchange.by_sendfile,
            protocol: request.get(known.protocol),
            // The client went away before it had the whole answer: nginx's mark for it.
            status: if exchange.is_gone() { 499 } else { exchange.head.code() },
            headers: exchange.head.headers(),
            head_bytes: exchange.head_bytes,
            core: self.index,
        }
    }

    /// A body that could not be read ahead: the request ends here, answered and logged like any other.
    fn refuse_body(&mut self, error: BodyError) {
        let status = match error {
            BodyError::TooLong => 413,
            BodyError::TimedOut => 408,
            BodyError::Spool => 500,
            BodyError::Closed | BodyError::Malformed | BodyError::Over => 400,
        };
        self.lock().answer_plain(status);
        log::say(&format!("{}: {error}; answered {status}", self.describe()));
        self.finish();
    }

    /// No application is loaded that answers here.
    pub fn answer_without_app(&mut self) {
        self.lock().answer_plain(503);
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
            self.shared.retire();
        }
    }
}

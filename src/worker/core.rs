//! One core: a thread that takes a request, lets the application answer it, and sees it off. Python comes in between
//! [`Core::next`] and the next call of it.

use super::body::BodyError;
use super::exchange::{Exchange, Speaks};
use super::intake::{self, Arrival, Intake};
use super::mounts::Mounts;
use super::request::{self, Request};
use super::{Shared, log};
use crate::config::Protocol;
use crate::proto::http::status::error_answer;
use crate::proto::uwsgi;
use crate::report::line;
use crate::shm::board::{CoreSlot, Order, Stage, Wish, bump};
use crate::sys::{clock, epoll, io, signal};
use std::os::fd::{AsFd, OwnedFd};
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
    line: Vec<u8>,
    started_us: u64,
    running: bool,
    /// The listener to look at first: that of the last request.
    hot: Option<usize>,
    streak: u32,
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
            line: Vec::with_capacity(1024),
            started_us: 0,
            running: false,
            hot: None,
            streak: 0,
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
            match self.shared.slot.order() {
                Order::Serve => {}
                Order::Pause => match self.rest() {
                    Some(step) => return step,
                    None => continue,
                },
                Order::Retire => return self.leave(),
            }
            if let Some(listener) = self.hot.take()
                && self.accept(listener)
            {
                return Step::Request;
            }
            match self.wait(false) {
                Arrival::Listener(listener) if self.intake.waited_behind(&self.shared) => {
                    self.waiting = Some(listener);
                    return Step::Attach;
                }
                Arrival::Listener(listener) => {
                    if self.accept(listener) {
                        self.intake.step_back(&self.shared, listener);
                        return Step::Request;
                    }
                }
                Arrival::Connection(_) | Arrival::TimedOut => self.shared.log.flush(),
                Arrival::Orphaned => self.shared.set_orphaned(),
                Arrival::Interrupted => return Step::Interrupted,
            }
        }
    }

    /// Takes the connection that made [`Core::next`] say `Attach`, if it still waits. Attached; never waits.
    pub fn take_waiting(&mut self) -> bool {
        self.waiting.take().is_some_and(|listener| self.accept(listener))
    }

    fn wait(&mut self, paused: bool) -> Arrival {
        // Lines are written when there is time for it, at the latest when they have waited a little.
        let timeout = (!self.shared.log.is_empty()).then_some(log::IDLE);
        self.intake.wait(&self.shared, paused, timeout)
    }

    /// On pause: wait for another order.
    fn rest(&mut self) -> Option<Step> {
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
        let Some(bound) = self.shared.listeners.get(listener) else { return false };
        let Some(client) = intake::accept(bound) else {
            self.streak = 0;
            return false;
        };
        self.streak += 1;
        self.hot = (self.streak < STREAK).then_some(listener);
        if self.hot.is_none() {
            self.streak = 0;
        }
        match bound.protocol {
            Protocol::Uwsgi => self.read_packet(client),
            Protocol::Http => false,
        }
    }

    // ── uwsgi ──

    fn read_packet(&mut self, client: OwnedFd) -> bool {
        self.request.clear();
        let head = match self.receive(&client, uwsgi::HEAD_LEN) {
            true => uwsgi::Head::parse(&self.request.text),
            false => None,
        };
        let Some(head) = head else { return false };
        let end = uwsgi::HEAD_LEN + head.size as usize;
        match head.modifier1 {
            uwsgi::WSGI | uwsgi::WSGI_STRIP => {}
            uwsgi::PING => {
                let pong = uwsgi::Head { modifier1: uwsgi::PING, size: 0, modifier2: 1 };
                let _ = io::send(client.as_fd(), &pong.to_bytes());
                return false;
            }
            other => {
                let text = format!("unavailable modifier requested: {other} (rwsgi speaks 0, 30 and ping)");
                return self.refuse(client, 501, &text);
            }
        }
        if head.size as usize > self.shared.settings.buffer_size {
            let text = format!(
                "request variables of {} bytes are more than buffer-size = {} allows",
                head.size, self.shared.settings.buffer_size
            );
            self.request.text.clear();
            return self.refuse(client, 431, &text);
        }
        if self.request.text.len() < end && !self.receive(&client, end) {
            return false;
        }
        if head.size == 0 {
            return self.refuse(client, 400, "an empty uwsgi packet: is the front end sending uwsgi_params?");
        }
        if let Err(error) = self.request.index(end, self.shared.settings.max_vars) {
            let status = if error == uwsgi::BlockError::TooMany { 431 } else { 400 };
            return self.refuse(client, status, &format!("a bad uwsgi packet: {error}"));
        }
        self.begin(client, head, end)
    }

    /// Receives until `text` is `until` bytes long. A peer that is too slow is dropped.
    fn receive(&mut self, client: &OwnedFd, until: usize) -> bool {
        let text = &mut self.request.text;
        let mut deadline = None;
        while text.len() < until {
            let most = self.shared.settings.buffer_size + uwsgi::HEAD_LEN - text.len().min(until);
            match io::recv(client.as_fd(), text, most.max(until - text.len())) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    let now = clock::monotonic_us();
                    let timeout = self.shared.settings.socket_timeout.as_micros() as u64;
                    let deadline = *deadline.get_or_insert(now + timeout);
                    let left = Duration::from_micros(deadline.saturating_sub(now));
                    if left.is_zero() || !epoll::wait_one(client, false, left).unwrap_or(false) {
                        bump(self.shared.slot.refused(), 1);
                        log::say(&format!(
                            "worker {}: a peer sent only {} bytes of a request within socket-timeout = {} s; closed",
                            self.shared.id,
                            text.len(),
                            self.shared.settings.socket_timeout.as_secs()
                        ));
                        return false;
                    }
                }
                Err(_) => return false,
            }
        }
        true
    }

    /// The packet is whole: checks what it asks for, chooses the app, and begins the exchange.
    fn begin(&mut self, client: OwnedFd, head: uwsgi::Head, end: usize) -> bool {
        if self.request.wants_code() && !self.shared.settings.dynamic_apps {
            // Whoever reaches the socket could run code of its own (PITFALLS 33); the variables still stand in environ.
            self.note_code_request();
        }
        let settings = self.shared.settings.clone();
        let Ok(length) = request::content_length(self.request.get(self.request.known.content_length)) else {
            return self.refuse(client, 400, "CONTENT_LENGTH is not a number");
        };
        if settings.limit_post > 0 && length.is_some_and(|length| length > settings.limit_post) {
            let text = format!(
                "a body of {} bytes is more than limit-post = {} allows",
                length.unwrap_or(0),
                settings.limit_post
            );
            return self.refuse(client, 413, &text);
        }
        let received = self.request.text.len();
        self.app = self.mounts.choose(&mut self.request);
        if head.modifier1 == uwsgi::WSGI_STRIP {
            self.strip_script_name();
        }
        let chunked = self.request.get(self.request.known.transfer_encoding).eq_ignore_ascii_case(b"chunked");
        let request = &self.request;
        let mut exchange = self.exchange.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let first = &request.text[end..received];
        if length.is_none() && chunked {
            exchange.body.begin_chunked(settings.limit_post, first);
        } else {
            exchange.body.begin_sized(length.unwrap_or(0), first);
        }
        let is_head = request.get(request.known.method) == b"HEAD";
        exchange.begin(client, Speaks::Uwsgi, request.get(request.known.protocol), is_head);
        let buffered = if settings.post_buffering > 0 && !exchange.body.is_drained() {
            exchange.buffer_body(settings.post_buffering)
        } else {
            exchange.body.failed().map_or(Ok(()), Err)
        };
        drop(exchange);
        self.start();
        match buffered {
            Ok(()) => true,
            Err(error) => {
                self.refuse_body(error);
                false
            }
        }
    }

    /// modifier1 30: PATH_INFO still begins with SCRIPT_NAME.
    fn strip_script_name(&mut self) {
        let script_name = self.request.value_at(self.request.known.script_name);
        let path = self.request.value_at(self.request.known.path_info);
        if !script_name.is_empty() && path.starts_with(script_name) {
            self.request.cut_path(script_name.len());
        }
    }

    fn note_code_request(&self) {
        log::say(&format!(
            "worker {}: a request asked to load code (UWSGI_FILE, UWSGI_MODULE or the like); ignored, since \
             dynamic-apps is not set",
            self.shared.id
        ));
    }

    // ── the life of a request ──

    /// Puts the request on the board.
    fn start(&mut self) {
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
        drop(exchange.finish());
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
        if shared.limit.is_some_and(|limit| served >= limit) {
            shared.slot.set_wish(Wish::MaxRequests);
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

    /// Answers what cannot be run, with one line that names the cause. Nothing is put on the board or counted as a
    /// request.
    fn refuse(&mut self, client: OwnedFd, status: u16, why: &str) -> bool {
        self.refuse_on(&client, status, why);
        let timeout = self.shared.settings.socket_timeout.min(Duration::from_secs(1));
        io::shutdown_send(client.as_fd());
        discard(&client, timeout);
        false
    }

    fn refuse_on(&self, client: &OwnedFd, status: u16, why: &str) {
        let mut out = Vec::with_capacity(256);
        error_answer(&mut out, status, b"", false, false);
        let _ = io::send(client.as_fd(), &out);
        bump(self.shared.slot.refused(), 1);
        log::say(&format!("worker {}: refused a request with {status}: {why}", self.shared.id));
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
        let (request, known) = (&self.request, &self.request.known);
        log::say(&format!(
            "worker {}: {} {}: {error}; answered {status}",
            self.shared.id,
            request.get(known.method).escape_ascii(),
            request.get(known.uri).escape_ascii()
        ));
        self.finish();
    }

    /// What a signal may have meant: asked after `Interrupted`.
    pub fn obey_signals(&mut self) {
        let noted = signal::take_noted();
        if signal::is_in(noted, signal::SIGTERM) || signal::is_in(noted, signal::SIGHUP) {
            self.shared.retire();
        }
    }
}

/// Reads and drops what a refused peer still sends, for a moment, so that it can read its answer.
fn discard(client: &OwnedFd, patience: Duration) {
    let mut buffer = [0; 16 * 1024];
    for _ in 0..1024 {
        match io::recv_slice(client.as_fd(), &mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if !epoll::wait_one(client, false, patience).unwrap_or(false) {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

//! One request and its answer on one connection: what the application may read and write, and nothing that outlives
//! the request. Python's objects hold an exchange by its serial number and find it gone when the request is over.

mod head;
mod reading;
mod sending;
pub mod wait;
mod writer;

use super::body::{Body, BodyError};
use super::conns::Overdue;
use crate::base::date::HttpDate;
use crate::config::Settings;
use crate::net::client::Client;
use crate::net::send_queue::SendQueue;
use crate::proto::http::response::{Delivery, ResponseHead};
use crate::shm::scoreboard::{CoreSlot, WorkerSlot};
use crate::sys::wait::Waker;
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::Duration;

/// What the connection speaks, as far as the answer is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// The answer is the app's, as it is; the connection closes after it.
    Uwsgi,
    /// `keep_alive`: client and server would both go on.
    Http { minor: u8, keep_alive: bool, date: HttpDate },
}

/// The client is gone, or its answer was given by somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// Why a piece of an answer was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    Gone,
    /// The answer has all that it may have.
    Complete,
    /// The request has ended.
    Over,
}

impl From<Gone> for WriteError {
    fn from(Gone: Gone) -> WriteError {
        WriteError::Gone
    }
}

/// What became of a piece of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The kernel has it, or it waits for the end of the answer.
    All,
    /// Its bytes from `at` to `end` are left; it has its turn until [`wait::SharedExchange::write_on`] has seen to them.
    Part { at: usize, end: usize },
    /// Another thread's piece is under way. Nothing was taken.
    Busy,
}

/// How the answer of a request that is over has ended.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub gone: bool,
    pub code: u16,
    pub headers: u32,
    pub head_bytes: u64,
    pub body_bytes: u64,
    pub by_sendfile: bool,
    /// The client took nothing of the answer for too long, or too little.
    pub overdue: Option<Overdue>,
    /// The file that was sent had become shorter, and the answer with it.
    pub is_cut_short: bool,
    /// The application has set Transfer-Encoding.
    pub has_set_coding: bool,
    /// The longest wait for a client that does not read.
    pub send_timeout: Duration,
}

/// Small bodies are copied behind the head and go out with it, when the core is done with Python.
const SMALL: usize = 16 * 1024;

pub struct Exchange {
    /// Names the request; changes with each.
    pub serial: u64,
    client: Option<Client>,
    slot: CoreSlot,
    worker: WorkerSlot,
    /// The longest wait for the client, and that of requests for which nothing else is said.
    timeout: Duration,
    usual_timeout: Duration,
    settings: Arc<Settings>,
    pub body: Body,
    pub head: ResponseHead,
    speaks: Speaks,
    /// The request's SERVER_PROTOCOL, with which a uwsgi answer's status line begins.
    protocol: Vec<u8>,
    is_head_request: bool,
    /// The client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    pub expects_continue: bool,
    out: Vec<u8>,
    /// Set once the head is in `out` or beyond.
    delivery: Option<Delivery>,
    gone: bool,
    /// The connection cannot carry another request.
    close: bool,
    pub head_bytes: u64,
    pub body_bytes: u64,
    pub by_sendfile: bool,
    /// Nothing more is taken.
    completed: bool,
    /// The answer has no proper end.
    broken_off: bool,
    surplus: Vec<u8>,
    /// Bytes of the answer's end that may be left to the connection table.
    room: usize,
    /// What is left of a file may be, however much.
    parks: bool,
    /// What goes out behind `out`.
    queue: SendQueue,
    /// The file that was sent had become shorter.
    is_cut_short: bool,
    /// The Server header of HTTP answers.
    server: Vec<u8>,
    /// The client took nothing for as long as the timeout allows, or too little.
    overdue: Option<Overdue>,
    /// Bytes that the kernel has taken, and how long the client was waited for.
    sent: u64,
    waited: Duration,
    /// The thread that runs the requests.
    core_thread: ThreadId,
    /// Wakes the other threads that wait, while there are some.
    waker: Option<Arc<Waker>>,
    waiting: usize,
    /// A thread's read is under way, which others must not break into.
    reading: bool,
    /// The same for a piece of the answer, of which nobody but its thread has the last `held_back` bytes.
    writing: bool,
    held_back: usize,
    /// When to look for the client next, if nothing is sent to it; 0: nobody has asked yet.
    look_at_us: u64,
    /// Since when it is known to send no more; 0: it may.
    half_closed_us: u64,
}

/// What becomes of a connection when its request is over.
#[derive(Debug)]
pub enum After {
    Keep,
    Close,
    /// The client still sends: read on before closing.
    ReadOn,
    /// Something of the answer is left; then keep the connection, or not.
    Send(SendQueue, bool),
}

impl Exchange {
    pub fn new(slot: CoreSlot, worker: WorkerSlot, settings: Arc<Settings>) -> Exchange {
        Exchange {
            serial: 0,
            client: None,
            slot,
            worker,
            timeout: settings.requests.socket_timeout,
            usual_timeout: settings.requests.socket_timeout,
            server: settings.http.server.clone().unwrap_or_default().into_bytes(),
            body: Body::default(),
            head: ResponseHead::new(settings.requests.response_headers_limit),
            settings,
            speaks: Speaks::Uwsgi,
            protocol: Vec::new(),
            is_head_request: false,
            expects_continue: false,
            out: Vec::with_capacity(2048),
            delivery: None,
            gone: false,
            close: true,
            head_bytes: 0,
            body_bytes: 0,
            by_sendfile: false,
            completed: false,
            broken_off: false,
            surplus: Vec::new(),
            room: 0,
            overdue: None,
            sent: 0,
            waited: Duration::ZERO,
            parks: false,
            queue: SendQueue::default(),
            is_cut_short: false,
            core_thread: thread::current().id(),
            waker: None,
            waiting: 0,
            reading: false,
            writing: false,
            held_back: 0,
            look_at_us: 0,
            half_closed_us: 0,
        }
    }

    /// A new request on `client`; its body is set by the caller.
    pub fn begin(&mut self, client: Client, speaks: Speaks, protocol: &[u8], is_head_request: bool) {
        self.serial += 1;
        self.client = Some(client);
        self.speaks = speaks;
        self.protocol.clear();
        self.protocol.extend_from_slice(protocol);
        self.is_head_request = is_head_request;
        self.expects_continue = false;
        self.head.clear();
        self.out.clear();
        self.delivery = None;
        self.gone = false;
        self.close = speaks == Speaks::Uwsgi;
        self.head_bytes = 0;
        self.body_bytes = 0;
        self.by_sendfile = false;
        self.completed = false;
        self.broken_off = false;
        self.room = 0;
        self.parks = false;
        self.queue.clear();
        self.is_cut_short = false;
        self.timeout = self.usual_timeout;
        self.overdue = None;
        self.sent = 0;
        self.waited = Duration::ZERO;
        self.reading = false;
        self.writing = false;
        self.held_back = 0;
        self.look_at_us = 0;
        self.half_closed_us = 0;
    }

    /// Lets the connection table wait for the client: with up to `room` bytes that the client has not taken when the app
    /// is done, and for as long as it takes nothing.
    pub fn allow(&mut self, room: usize, timeout: Duration) {
        self.room = room;
        self.parks = true;
        self.timeout = timeout;
    }

    /// The same for files only.
    pub fn allow_files(&mut self) {
        self.parks = true;
    }

    pub fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// The client went away, or its answer was given by the stack-dump handler.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Is the application to hear that its client is gone?
    pub fn tells_gone(&self) -> bool {
        !self.settings.requests.disable_write_exception
    }

    /// The head is on its way: it cannot be changed any more.
    pub fn head_sent(&self) -> bool {
        self.delivery.is_some()
    }

    /// The end of the answer as the application sees it: what it writes now goes nowhere.
    pub fn is_complete(&self) -> bool {
        match self.delivery {
            Some(Delivery::Nothing) => true,
            Some(Delivery::Length(length)) => self.body_bytes >= length,
            _ => false,
        }
    }

    /// What is wrong with the body, as long as the client can be told.
    pub fn body_fault(&self) -> Option<BodyError> {
        self.body.failed().filter(|_| !self.head_sent())
    }

    /// Is the answer to a HEAD out, behind which nothing comes whatever the application yields?
    pub fn is_answered_head(&self) -> bool {
        self.is_head_request && self.delivery.is_some()
    }

    pub fn outcome(&self) -> Outcome {
        Outcome {
            gone: self.gone,
            code: self.head.code(),
            headers: self.head.headers(),
            head_bytes: self.head_bytes,
            body_bytes: self.body_bytes,
            by_sendfile: self.by_sendfile,
            overdue: self.overdue,
            is_cut_short: self.is_cut_short,
            has_set_coding: self.head.has_set_coding(),
            send_timeout: self.send_timeout(),
        }
    }
}

//! One request and its answer on one connection: what the application may read and write, and nothing that outlives the
//! request. Python's objects hold an exchange by its serial number, which no longer matches when the request is over.

mod counted;
mod head;
mod reading;
mod sending;
#[cfg(test)]
mod tests;
pub mod wait;
mod writer;

use crate::base::date::HttpDate;
use crate::config::Settings;
use crate::net::client::Client;
use crate::net::send_queue::SendQueue;
use crate::proto::http::response::{Delivery, ResponseHead, Settled};
use crate::shm::scoreboard::{CoreSlot, WorkerSlot};
use crate::sys::wait::Waker;
use crate::worker::body::Body;
use crate::worker::body::error::BodyError;
use crate::worker::conn::deadline::Overdue;
use crate::worker::counting::Counting;
use counted::Counted;
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

/// The client is gone, or harakiri has answered it.
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
    /// Its bytes from `at` to `end` are left; it has its turn until [`wait::SharedExchange::write_on`] has seen to
    /// them.
    Part { at: usize, end: usize },
    /// Another thread's piece is under way. Nothing was taken.
    Busy,
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// The application may add to it.
    #[default]
    Open,
    /// The application is done.
    Complete,
    /// The application failed after the head had gone out: the connection closes without a proper end, so that the
    /// client notices.
    BrokenOff,
    /// Nothing more reaches the client.
    Gone(Loss),
}

/// Why nothing more reaches a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It went away, or harakiri has answered it.
    Left,
    /// It took nothing of the answer for too long, or too little.
    Slow(Overdue),
    /// The file that was sent had become shorter, and the answer with it.
    CutShort,
}

/// How the answer of a request that is over has ended.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub end: End,
    pub code: u16,
    pub headers: u32,
    pub head_bytes: u64,
    pub body_bytes: u64,
    pub by_sendfile: bool,
    /// The application has set Transfer-Encoding.
    pub has_set_coding: bool,
    /// The worker's requests up to this one.
    pub served: u64,
    /// The longest wait for a client that does not read.
    pub send_timeout: Duration,
}

impl Outcome {
    pub fn is_gone(&self) -> bool {
        matches!(self.end, End::Gone(_))
    }
}

/// Small bodies are copied behind the head and go out with it, when the core is done with Python.
const SMALL: usize = 16 * 1024;

/// One request and its answer. Buffers outlive the request and are used again; everything else is made anew by
/// [`Exchange::begin`].
pub struct Exchange {
    /// Names the request; changes with each.
    pub serial: u64,
    home: Home,
    client: Option<Client>,
    asked: Asked,
    limits: Limits,
    pub body: Body,
    pub head: ResponseHead,
    /// Set once the head is among what is to be sent, or beyond.
    settled: Option<Settled>,
    end: End,
    unsent: Unsent,
    progress: Progress,
    counted: Counted,
    turns: Turns,
}

/// The core that an exchange belongs to, and what is the same for all of its requests.
struct Home {
    slot: CoreSlot,
    worker: WorkerSlot,
    settings: Arc<Settings>,
    counting: Counting,
    /// The thread that runs the requests.
    thread: ThreadId,
}

/// What the answer has to know of the request.
struct Asked {
    speaks: Speaks,
    /// The request's SERVER_PROTOCOL, with which a uwsgi answer's status line begins.
    protocol: Vec<u8>,
    /// The X-Request-ID that the answer is to carry; empty: none.
    request_id: Vec<u8>,
    is_head: bool,
    /// The client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    expects_continue: bool,
}

/// How long the client may take, and what of its answer may wait for it without a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the answer's end that may be left to the connection table. What is left of a file may be, however much.
    pub room: usize,
    /// The longest wait for the client.
    pub timeout: Duration,
}

/// What goes out next: bytes, and then the queue.
struct Unsent {
    bytes: Vec<u8>,
    queue: SendQueue,
}

/// What of the answer has gone out, and what the client has done meanwhile.
#[derive(Default)]
struct Progress {
    body_bytes: u64,
    by_sendfile: bool,
    /// Bytes that the kernel has taken, and how long the client was waited for.
    sent: u64,
    waited: Duration,
    /// The same together with the waits for the request's body.
    client_us: u64,
    is_static: bool,
    /// When to look for the client next, if nothing is sent to it; 0: not yet.
    look_at_us: u64,
    /// Since when it is known to send no more; 0: it may.
    half_closed_us: u64,
    /// Since when the application yields nothing for an answer that can have no bytes; 0: it does not.
    empty_us: u64,
}

/// The threads of one request that read and write: one at a time each.
#[derive(Default)]
struct Turns {
    /// A thread's read is under way, which others must not break into.
    reading: bool,
    /// The same for a piece of the answer, whose last `held_back` bytes only its thread has.
    writing: bool,
    held_back: usize,
    /// Threads that wait, and what wakes those that others may wake. Some may still be waiting for the request before.
    waiting: usize,
    waker: Option<Arc<Waker>>,
}

impl Unsent {
    fn clear(&mut self) {
        self.bytes.clear();
        self.queue.clear();
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.queue.is_empty()
    }
}

impl Turns {
    /// No thread reads or writes.
    fn clear(&mut self) {
        self.reading = false;
        self.writing = false;
        self.held_back = 0;
    }

    /// Wakes every other thread of the request.
    fn wake_others(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// A connection whose request is over.
#[derive(Debug)]
pub struct Released {
    pub client: Client,
    pub after: After,
    /// Bytes of the next request that came with the last body.
    pub surplus: Vec<u8>,
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
    pub fn new(slot: CoreSlot, worker: WorkerSlot, settings: Arc<Settings>, counting: Counting) -> Exchange {
        Exchange {
            serial: 0,
            client: None,
            asked: Asked {
                speaks: Speaks::Uwsgi,
                protocol: Vec::new(),
                request_id: Vec::new(),
                is_head: false,
                expects_continue: false,
            },
            limits: Limits { room: 0, timeout: settings.requests.socket_timeout },
            body: Body::default(),
            head: ResponseHead::new(settings.requests.response_headers_limit),
            settled: None,
            end: End::Open,
            unsent: Unsent { bytes: Vec::with_capacity(2048), queue: SendQueue::default() },
            progress: Progress::default(),
            counted: Counted::default(),
            turns: Turns::default(),
            home: Home { slot, worker, settings, counting, thread: thread::current().id() },
        }
    }

    /// A new request on `client`; its body is set by the caller.
    pub fn begin(&mut self, client: Client, speaks: Speaks, limits: Limits, protocol: &[u8], is_head: bool) {
        self.serial += 1;
        self.client = Some(client);
        let asked = &mut self.asked;
        asked.speaks = speaks;
        asked.protocol.clear();
        asked.protocol.extend_from_slice(protocol);
        asked.request_id.clear();
        asked.is_head = is_head;
        asked.expects_continue = false;
        self.limits = limits;
        self.head.clear();
        self.settled = None;
        self.end = End::Open;
        self.unsent.clear();
        self.progress = Progress::default();
        self.counted = Counted::default();
        self.turns.clear();
    }

    /// The answer carries this X-Request-ID, unless the application sets one.
    pub fn set_request_id(&mut self, id: &[u8]) {
        self.asked.request_id.extend_from_slice(id);
    }

    /// The client waits for `100 Continue`, unless its body is here as a whole.
    pub fn expect_continue(&mut self) {
        self.asked.expects_continue = !self.body.is_seekable();
    }

    pub fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    fn is_tls(&self) -> bool {
        self.client.as_ref().is_some_and(Client::is_tls)
    }

    /// The client went away, or its answer was given by the stack-dump handler.
    pub fn is_gone(&self) -> bool {
        matches!(self.end, End::Gone(_))
    }

    /// Does the application get an exception when its client is gone?
    pub fn tells_gone(&self) -> bool {
        !self.home.settings.requests.disable_write_exception
    }

    /// The head is among what is to be sent: it cannot be changed any more.
    pub fn head_sent(&self) -> bool {
        self.settled.is_some()
    }

    fn delivery(&self) -> Option<Delivery> {
        self.settled.map(|settled| settled.delivery)
    }

    /// The end of the answer as the application sees it: what it writes now goes nowhere.
    pub fn is_complete(&self) -> bool {
        match self.delivery() {
            Some(Delivery::Nothing) => true,
            Some(Delivery::Length(length)) => self.progress.body_bytes >= length,
            _ => false,
        }
    }

    /// The body has fewer bytes than its Content-Length: only closing the connection shows that.
    fn is_short(&self) -> bool {
        matches!(self.delivery(), Some(Delivery::Length(length)) if self.progress.body_bytes < length)
    }

    /// What is wrong with the request's body, as long as an error answer is possible.
    pub fn body_fault(&self) -> Option<BodyError> {
        self.body.failed().filter(|_| !self.head_sent())
    }

    /// Is the answer to a HEAD out, behind which nothing comes whatever the application yields?
    pub fn is_answered_head(&self) -> bool {
        self.asked.is_head && self.head_sent()
    }

    pub fn outcome(&self) -> Outcome {
        Outcome {
            end: self.end,
            code: self.head.code(),
            headers: self.head.headers(),
            head_bytes: if self.head_sent() { self.head.bytes().len() as u64 } else { 0 },
            body_bytes: self.progress.body_bytes,
            by_sendfile: self.progress.by_sendfile,
            has_set_coding: self.head.has_set_coding(),
            served: self.served(),
            send_timeout: self.send_timeout(),
        }
    }
}

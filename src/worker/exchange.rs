//! One request and its answer on one connection: what the application may read and write, and nothing that outlives
//! the request. Python's objects hold an exchange by its serial number and find it gone when the request is over.

mod heading;
mod reading;
mod sending;

use super::body::Body;
use super::client::Client;
use super::conns::Overdue;
use super::rest::Rest;
use crate::base::date::HttpDate;
use crate::config::Settings;
use crate::proto::http::chunked::{CHUNK_END, LAST_CHUNK, push_chunk_size};
use crate::proto::http::response::{Delivery, ResponseHead};
use crate::shm::board::{CoreSlot, WorkerSlot};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
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
    over_length: bool,
    /// The answer has no proper end.
    broken_off: bool,
    surplus: Vec<u8>,
    /// Bytes of the answer's end that may be left to the connection table.
    room: usize,
    /// What is left of a file may be, however much.
    parks: bool,
    /// What goes out behind `out`.
    rest: Rest,
    /// The file that was sent had become shorter.
    is_cut_short: bool,
    /// The Server header of HTTP answers.
    server: Vec<u8>,
    /// The client took nothing for as long as the timeout allows, or too little.
    overdue: Option<Overdue>,
    /// Bytes that the kernel has taken, and how long the client was waited for.
    sent: u64,
    waited: Duration,
}

/// What becomes of a connection when its request is over.
#[derive(Debug)]
pub enum After {
    Keep,
    Close,
    /// The client still sends: read on before closing.
    ReadOn,
    /// Something of the answer is left; then keep the connection, or not.
    Send(Rest, bool),
}

impl Exchange {
    pub fn new(slot: CoreSlot, worker: WorkerSlot, settings: Arc<Settings>) -> Exchange {
        Exchange {
            serial: 0,
            client: None,
            slot,
            worker,
            timeout: settings.socket_timeout,
            usual_timeout: settings.socket_timeout,
            server: settings.http.server.clone().unwrap_or_default().into_bytes(),
            body: Body::default(),
            head: ResponseHead::new(settings.response_headers_limit),
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
            over_length: false,
            broken_off: false,
            surplus: Vec::new(),
            room: 0,
            overdue: None,
            sent: 0,
            waited: Duration::ZERO,
            parks: false,
            rest: Rest::default(),
            is_cut_short: false,
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
        self.over_length = false;
        self.broken_off = false;
        self.room = 0;
        self.parks = false;
        self.rest.clear();
        self.is_cut_short = false;
        self.timeout = self.usual_timeout;
        self.overdue = None;
        self.sent = 0;
        self.waited = Duration::ZERO;
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
        !self.settings.client_errors.disable_write_exception
    }

    /// The head is on its way: it cannot be changed any more.
    pub fn head_sent(&self) -> bool {
        self.delivery.is_some()
    }

    /// The client took nothing of the answer for too long, or too little.
    pub fn overdue(&self) -> Option<Overdue> {
        self.overdue
    }

    /// The file that was sent had become shorter, and the answer with it.
    pub fn is_cut_short(&self) -> bool {
        self.is_cut_short
    }

    /// The longest wait for the client.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The app wrote more than the Content-Length that it had set; the surplus was cut off.
    pub fn is_over_length(&self) -> bool {
        self.over_length
    }

    /// Cuts what goes beyond the length that was announced: the client would take it for the next answer.
    fn clip<'a>(&mut self, chunk: &'a [u8], delivery: Delivery) -> &'a [u8] {
        match delivery {
            Delivery::Nothing => &[],
            Delivery::Length(length) if self.body_bytes + chunk.len() as u64 > length => {
                self.over_length = true;
                &chunk[..(length - self.body_bytes.min(length)) as usize]
            }
            _ => chunk,
        }
    }

    /// The whole body at once. A small one waits in `out` for [`Exchange::finish`]; of a large one as much goes out now as
    /// the socket takes. Returns how much was taken over; the rest is for [`Exchange::write_rest`].
    pub fn write_whole(&mut self, body: &[u8]) -> Result<usize, Gone> {
        if self.gone {
            return Err(Gone);
        }
        let delivery = match self.delivery {
            Some(_) => return self.write(body),
            None => self.push_head(Some(body.len() as u64)),
        };
        if delivery == Delivery::Chunked {
            return self.write(body);
        }
        let clipped = self.clip(body, delivery);
        self.body_bytes += clipped.len() as u64;
        if clipped.len() <= SMALL {
            self.out.extend_from_slice(clipped);
            return Ok(body.len());
        }
        let sent = self.send_with(clipped)?;
        Ok(if sent == clipped.len() { body.len() } else { sent })
    }

    /// One piece of the body, on its way when this returns, as far as the socket takes it. Returns how much was taken
    /// over; the rest is for [`Exchange::write_rest`].
    pub fn write(&mut self, chunk: &[u8]) -> Result<usize, Gone> {
        if self.gone {
            return Err(Gone);
        }
        let delivery = match self.delivery {
            Some(delivery) => delivery,
            None => self.push_head(None),
        };
        let clipped = self.clip(chunk, delivery);
        self.body_bytes += clipped.len() as u64;
        if delivery == Delivery::Chunked && !clipped.is_empty() {
            push_chunk_size(&mut self.out, clipped.len());
            self.out.extend_from_slice(clipped);
            self.out.extend_from_slice(CHUNK_END);
            return self.send_with(&[]).map(|_| chunk.len());
        }
        if clipped.len() <= SMALL {
            self.out.extend_from_slice(clipped);
            return self.send_with(&[]).map(|_| chunk.len());
        }
        let sent = self.send_with(clipped)?;
        Ok(if sent == clipped.len() { chunk.len() } else { sent })
    }

    /// Sends `length` bytes of a file from `offset`. Not while attached to the interpreter. What the client does not take
    /// now is left to the connection table where that is allowed.
    pub fn send_file(&mut self, file: BorrowedFd<'_>, offset: u64, length: u64) -> Result<(), Gone> {
        if self.gone {
            return Err(Gone);
        }
        let delivery = match self.delivery {
            Some(delivery) => delivery,
            None => self.push_head(Some(length)),
        };
        let length = match delivery {
            Delivery::Nothing => 0,
            Delivery::Length(declared) => length.min(declared.saturating_sub(self.body_bytes)),
            _ => length,
        };
        if length > 0 {
            // Its owner closes the file before the last byte has gone out.
            let Ok(file) = file.try_clone_to_owned() else { return self.lost() };
            self.rest = Rest::of_file(file, self.settings.statics.copies);
            self.rest.push_stretch(offset, length);
        }
        self.by_sendfile = self.sends_files();
        self.body_bytes += length;
        if delivery != Delivery::Chunked {
            return self.send_end();
        }
        push_chunk_size(&mut self.out, length as usize);
        self.send_all()?;
        if length > 0 {
            self.out.extend_from_slice(CHUNK_END);
        }
        Ok(())
    }

    /// An answer whose head is set, Content-Length included, and whose body is this. It goes out with [`Exchange::finish`].
    pub fn attach(&mut self, body: Rest) {
        let length = body.len();
        if self.push_head(Some(length)) != Delivery::Nothing && length > 0 {
            self.body_bytes = length;
            self.by_sendfile = self.sends_files();
            self.rest = body;
        }
    }

    /// The app is done: whatever marks the end goes into `out`.
    pub fn complete(&mut self) {
        if self.gone {
            return;
        }
        let delivery = match self.delivery {
            Some(delivery) => delivery,
            None => self.push_head(Some(0)),
        };
        match delivery {
            Delivery::Chunked => self.out.extend_from_slice(LAST_CHUNK),
            // Fewer bytes than announced: only closing tells the client.
            Delivery::Length(length) if self.body_bytes < length => self.close = true,
            _ => {}
        }
    }

    /// The app failed after the head had gone out: the connection closes without a proper end, so that the client notices.
    pub fn abort(&mut self) {
        self.close = true;
        self.broken_off = true;
    }
}

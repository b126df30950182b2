//! One request and its answer on one connection: what the application may read and write, and nothing that outlives
//! the request. Python's objects hold an exchange by its serial number and find it gone when the request is over.

use super::answer::{self, Head, HeadError};
use super::body::{Body, BodyError};
use crate::shm::board::CoreSlot;
use crate::sys::{epoll, io};
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// How the end of an answer's body is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The connection closes: uwsgi sockets, HTTP/1.0.
    Close,
    /// HTTP/1.1: Content-Length, else chunks.
    Http11 { keep_alive: bool },
    /// HTTP/1.0 with keep-alive asked for: only an answer with Content-Length keeps the connection.
    Http10 { keep_alive: bool },
}

/// The client is gone, or its answer was given by somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// Small bodies are copied behind the head and go out with it, when the core is done with Python.
const SMALL: usize = 16 * 1024;

pub struct Exchange {
    /// Names the request; changes with each.
    pub serial: u64,
    client: Option<OwnedFd>,
    slot: CoreSlot,
    pub body: Body,
    pub head: Head,
    protocol: Vec<u8>,
    framing: Framing,
    is_head_request: bool,
    timeout: Duration,
    out: Vec<u8>,
    head_sent: bool,
    chunked: bool,
    /// A 1.1 client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    pub expects_continue: bool,
    gone: bool,
    /// The connection cannot carry another request.
    close: bool,
    pub head_bytes: u64,
    pub body_bytes: u64,
    pub by_sendfile: bool,
    over_length: bool,
}

impl Exchange {
    pub fn new(slot: CoreSlot, timeout: Duration) -> Exchange {
        Exchange {
            serial: 0,
            client: None,
            slot,
            body: Body::default(),
            head: Head::default(),
            protocol: Vec::new(),
            framing: Framing::Close,
            is_head_request: false,
            timeout,
            out: Vec::with_capacity(SMALL + 2048),
            head_sent: false,
            chunked: false,
            expects_continue: false,
            gone: false,
            close: true,
            head_bytes: 0,
            body_bytes: 0,
            by_sendfile: false,
            over_length: false,
        }
    }

    /// A new request on `client`. `protocol` is what its answer's status line begins with.
    pub fn begin(&mut self, client: OwnedFd, framing: Framing, protocol: &[u8], is_head_request: bool) {
        self.serial += 1;
        self.client = Some(client);
        self.framing = framing;
        self.protocol.clear();
        self.protocol.extend_from_slice(if protocol.is_empty() { b"HTTP/1.0" } else { protocol });
        self.is_head_request = is_head_request;
        self.head.clear();
        self.out.clear();
        self.head_sent = false;
        self.chunked = false;
        self.expects_continue = false;
        self.gone = false;
        self.close = framing == Framing::Close;
        self.head_bytes = 0;
        self.body_bytes = 0;
        self.by_sendfile = false;
        self.over_length = false;
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.client.as_ref().map(AsFd::as_fd)
    }

    pub fn client(&self) -> Option<BorrowedFd<'_>> {
        self.fd()
    }

    pub fn is_gone(&self) -> bool {
        self.gone
    }

    pub fn head_sent(&self) -> bool {
        self.head_sent
    }

    /// The app wrote more than the Content-Length that it had set; the surplus was cut off.
    pub fn is_over_length(&self) -> bool {
        self.over_length
    }

    // ── the head ──

    pub fn start(&mut self, status: &[u8]) -> Result<(), HeadError> {
        self.head.start(&self.protocol, status)
    }

    pub fn add_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        self.head.add(name, value, self.framing == Framing::Close)
    }

    /// Replaces whatever was set by a plain answer of the server's own. Only before the head has gone out.
    pub fn answer_plain(&mut self, status: u16) {
        debug_assert!(!self.head_sent);
        self.head.clear();
        self.out.clear();
        answer::plain(status, &self.protocol, &mut self.out);
        self.head.status = status;
        let body = answer::reason(status).len() + 1;
        if self.is_head_request {
            self.out.truncate(self.out.len() - body);
        } else {
            self.body_bytes = body as u64;
        }
        self.head_bytes = (self.out.len() as u64).saturating_sub(self.body_bytes);
        self.head.headers = 3;
        self.head_sent = true;
        self.close = true;
    }

    fn carries_body(&self) -> bool {
        !self.is_head_request && self.head.allows_body()
    }

    /// Puts the head into `out`. `whole` is the length of the body when all of it is known already.
    fn push_head(&mut self, whole: Option<u64>) {
        if self.framing != Framing::Close {
            self.frame(whole);
        }
        self.head_sent = true;
        self.head_bytes = self.head.bytes().len() as u64 + 2;
        self.out.extend_from_slice(self.head.bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// Adds what marks the end of the body and the fate of the connection (RFC 9112 §6, §9).
    fn frame(&mut self, whole: Option<u64>) {
        let known = self.head.content_length.is_some() || !self.head.allows_body();
        if !known && let Some(length) = whole {
            self.head.content_length = Some(length);
            self.head.push(b"Content-Length", length.to_string().as_bytes());
        }
        let known = known || whole.is_some();
        let (is_11, keep_alive) = match self.framing {
            Framing::Http11 { keep_alive } => (true, keep_alive),
            Framing::Http10 { keep_alive } => (false, keep_alive),
            Framing::Close => (false, false),
        };
        self.close = !keep_alive || self.head.close || (!known && !is_11);
        if !known && is_11 && !self.is_head_request {
            self.chunked = true;
            self.head.push(b"Transfer-Encoding", b"chunked");
        }
        if self.close {
            self.head.push(b"Connection", b"close");
        } else if !is_11 {
            self.head.push(b"Connection", b"keep-alive");
        }
    }

    // ── the body ──

    /// Cuts what goes beyond a declared Content-Length: the front end would take it for the next answer.
    fn clip<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        match self.head.content_length {
            Some(length) if self.body_bytes + chunk.len() as u64 > length => {
                self.over_length = true;
                &chunk[..(length - self.body_bytes.min(length)) as usize]
            }
            _ => chunk,
        }
    }

    /// The whole body at once. A small one waits in `out` for [`Exchange::flush`], a large one goes out now, as far as
    /// the socket takes it; returns how much of it was taken over.
    pub fn write_whole(&mut self, body: &[u8]) -> Result<usize, Gone> {
        if self.gone {
            return Err(Gone);
        }
        self.push_head(Some(body.len() as u64));
        if !self.carries_body() {
            return Ok(body.len());
        }
        let full = body.len();
        let body = self.clip(body);
        self.body_bytes += body.len() as u64;
        if body.len() <= SMALL {
            self.out.extend_from_slice(body);
            return Ok(full);
        }
        let sent = self.send_behind_head(body)?;
        Ok(if sent == body.len() { full } else { sent })
    }

    /// One piece of the body, to be on its way before this returns; returns how much of it was taken over without
    /// waiting. Call [`Exchange::write_rest`] with what is left.
    pub fn write(&mut self, chunk: &[u8]) -> Result<usize, Gone> {
        if self.gone {
            return Err(Gone);
        }
        if !self.head_sent {
            self.push_head(None);
        }
        let full = chunk.len();
        let chunk = if self.carries_body() { self.clip(chunk) } else { &[] };
        self.body_bytes += chunk.len() as u64;
        if self.chunked && !chunk.is_empty() {
            self.out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            self.out.extend_from_slice(chunk);
            self.out.extend_from_slice(b"\r\n");
            self.push_out()?;
            return Ok(full);
        }
        if chunk.len() <= SMALL {
            self.out.extend_from_slice(chunk);
            self.push_out()?;
            return Ok(full);
        }
        let sent = self.send_behind_head(chunk)?;
        Ok(if sent == chunk.len() { full } else { sent })
    }

    /// Sends `out` and as much of `chunk` as the socket takes; returns how much of the chunk.
    fn send_behind_head(&mut self, chunk: &[u8]) -> Result<usize, Gone> {
        let Some(fd) = self.client.as_ref().map(AsFd::as_fd) else { return Err(Gone) };
        if !self.slot.answer() {
            return self.lost();
        }
        let held = self.out.len();
        let result = if held == 0 { io::send(fd, chunk) } else { io::send_two(fd, &self.out, chunk) };
        match result {
            Ok(sent) => {
                self.out.drain(..sent.min(held));
                Ok(sent.saturating_sub(held))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(_) => self.lost(),
        }
    }

    /// Sends what lies in `out`, as far as it goes without waiting.
    fn push_out(&mut self) -> Result<(), Gone> {
        self.send_behind_head(&[]).map(drop)
    }

    fn lost<T>(&mut self) -> Result<T, Gone> {
        self.gone = true;
        self.close = true;
        self.out.clear();
        Err(Gone)
    }

    fn wait_writable(&mut self) -> Result<(), Gone> {
        let Some(fd) = self.client.as_ref().map(AsFd::as_fd) else { return Err(Gone) };
        match epoll::wait_one(fd, true, self.timeout) {
            Ok(true) => Ok(()),
            _ => self.lost(),
        }
    }

    /// Everything in `out` is with the kernel.
    pub fn is_flushed(&self) -> bool {
        self.out.is_empty()
    }

    /// Sends the rest of a chunk, waiting for the client. Not while attached to the interpreter.
    pub fn write_rest(&mut self, mut rest: &[u8]) -> Result<(), Gone> {
        loop {
            let sent = self.send_behind_head(rest)?;
            rest = &rest[sent..];
            if rest.is_empty() && self.out.is_empty() {
                return Ok(());
            }
            self.wait_writable()?;
        }
    }

    /// Sends `length` bytes of a file from `offset`, by sendfile. Not while attached to the interpreter.
    pub fn send_file(&mut self, file: BorrowedFd<'_>, offset: u64, length: u64) -> Result<(), Gone> {
        if self.gone {
            return Err(Gone);
        }
        if !self.head_sent {
            self.push_head(Some(length));
        }
        let length = match self.head.content_length {
            Some(declared) => length.min(declared.saturating_sub(self.body_bytes)),
            None => length,
        };
        let length = if self.carries_body() { length } else { 0 };
        if self.chunked && length > 0 {
            self.out.extend_from_slice(format!("{length:x}\r\n").as_bytes());
        }
        self.write_rest(&[])?;
        self.by_sendfile = true;
        let mut sent = 0;
        while sent < length {
            let Some(fd) = self.client.as_ref().map(AsFd::as_fd) else { return Err(Gone) };
            match io::sendfile(fd, file, offset + sent, length - sent) {
                // The file became shorter than it was: the answer cannot be completed.
                Ok(0) => return self.lost(),
                Ok(count) => sent += count as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_writable()?,
                Err(_) => return self.lost(),
            }
        }
        self.body_bytes += length;
        if self.chunked && length > 0 {
            self.out.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    /// The app is done: whatever marks the end goes into `out`.
    pub fn complete(&mut self) {
        if self.gone {
            return;
        }
        if !self.head_sent {
            self.push_head(Some(0));
        }
        if self.chunked {
            self.out.extend_from_slice(b"0\r\n\r\n");
        }
        if self.carries_body() && self.head.content_length.is_some_and(|length| self.body_bytes < length) {
            // Fewer bytes than declared: only closing tells the client.
            self.close = true;
        }
    }

    /// The app failed after the head had gone out: the client must notice, so the connection closes without a proper end.
    pub fn abort(&mut self) {
        self.close = true;
        self.chunked = false;
    }

    // ── reading ──

    pub fn read(&mut self, most: u64, line: bool, out: &mut Vec<u8>) -> Result<(), BodyError> {
        let Some(client) = self.client.as_ref() else { return Err(BodyError::Over) };
        if self.expects_continue && !self.body.is_ready_for(1) {
            self.expects_continue = false;
            if !self.head_sent {
                self.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                let sent = self.write_rest(&[]);
                self.slot.resume();
                if sent.is_err() {
                    return Err(BodyError::Closed);
                }
                return self.read(most, line, out);
            }
        }
        if line {
            self.body.read_line(client.as_fd(), most, self.timeout, out)
        } else {
            self.body.read(client.as_fd(), most, self.timeout, out)
        }
    }

    /// Reads the body as a whole before the app runs.
    pub fn buffer_body(&mut self, memory: usize) -> Result<(), BodyError> {
        let Some(client) = self.client.as_ref() else { return Err(BodyError::Over) };
        self.body.buffer(client.as_fd(), memory, self.timeout)
    }

    // ── the end ──

    /// Sends what is left, waiting for the client, and gives the connection back if it can carry another request.
    pub fn finish(&mut self) -> Option<OwnedFd> {
        if !self.gone && !self.out.is_empty() {
            let _ = self.write_rest(&[]);
        }
        let client = self.client.take()?;
        self.serial += 1;
        if self.gone {
            return None;
        }
        if !self.close && self.body.drain(client.as_fd(), LINGER, Duration::ZERO) {
            return Some(client);
        }
        self.linger(&client);
        None
    }

    /// Closing while the client still sends would reset the connection and might take the answer with it
    /// (RFC 9112 §9.6): close for sending first, and read on for a while.
    fn linger(&mut self, client: &OwnedFd) {
        if !self.body.is_drained() {
            io::shutdown_send(client.as_fd());
            self.body.drain(client.as_fd(), LINGER, self.timeout.min(Duration::from_secs(1)));
        }
    }
}

/// Most bytes of an unread body that are read for the sake of a clean close.
const LINGER: u64 = 16 * 1024 * 1024;

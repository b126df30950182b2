//! One connection of the stats server: what it waits for, and what it has taken of its answer. Nothing here waits.

use super::request::{MAX_HEAD, Reading};
use crate::base::date::http_date;
use crate::proto::http::status;
use crate::report::Document;
use crate::report::page::CONTENT_SECURITY_POLICY;
use crate::sys::{clock, io};
use std::io::{ErrorKind, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// How long a request may take to come, and an answer to be taken.
const REQUEST_US: u64 = 5_000_000;
const ANSWER_US: u64 = 30_000_000;
/// How long the last bytes of a peer are waited for, so that its kernel does not throw away the end of the answer
/// (RFC 9112 §9.6).
const CLOSING_US: u64 = 2_000_000;
/// An answer that comes later is waited for by those who give it, not here.
const LATER_US: u64 = 120_000_000;
/// Read of what a peer sends behind its request, in one turn and altogether.
const WASTE: usize = 16 * 1024;
const MAX_WASTE: usize = 256 * 1024;

pub enum State {
    /// The request is not whole.
    Asking(Reading),
    /// The answer comes later; the request was HEAD if this is true.
    Waiting(bool),
    Sending(Sending),
    /// All is sent; the peer has not closed yet. So many bytes of it have been thrown away.
    Closing(usize),
    Done,
}

/// An answer on its way.
pub struct Sending {
    head: Vec<u8>,
    body: Rc<[u8]>,
    sent: usize,
}

impl Sending {
    fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

pub struct Reader {
    pub socket: OwnedFd,
    /// The listener that it came through.
    pub listener: usize,
    pub state: State,
    /// It is dropped then.
    pub until: u64,
}

impl Reader {
    pub fn new(socket: OwnedFd, listener: usize, now: u64) -> Reader {
        let state = State::Asking(Reading::default());
        Reader { socket, listener, state, until: now + REQUEST_US }
    }

    /// Takes in what has come of the request; `true`: something new has come.
    pub fn receive(&mut self) -> Result<bool> {
        let State::Asking(reading) = &mut self.state else { return Ok(false) };
        let room = MAX_HEAD.saturating_sub(reading.bytes.len());
        match io::recv(self.socket.as_fd(), &mut reading.bytes, room) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The answer comes later.
    pub fn wait(&mut self, head_only: bool, now: u64) {
        self.state = State::Waiting(head_only);
        self.until = now + LATER_US;
    }

    /// Begins the answer: with an HTTP head, unless the document goes out by itself.
    pub fn answer(&mut self, document: &Document, http: Option<HeadOnly>, now: u64) {
        let head = http.map_or_else(Vec::new, |_| head_of(document));
        let is_bare = http.is_some_and(|HeadOnly(head_only)| head_only);
        let body = if is_bare { Rc::default() } else { document.body.clone() };
        self.state = State::Sending(Sending { head, body, sent: 0 });
        self.until = now + ANSWER_US;
    }

    /// Sends as much as the peer takes; in the end closes for sending.
    pub fn send(&mut self, now: u64) -> Result<()> {
        let State::Sending(sending) = &mut self.state else { return Ok(()) };
        while sending.sent < sending.len() {
            let from_head = sending.head.get(sending.sent..).unwrap_or_default();
            let from_body = &sending.body[sending.sent.saturating_sub(sending.head.len())..];
            match io::send_two(self.socket.as_fd(), from_head, from_body) {
                Ok(sent) => sending.sent += sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        io::shutdown_send(self.socket.as_fd());
        self.state = State::Closing(0);
        self.until = now + CLOSING_US;
        Ok(())
    }

    /// Throws away what comes behind a request.
    pub fn drain(&mut self) {
        let State::Closing(before) = self.state else { return };
        let mut waste = [0; WASTE];
        match io::recv_slice(self.socket.as_fd(), &mut waste) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(got) if got > 0 && before + got < MAX_WASTE => self.state = State::Closing(before + got),
            _ => self.state = State::Done,
        }
    }

    /// Bytes of its answer that it has not taken.
    pub fn unsent(&self) -> usize {
        match &self.state {
            State::Sending(sending) => sending.len() - sending.sent,
            _ => 0,
        }
    }
}

/// Whether an answer over HTTP ends with its head.
#[derive(Clone, Copy, Debug)]
pub struct HeadOnly(pub bool);

fn head_of(document: &Document) -> Vec<u8> {
    let Document { status, content_type, body } = document;
    let phrase = status::reason(*status);
    let allow = if *status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    let date = http_date(clock::wall_secs().max(0) as u64);
    let date = String::from_utf8_lossy(date.as_ref());
    let policy = match content_type.starts_with("text/html") {
        true => {
            format!("Content-Security-Policy: {CONTENT_SECURITY_POLICY}\r\nReferrer-Policy: no-referrer\r\n")
        }
        false => String::new(),
    };
    format!(
        "HTTP/1.1 {status} {phrase}\r\nDate: {date}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\n{allow}{policy}Connection: close\r\n\r\n",
        body.len()
    )
    .into_bytes()
}

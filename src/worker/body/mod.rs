//! A request's body: what has arrived with the head, what is still to come, and where it ends.

pub mod chunked;
pub mod error;
pub mod spool;

use crate::net::client::Client;
use crate::proto::http::Body as Announced;
use crate::sys::io;
use chunked::Chunks;
use error::BodyError;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

/// What is still to come from the socket.
#[derive(Debug, Default)]
pub enum RemainingBody {
    #[default]
    Nothing,
    Bytes(u64),
    Chunks(Chunks),
}

#[derive(Debug, Default)]
pub struct Body {
    /// Received and not yet read: `ahead[at..]`.
    pub(super) ahead: Vec<u8>,
    pub(super) at: usize,
    pub(super) remaining: RemainingBody,
    /// The whole body in a file (`post-buffering`); then `ahead` is only a window of it. The place of the file itself is
    /// shared with what the application forks: `consumed` is used in its stead.
    pub(super) spool: Option<File>,
    /// The file that it is written to, while it arrives.
    pub(super) sink: Option<File>,
    /// Bytes that went there.
    pub(super) spooled: u64,
    /// Bytes handed to the app.
    pub(super) consumed: u64,
    /// Bytes that came behind those of the head, chunk sizes among them.
    received: u64,
    /// The first failure; every later read repeats it.
    pub(super) failed: Option<BodyError>,
    /// Read ahead as a whole, so that the app may seek.
    pub(super) buffered: bool,
    surplus: Vec<u8>,
}

/// What a read asks for.
#[derive(Debug)]
pub struct Want {
    /// Bytes that are still missing, at most.
    pub most: u64,
    /// Only up to the end of the line.
    pub line: bool,
}

/// What there was of a body.
enum Fetched {
    Some,
    /// Nothing yet.
    Nothing,
    End,
}

/// Received at most in one step.
const READ_CHUNK: usize = 65536;
/// The same, on the way to a file.
const FILE_READ_CHUNK: usize = 4 * READ_CHUNK;
/// Bytes that a reader gets room for before they have come.
const MAX_ANNOUNCED: u64 = 1 << 20;

impl Body {
    pub fn clear(&mut self) {
        self.ahead.clear();
        if self.ahead.capacity() > 2 * READ_CHUNK {
            self.ahead = Vec::new();
        }
        self.at = 0;
        self.remaining = RemainingBody::Nothing;
        self.spool = None;
        self.sink = None;
        self.spooled = 0;
        self.consumed = 0;
        self.received = 0;
        self.failed = None;
        self.buffered = false;
        self.surplus.clear();
    }

    /// The body waits elsewhere for more of itself. A buffer that holds nothing stays here: thousands may wait.
    pub fn put_aside(&mut self) -> Body {
        let mut body = std::mem::take(self);
        if body.ahead.is_empty() {
            self.ahead = std::mem::take(&mut body.ahead);
        }
        body
    }

    /// More of a body that was put aside is here.
    pub fn take_up(&mut self, mut body: Body) {
        if body.ahead.is_empty() {
            self.ahead.clear();
            body.ahead = std::mem::take(&mut self.ahead);
        }
        *self = body;
    }

    /// A body as its request has announced it, the first bytes of which came with the head. Returns how many of `first` belong
    /// to it. `limit`: the longest that may be which has not told its length; 0: any.
    pub fn begin(&mut self, announced: Announced, limit: u64, first: &[u8]) -> usize {
        match announced {
            Announced::None => self.begin_sized(0, first),
            Announced::Length(length) => self.begin_sized(length, first),
            Announced::Chunked => {
                self.begin_chunked(limit, first);
                first.len()
            }
        }
    }

    /// A body of `length` bytes, the first of which came with the head. Returns how many of `first` belong to it.
    fn begin_sized(&mut self, length: u64, first: &[u8]) -> usize {
        self.clear();
        let taken = (first.len() as u64).min(length) as usize;
        self.ahead.extend_from_slice(&first[..taken]);
        if length > taken as u64 {
            self.remaining = RemainingBody::Bytes(length - taken as u64);
        }
        taken
    }

    /// A chunked body (RFC 9112 §7.1) of at most `limit` bytes; 0: any length.
    fn begin_chunked(&mut self, limit: u64, first: &[u8]) {
        self.clear();
        let mut chunks = Chunks::new(limit);
        chunks.feed(first, &mut self.ahead);
        match chunks.state() {
            Ok(true) => self.surplus = chunks.into_surplus(),
            Ok(false) => self.remaining = RemainingBody::Chunks(chunks),
            Err(error) => self.failed = Some(error),
        }
    }

    /// Bytes behind the body's end that belong to the connection's next request.
    pub fn take_surplus(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.surplus)
    }

    /// Nothing is left on the socket: another request may follow.
    pub fn is_drained(&self) -> bool {
        matches!(self.remaining, RemainingBody::Nothing) && self.failed.is_none()
    }

    pub fn received(&self) -> u64 {
        self.received
    }

    pub fn failed(&self) -> Option<BodyError> {
        self.failed
    }

    /// Bytes that a read can have without waiting.
    fn ready(&self) -> &[u8] {
        &self.ahead[self.at..]
    }

    fn at_end(&self) -> bool {
        self.ready().is_empty() && matches!(self.remaining, RemainingBody::Nothing) && self.spool.is_none()
    }

    pub(super) fn fail<T>(&mut self, error: BodyError) -> Result<T, BodyError> {
        self.failed = Some(error);
        Err(error)
    }

    /// Gets at least one more byte into `ahead`.
    fn fetch(&mut self, client: &mut Client) -> Result<Fetched, BodyError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.buffered && self.spool.is_none() {
            // All of it lies in `ahead`, where a seek may want it again.
            return Ok(Fetched::End);
        }
        if self.at == self.ahead.len() {
            self.ahead.clear();
            self.at = 0;
        }
        if let Some(file) = &self.spool {
            let got = io::read_at(file.as_fd(), self.consumed, &mut self.ahead, READ_CHUNK);
            let got = got.or_else(|error| self.spool_failed(&error))?;
            return Ok(if got > 0 { Fetched::Some } else { Fetched::End });
        }
        let before = self.ahead.len();
        while self.ahead.len() == before {
            if matches!(self.remaining, RemainingBody::Nothing) {
                return Ok(Fetched::End);
            }
            if !self.receive(client)? {
                return Ok(Fetched::Nothing);
            }
        }
        Ok(Fetched::Some)
    }

    /// One recv; `false` when nothing is there yet.
    pub(super) fn receive(&mut self, client: &mut Client) -> Result<bool, BodyError> {
        let got = match &mut self.remaining {
            RemainingBody::Nothing => return Ok(true),
            RemainingBody::Bytes(left) => {
                let step = if self.sink.is_some() { FILE_READ_CHUNK } else { READ_CHUNK };
                let most = (*left).min(step as u64) as usize;
                self.ahead.reserve(most);
                client.recv(&mut self.ahead, most).inspect(|&got| *left -= got as u64)
            }
            RemainingBody::Chunks(chunks) => chunks.receive(client, &mut self.ahead),
        };
        match got {
            Ok(0) => self.fail(BodyError::Closed),
            Ok(got) => {
                self.received += got as u64;
                self.settle().map(|()| true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(_) => self.fail(BodyError::Closed),
        }
    }

    /// Has the last byte come?
    fn settle(&mut self) -> Result<(), BodyError> {
        let done = match &self.remaining {
            RemainingBody::Bytes(left) => Ok(*left == 0),
            RemainingBody::Chunks(chunks) => chunks.state(),
            RemainingBody::Nothing => return Ok(()),
        };
        match done {
            Ok(false) => Ok(()),
            Ok(true) => {
                if let RemainingBody::Chunks(chunks) = std::mem::take(&mut self.remaining) {
                    self.surplus = chunks.into_surplus();
                }
                Ok(())
            }
            Err(error) => self.fail(error),
        }
    }

    /// Hands out what is here of the bytes that `want` asks for; `true`: it has them all, or the body ends.
    pub fn read(
        &mut self,
        client: &mut Client,
        want: &mut Want,
        out: &mut Vec<u8>,
    ) -> Result<bool, BodyError> {
        while want.most > 0 {
            if !want.line && self.ready().is_empty() && self.spool.is_none() && want.most >= READ_CHUNK as u64
            {
                want.most -= self.receive_into(client, want.most, out)?;
            }
            if self.ready().is_empty() {
                match self.fetch(client)? {
                    Fetched::Some => {}
                    Fetched::End => return Ok(true),
                    Fetched::Nothing => return Ok(false),
                }
            }
            let room = (self.ready().len() as u64).min(want.most) as usize;
            let window = &self.ready()[..room];
            let newline = if want.line { window.iter().position(|&byte| byte == b'\n') } else { None };
            let count = newline.map_or(room, |at| at + 1);
            out.extend_from_slice(&window[..count]);
            self.advance(count);
            want.most -= count as u64;
            if newline.is_some() {
                break;
            }
        }
        Ok(true)
    }

    /// How much a read of up to `most` bytes gives, unless the body breaks; `None` where that is not known, or where memory
    /// would be taken for what a client has only announced.
    pub fn known_length(&self, most: u64) -> Option<usize> {
        let here = match self.spool {
            Some(_) => self.buffered_len().saturating_sub(self.consumed),
            None => self.ready().len() as u64,
        };
        let known = match self.remaining {
            _ if self.failed.is_some() => None,
            RemainingBody::Nothing => Some(here.min(most)),
            RemainingBody::Bytes(left) => {
                Some((here + left).min(most)).filter(|&length| length <= MAX_ANNOUNCED)
            }
            RemainingBody::Chunks(_) => None,
        };
        known.and_then(|length| usize::try_from(length).ok())
    }

    /// Fills `out` from `at` with the next bytes that are here; `true`: it is full, or the body ends, since another thread
    /// has read of it after [`Body::known_length`] was asked.
    pub fn fill(&mut self, client: &mut Client, out: &mut [u8], at: &mut usize) -> Result<bool, BodyError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let held = self.ready().len().min(out.len() - *at);
        out[*at..*at + held].copy_from_slice(&self.ready()[..held]);
        self.advance(held);
        *at += held;
        while let Some(file) = self.spool.as_ref().filter(|_| *at < out.len()) {
            match file.read_at(&mut out[*at..], self.consumed) {
                Ok(0) => return Ok(true),
                Ok(got) => {
                    *at += got;
                    self.consumed += got as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.spool_failed(&error),
            }
        }
        while *at < out.len() {
            let RemainingBody::Bytes(left) = self.remaining else { return Ok(true) };
            let most = left.min((out.len() - *at) as u64) as usize;
            match client.recv_slice(&mut out[*at..*at + most]) {
                Ok(0) => return self.fail(BodyError::Closed),
                Ok(got) => {
                    *at += got;
                    self.consumed += got as u64;
                    self.came(got as u64);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(_) => return self.fail(BodyError::Closed),
            }
        }
        Ok(true)
    }

    /// So many bytes came that were never in `ahead`.
    fn came(&mut self, count: u64) {
        if let RemainingBody::Bytes(left) = &mut self.remaining {
            *left -= count.min(*left);
            if *left == 0 {
                self.remaining = RemainingBody::Nothing;
            }
        }
    }

    /// Takes what is there of a long body without keeping it first.
    fn receive_into(&mut self, client: &mut Client, most: u64, out: &mut Vec<u8>) -> Result<u64, BodyError> {
        let mut taken = 0;
        while let RemainingBody::Bytes(left) = self.remaining
            && self.failed.is_none()
        {
            let step = left.min(most - taken).min(FILE_READ_CHUNK as u64) as usize;
            if step < READ_CHUNK {
                break;
            }
            out.reserve(step);
            match client.recv(out, step) {
                Ok(0) => return self.fail(BodyError::Closed),
                Ok(got) => {
                    taken += got as u64;
                    self.consumed += got as u64;
                    self.came(got as u64);
                }
                // Whoever waits, waits elsewhere, and sees the error again.
                Err(_) => break,
            }
        }
        Ok(taken)
    }

    fn advance(&mut self, count: usize) {
        self.at += count;
        self.consumed += count as u64;
    }

    /// Can `most` bytes be handed out at once, or the end be told, without touching the socket?
    pub fn is_ready_for(&self, most: u64) -> bool {
        self.failed.is_some() || self.at_end() || self.ready().len() as u64 >= most.min(self.length_left())
    }

    fn length_left(&self) -> u64 {
        match self.remaining {
            RemainingBody::Nothing if self.spool.is_none() => self.ready().len() as u64,
            _ => u64::MAX,
        }
    }

    /// Throws away what has come of what the app did not read. `true`: nothing is left. Gives up after `most` bytes.
    pub fn drain(&mut self, client: &mut Client, most: u64) -> bool {
        let mut thrown = 0;
        while !matches!(self.remaining, RemainingBody::Nothing) && thrown < most && self.failed.is_none() {
            self.ahead.clear();
            self.at = 0;
            match self.receive(client) {
                Ok(true) => thrown += self.ahead.len() as u64,
                _ => return false,
            }
        }
        self.is_drained()
    }
}

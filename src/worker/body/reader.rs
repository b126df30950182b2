//! How the application reads a body: blocks, lines, and straight into its own memory.

use super::error::BodyError;
use super::{Body, FILE_READ_CHUNK, READ_CHUNK, RemainingBody};
use crate::net::client::Client;
use crate::sys::io;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

/// What a read asks for.
#[derive(Debug)]
pub struct Want {
    /// Bytes that are still missing, at most.
    pub most: u64,
    /// Only up to the end of the line.
    pub line: bool,
}

/// The outcome of one step.
enum Fetched {
    Some,
    /// Nothing yet.
    Nothing,
    End,
}

/// Bytes that a reader gets room for before they have come.
const MAX_ANNOUNCED: u64 = 1 << 20;

impl Body {
    /// Bytes that a read can have without waiting.
    fn ready(&self) -> &[u8] {
        &self.ahead[self.at..]
    }

    fn at_end(&self) -> bool {
        self.ready().is_empty() && matches!(self.remaining, RemainingBody::Nothing) && self.spool.is_none()
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

    /// How much a read of up to `most` bytes gives, unless the body breaks; `None` where that is not known, or where
    /// memory would be taken for what a client has only announced.
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

    /// Fills `out` from `at` with the next bytes that are here; `true`: it is full, or the body ends, since another
    /// thread has read of it after [`Body::known_length`] was asked.
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

    /// Counts bytes that were received without passing through `ahead`.
    fn came(&mut self, count: u64) {
        self.received += count;
        if let RemainingBody::Bytes(left) = &mut self.remaining {
            *left -= count.min(*left);
            if *left == 0 {
                self.remaining = RemainingBody::Nothing;
            }
        }
    }

    /// Receives a long body into the caller's buffer, without `ahead`.
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
                // The caller waits elsewhere, and gets the error again.
                Err(_) => break,
            }
        }
        Ok(taken)
    }

    fn advance(&mut self, count: usize) {
        self.at += count;
        self.consumed += count as u64;
    }

    /// Can `most` bytes be handed out at once, or is the end reached, without touching the socket?
    pub fn is_ready_for(&self, most: u64) -> bool {
        self.failed.is_some() || self.at_end() || self.ready().len() as u64 >= most.min(self.length_left())
    }

    fn length_left(&self) -> u64 {
        match self.remaining {
            RemainingBody::Nothing if self.spool.is_none() => self.ready().len() as u64,
            _ => u64::MAX,
        }
    }
}

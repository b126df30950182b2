//! How an answer gets to its client: as far as the socket takes it, and then waiting for the client, or leaving the end to
//! the connection table.

use super::{After, Exchange, Gone, SMALL, Speaks};
use crate::proto::http::response::Delivery;
use crate::sys::{clock, epoll};
use crate::worker::client::Client;
use crate::worker::conns::{Overdue, is_below};
use std::io::ErrorKind;
use std::time::Duration;

/// Most bytes of an unread body that are read for the sake of a clean close.
const LINGER: u64 = 16 * 1024 * 1024;

impl Exchange {
    /// Sends `out` and as much of `chunk` as the socket takes; returns how much of the chunk.
    pub(super) fn send_with(&mut self, chunk: &[u8]) -> Result<usize, Gone> {
        let Some(client) = &mut self.client else { return Err(Gone) };
        if !self.slot.answer() {
            return self.lost();
        }
        let held = self.out.len();
        let result = match (held, chunk.is_empty()) {
            (0, true) if !client.owes() => return Ok(0),
            (0, _) => client.send(chunk),
            (_, true) => client.send(&self.out),
            (_, false) => client.send_two(&self.out, chunk),
        };
        match result {
            Ok(sent) => {
                self.sent += sent as u64;
                self.out.drain(..sent.min(held));
                Ok(sent.saturating_sub(held))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(_) => self.lost(),
        }
    }

    /// The client is gone, which was found out without sending.
    pub fn give_up(&mut self) {
        let _: Result<(), Gone> = self.lost();
    }

    /// The stack-dump handler has claimed the answer, and cannot encrypt it: this one goes out as far as the client takes
    /// it at once, and nothing after it.
    pub fn say_last(&mut self, answer: &[u8]) {
        if !self.gone
            && let Some(client) = &mut self.client
        {
            let _ = client.send(answer);
            client.shutdown_send();
            self.give_up();
        }
    }

    pub(super) fn lost<T>(&mut self) -> Result<T, Gone> {
        self.gone = true;
        self.close = true;
        self.out.clear();
        self.rest.clear();
        Err(Gone)
    }

    /// The longest wait for a client that does not read.
    pub fn send_timeout(&self) -> Duration {
        self.settings.socket_options.send_timeout.unwrap_or(self.timeout)
    }

    fn wait_writable(&mut self) -> Result<(), Gone> {
        let Some(client) = &self.client else { return Err(Gone) };
        let began = clock::monotonic_us();
        let ready = epoll::wait_one(client, true, self.send_timeout());
        self.waited += Duration::from_micros(clock::monotonic_us() - began);
        match ready {
            Ok(true) if !self.trickles() => Ok(()),
            Ok(ready) => {
                self.overdue = Some(if ready { Overdue::Trickling } else { Overdue::Silent });
                self.lost()
            }
            Err(_) => self.lost(),
        }
    }

    /// Does the client read less than `http-min-rate`? A front end that speaks uwsgi takes its time.
    fn trickles(&self) -> bool {
        let beyond = self.waited.saturating_sub(self.timeout);
        self.speaks != Speaks::Uwsgi && is_below(self.settings.http.min_rate, self.sent, beyond)
    }

    /// Everything that was written is with the kernel.
    pub fn is_flushed(&self) -> bool {
        self.out.is_empty() && self.rest.is_empty() && !self.client.as_ref().is_some_and(Client::owes)
    }

    /// Everything that was announced has been written.
    fn is_last(&self) -> bool {
        matches!(self.delivery, Some(Delivery::Length(length)) if self.body_bytes >= length)
    }

    /// Sends the rest of a chunk, waiting for the client. Not while attached to the interpreter.
    pub fn write_rest(&mut self, mut rest: &[u8]) -> Result<(), Gone> {
        loop {
            let sent = self.send_with(rest)?;
            rest = &rest[sent..];
            if rest.is_empty() && self.is_flushed() {
                return Ok(());
            }
            if self.out.len() + rest.len() <= self.room && self.is_last() {
                self.out.extend_from_slice(rest);
                return Ok(());
            }
            self.wait_writable()?;
        }
    }

    /// Does the kernel send files to this client?
    pub(super) fn sends_files(&self) -> bool {
        !self.settings.statics.copies && !self.client.as_ref().is_some_and(Client::is_tls)
    }

    /// Sends what there is, as far as the client takes it.
    pub(super) fn send_some(&mut self) -> Result<(), Gone> {
        if self.rest.is_empty() {
            return self.send_with(&[]).map(drop);
        }
        let Some(client) = &mut self.client else { return Err(Gone) };
        if !self.slot.answer() {
            return self.lost();
        }
        let mut send = || -> std::io::Result<()> {
            self.rest.inline(SMALL as u64, &mut self.out)?;
            while !self.out.is_empty() {
                let sent = client.send_before(&self.out, !self.rest.is_empty())?;
                self.sent += sent as u64;
                self.out.drain(..sent);
            }
            self.sent += self.rest.send(client)?;
            Ok(())
        };
        match send() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                self.is_cut_short = error.kind() == ErrorKind::UnexpectedEof;
                self.lost()
            }
            _ => Ok(()),
        }
    }

    /// Sends everything, waiting for the client.
    pub(super) fn send_all(&mut self) -> Result<(), Gone> {
        loop {
            self.send_some()?;
            if self.is_flushed() {
                return Ok(());
            }
            self.wait_writable()?;
        }
    }

    /// Sends until no more is left than may be.
    pub(super) fn send_end(&mut self) -> Result<(), Gone> {
        loop {
            self.send_some()?;
            if self.out.len() <= self.room && (self.parks || self.rest.is_empty()) {
                return Ok(());
            }
            self.wait_writable()?;
        }
    }

    /// Closing while the client still sends would reset the connection and might take the answer with it
    /// (RFC 9112 §9.6): close for sending first, and read on for a while.
    pub(super) fn linger(&mut self, client: &mut Client) {
        if !self.body.is_drained() {
            client.shutdown_send();
            self.body.drain(client, LINGER, self.timeout.min(Duration::from_secs(1)));
        }
    }

    /// Sends what is left and hands back the connection with what is to be done with it. Without `room` this waits for the
    /// client; with it, only for more than fits there.
    pub fn finish(&mut self) -> Option<(Client, After)> {
        if !self.gone && !self.is_flushed() {
            let _ = self.send_end();
        }
        let is_flushed = self.is_flushed();
        let mut client = self.client.take()?;
        self.serial += 1;
        if self.broken_off {
            client.break_off();
        }
        let keep = !self.gone && !self.close && self.body.drain(&mut client, LINGER, Duration::ZERO);
        let after = match (self.gone, is_flushed) {
            (true, _) => After::Close,
            (false, false) => {
                let mut rest = std::mem::take(&mut self.rest);
                rest.put_first(std::mem::take(&mut self.out));
                After::Send(rest, keep)
            }
            (false, true) if keep => After::Keep,
            (false, true) if self.body.is_drained() => After::Close,
            (false, true) if self.room > 0 => After::ReadOn,
            (false, true) => {
                self.linger(&mut client);
                After::Close
            }
        };
        self.surplus = self.body.take_surplus();
        // Its memory or its temporary file must not wait for the next request.
        self.body.clear();
        Some((client, after))
    }

    /// Bytes of the next request that came with the last body; once, after [`Exchange::finish`].
    pub fn take_surplus(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.surplus)
    }
}

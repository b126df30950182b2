//! How an answer gets to its client: as far as the socket takes it, and then waiting for the client, or leaving the end to
//! the connection table.

use super::{After, Exchange, Gone, SMALL, Speaks};
use crate::net::client::Client;
use crate::proto::http::response::Delivery;
use crate::sys::clock;
use crate::sys::wait::{Peer, peer};
use crate::worker::conns::{Overdue, is_below};
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// Most bytes of an unread body that are thrown away so that another request may follow.
const DRAINED: u64 = 16 * 1024 * 1024;
/// How often to look for a client to which nothing is sent.
const LOOK_US: u64 = 100_000;

impl Exchange {
    /// Sends `out` and as much of `chunk` as the socket takes; returns how much of the chunk.
    pub(super) fn send_with(&mut self, chunk: &[u8]) -> Result<usize, Gone> {
        let Some(client) = self.client.as_mut().filter(|_| !self.gone) else { return Err(Gone) };
        if !self.slot.answer() {
            return self.forestalled();
        }
        let held = self.out.len();
        let result = match (held, chunk.is_empty()) {
            (0, true) if !client.has_pending_output() => return Ok(0),
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

    /// The stack-dump handler gives the answer.
    #[cold]
    fn forestalled<T>(&mut self) -> Result<T, Gone> {
        if !self.client.as_ref().is_some_and(Client::is_tls) {
            self.slot.await_answer();
        }
        self.lost()
    }

    pub(super) fn lost<T>(&mut self) -> Result<T, Gone> {
        self.gone = true;
        self.close = true;
        self.out.clear();
        self.queue.clear();
        self.end_turn();
        Err(Gone)
    }

    /// The longest wait for a client that does not read.
    pub fn send_timeout(&self) -> Duration {
        self.settings.requests.send_timeout.unwrap_or(self.timeout)
    }

    /// The client took nothing for as long as it may.
    pub(super) fn give_up_overdue(&mut self) {
        self.overdue = Some(Overdue::Silent);
        self.give_up();
    }

    /// The client has taken something, after a wait: was it enough?
    pub(super) fn check_pace(&mut self) -> Result<(), Gone> {
        if self.trickles() {
            self.overdue = Some(Overdue::Trickling);
            return self.lost();
        }
        Ok(())
    }

    /// Does the client read less than `http-min-rate`? A front end that speaks uwsgi takes its time.
    fn trickles(&self) -> bool {
        let beyond = self.waited.saturating_sub(self.timeout);
        self.speaks != Speaks::Uwsgi && is_below(self.settings.http.min_rate, self.sent, beyond)
    }

    /// Everything that was written is with the kernel.
    pub fn is_flushed(&self) -> bool {
        self.out.is_empty()
            && self.queue.is_empty()
            && !self.client.as_ref().is_some_and(Client::has_pending_output)
    }

    /// Everything that was announced has been written.
    fn is_last(&self) -> bool {
        matches!(self.delivery, Some(Delivery::Length(length)) if self.body_bytes >= length)
    }

    /// Is all that this thread has of its piece with the kernel, or where it may wait for the client without a thread?
    pub(super) fn takes_over(&mut self, rest: &[u8]) -> bool {
        if rest.is_empty() && self.is_flushed() {
            return true;
        }
        let fits = self.out.len() + rest.len() <= self.room && self.is_last();
        if fits {
            self.out.extend_from_slice(rest);
        }
        fits
    }

    /// The next piece may be another thread's.
    pub(super) fn end_turn(&mut self) {
        self.writing = false;
        self.held_back = 0;
        self.wake_others();
    }

    /// Does the kernel send files to this client?
    pub(super) fn sends_files(&self) -> bool {
        !self.settings.statics.copies && !self.client.as_ref().is_some_and(Client::is_tls)
    }

    /// Sends what there is, as far as the client takes it.
    pub(super) fn send_some(&mut self) -> Result<(), Gone> {
        if self.queue.is_empty() {
            return self.send_with(&[]).map(drop);
        }
        let Some(client) = &mut self.client else { return Err(Gone) };
        if !self.slot.answer() {
            return self.forestalled();
        }
        let mut send = || -> std::io::Result<()> {
            self.queue.inline(SMALL as u64, &mut self.out)?;
            while !self.out.is_empty() {
                let sent = client.send_before(&self.out, !self.queue.is_empty())?;
                self.sent += sent as u64;
                self.out.drain(..sent);
            }
            self.sent += self.queue.send(client)?;
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

    /// Sends of a file as much as the client takes now. `true`: what is left needs no thread.
    pub(super) fn send_file_step(&mut self) -> Result<bool, Gone> {
        self.send_some()?;
        // What marks the end of the last chunk would overtake a file that waits.
        let may_leave = self.delivery != Some(Delivery::Chunked) && self.leaves_little();
        Ok(self.is_flushed() || may_leave)
    }

    /// Is no more left than the connection table may have?
    pub(super) fn leaves_little(&self) -> bool {
        self.out.len() <= self.room && (self.parks || self.queue.is_empty())
    }

    /// Sends the end of an answer that is complete, as far as the client takes it. `false`: the client has to be waited for.
    pub fn try_end(&mut self) -> bool {
        if self.gone || self.send_with(&[]).is_err() {
            return true;
        }
        self.show_end();
        self.is_flushed() || self.leaves_little()
    }

    /// Where only closing marks the end of the answer: closes for sending.
    pub(super) fn show_end(&mut self) {
        let ends_by_closing = match self.delivery {
            Some(Delivery::UntilClose) => true,
            Some(Delivery::Length(length)) => self.body_bytes < length,
            _ => false,
        };
        if ends_by_closing
            && self.is_flushed()
            && !self.broken_off
            && !self.gone
            && let Some(client) = &mut self.client
        {
            client.shutdown_send();
        }
    }

    /// Is the client gone? Asked when nothing is sent, which would tell; looks at most every 100 ms. A connection that was
    /// reset, or a unix socket that was closed, is enough. A client that sends no more may still read (`nc -N`); over TCP one
    /// that has closed looks the same until something is sent. Such a client is waited for as long as `socket-timeout` says.
    pub fn has_lost_client(&mut self) -> bool {
        let now = clock::monotonic_us();
        if self.gone || now < self.look_at_us {
            return self.gone;
        }
        let asked_before = self.look_at_us != 0;
        self.look_at_us = now + LOOK_US;
        let Some(client) = self.client.as_ref().filter(|_| asked_before) else { return false };
        match peer(client.as_fd().as_raw_fd()) {
            Ok(Peer::Gone) => self.give_up(),
            Ok(Peer::HalfClosed) if self.half_closed_us == 0 => self.half_closed_us = now,
            Ok(Peer::HalfClosed) if now - self.half_closed_us >= self.usual_timeout.as_micros() as u64 => {
                self.give_up();
            }
            _ => {}
        }
        self.gone
    }

    /// From now on only the core has the exchange.
    pub(super) fn end_for_others(&mut self) {
        self.serial += 1;
        if self.held_back > 0 {
            self.abort();
        }
        self.writing = false;
        self.reading = false;
        self.wake_others();
    }

    /// Hands back the connection with what is to be done with it.
    pub(super) fn release(&mut self) -> Option<(Client, After)> {
        let is_flushed = self.is_flushed();
        let mut client = self.client.take()?;
        if self.broken_off {
            client.break_off();
        }
        let keep = !self.gone && !self.close && self.body.drain(&mut client, DRAINED);
        let after = match (self.gone, is_flushed) {
            (true, _) => After::Close,
            (false, false) => {
                let mut queue = std::mem::take(&mut self.queue);
                queue.put_first(std::mem::take(&mut self.out));
                After::Send(queue, keep)
            }
            (false, true) if keep => After::Keep,
            (false, true) if self.body.is_drained() => After::Close,
            (false, true) => After::ReadOn,
        };
        self.surplus = self.body.take_surplus();
        // Its memory or its temporary file must not wait for the next request.
        self.body.clear();
        Some((client, after))
    }

    /// Bytes of the next request that came with the last body; once, after the end.
    pub(super) fn take_surplus(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.surplus)
    }
}

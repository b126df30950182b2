//! How an answer gets to its client: as far as the socket takes it, and then waiting for the client, or leaving the end
//! to the connection table.

use super::{After, End, Exchange, Gone, Loss, Released, SMALL, Speaks};
use crate::net::client::Client;
use crate::proto::http::response::Delivery;
use crate::sys::clock;
use crate::sys::wait::{Peer, peer};
use crate::worker::conn::deadline::{Overdue, is_below};
use crate::worker::harakiri::answers;
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
        if self.client.is_none() || self.is_gone() {
            return Err(Gone);
        }
        if !self.home.slot.answer() {
            return self.forestalled();
        }
        self.count_if_whole();
        let Some(client) = self.client.as_mut() else { return Err(Gone) };
        let held = self.unsent.bytes.len();
        let result = match (held, chunk.is_empty()) {
            (0, true) if !client.has_pending_output() => return Ok(0),
            (0, _) => client.send(chunk),
            (_, true) => client.send(&self.unsent.bytes),
            (_, false) => client.send_two(&self.unsent.bytes, chunk),
        };
        match result {
            Ok(sent) => {
                self.progress.sent += sent as u64;
                self.unsent.bytes.drain(..sent.min(held));
                Ok(sent.saturating_sub(held))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(_) => self.lost(Loss::Left),
        }
    }

    /// The client is gone, which was found out without sending.
    pub fn give_up(&mut self, why: Loss) {
        let _: Result<(), Gone> = self.lost(why);
    }

    /// The stack-dump handler has claimed the answer, and cannot encrypt it: this one goes out as far as the client
    /// takes it at once, and nothing after it.
    pub fn say_last(&mut self, answer: &[u8]) {
        if !self.is_gone()
            && let Some(client) = &mut self.client
        {
            answers::count(self.home.slot);
            let _ = client.send(answer);
            client.shutdown_send();
            self.give_up(Loss::Left);
        }
    }

    /// The stack-dump handler has claimed the answer; a client without TLS stays open until it is sent.
    #[cold]
    fn forestalled<T>(&mut self) -> Result<T, Gone> {
        if !self.is_tls() {
            self.home.slot.await_answer();
        }
        self.lost(Loss::Left)
    }

    /// Nothing more goes out. Of several reasons the first counts.
    pub(super) fn lost<T>(&mut self, why: Loss) -> Result<T, Gone> {
        if !self.is_gone() {
            self.end = End::Gone(why);
        }
        self.unsent.clear();
        self.end_turn();
        Err(Gone)
    }

    /// The longest wait for a client that does not read.
    pub fn send_timeout(&self) -> Duration {
        self.home.settings.requests.send_timeout.unwrap_or(self.limits.timeout)
    }

    /// The client has taken something, after a wait: was it enough?
    pub(super) fn check_pace(&mut self) -> Result<(), Gone> {
        if self.trickles() { self.lost(Loss::Slow(Overdue::Trickling)) } else { Ok(()) }
    }

    /// Does the client read less than `http-min-rate`? A front end that speaks uwsgi takes its time.
    fn trickles(&self) -> bool {
        let beyond = self.progress.waited.saturating_sub(self.limits.timeout);
        self.asked.speaks != Speaks::Uwsgi
            && is_below(self.home.settings.http.min_rate, self.progress.sent, beyond)
    }

    /// Everything that was written is with the kernel.
    pub fn is_flushed(&self) -> bool {
        self.unsent.is_empty() && !self.client.as_ref().is_some_and(Client::has_pending_output)
    }

    /// Everything that was announced has been written.
    fn is_last(&self) -> bool {
        matches!(self.delivery(), Some(Delivery::Length(length)) if self.progress.body_bytes >= length)
    }

    /// Takes what is left of a thread's piece where it may wait for the client without a thread. `true`: the thread has
    /// nothing left of it.
    pub(super) fn take_over(&mut self, rest: &[u8]) -> bool {
        if rest.is_empty() && self.is_flushed() {
            return true;
        }
        let fits = self.unsent.bytes.len() + rest.len() <= self.limits.room && self.is_last();
        if fits {
            self.unsent.bytes.extend_from_slice(rest);
        }
        fits
    }

    /// Lets other threads write.
    pub(super) fn end_turn(&mut self) {
        self.turns.writing = false;
        self.turns.held_back = 0;
        self.turns.wake_others();
    }

    /// Does the kernel send files to this client?
    pub(super) fn sends_files(&self) -> bool {
        !self.home.settings.statics.copies && !self.is_tls()
    }

    /// Sends what there is, as far as the client takes it.
    pub(super) fn send_some(&mut self) -> Result<(), Gone> {
        if self.unsent.queue.is_empty() {
            return self.send_with(&[]).map(drop);
        }
        if !self.home.slot.answer() {
            return self.forestalled();
        }
        self.count_if_whole();
        let Some(client) = &mut self.client else { return Err(Gone) };
        let mut send = || -> std::io::Result<()> {
            self.unsent.queue.inline(SMALL as u64, &mut self.unsent.bytes)?;
            while !self.unsent.bytes.is_empty() {
                let sent = client.send_before(&self.unsent.bytes, !self.unsent.queue.is_empty())?;
                self.progress.sent += sent as u64;
                self.unsent.bytes.drain(..sent);
            }
            self.progress.sent += self.unsent.queue.send(client)?;
            Ok(())
        };
        match send() {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => self.lost(Loss::CutShort),
            Err(error) if error.kind() != ErrorKind::WouldBlock => self.lost(Loss::Left),
            _ => Ok(()),
        }
    }

    /// Sends of a file as much as the client takes now. `true`: what is left needs no thread.
    pub(super) fn send_file_step(&mut self) -> Result<bool, Gone> {
        self.send_some()?;
        // What marks the end of the last chunk would overtake a file that waits.
        let may_leave = self.delivery() != Some(Delivery::Chunked) && self.leaves_little();
        Ok(self.is_flushed() || may_leave)
    }

    /// Is no more left than the connection table may have?
    pub(super) fn leaves_little(&self) -> bool {
        self.unsent.bytes.len() <= self.limits.room
    }

    /// Sends the end of an answer that is complete, as far as the client takes it. `false`: the client has to be waited
    /// for.
    pub fn try_end(&mut self) -> bool {
        if self.is_gone() || self.send_with(&[]).is_err() {
            return true;
        }
        self.show_end();
        self.is_flushed() || self.leaves_little()
    }

    /// Where only closing marks the end of the answer: closes for sending.
    pub(super) fn show_end(&mut self) {
        let ends_by_closing = self.delivery() == Some(Delivery::UntilClose) || self.is_short();
        if ends_by_closing
            && self.is_flushed()
            && matches!(self.end, End::Open | End::Complete)
            && let Some(client) = &mut self.client
        {
            client.shutdown_send();
        }
    }

    /// Looks whether the client is there, at most every 100 ms, since nothing is sent, which would fail otherwise.
    /// `true`: it is gone. A connection that was reset, or a unix socket that was closed, is enough. A client that
    /// sends no more may still read (`nc -N`); over TCP one that has closed looks the same until something is sent.
    /// Such a client is waited for as long as `socket-timeout` says.
    pub fn look_for_client(&mut self) -> bool {
        let now = clock::monotonic_us();
        if self.is_gone() || now < self.progress.look_at_us {
            return self.is_gone();
        }
        let asked_before = self.progress.look_at_us != 0;
        self.progress.look_at_us = now + LOOK_US;
        let Some(client) = self.client.as_ref().filter(|_| asked_before) else { return false };
        match peer(client.as_fd().as_raw_fd()) {
            Ok(Peer::Gone) => self.give_up(Loss::Left),
            Ok(Peer::HalfClosed) if self.progress.half_closed_us == 0 => self.progress.half_closed_us = now,
            Ok(Peer::HalfClosed)
                if now - self.progress.half_closed_us
                    >= self.home.settings.requests.socket_timeout.as_micros() as u64 =>
            {
                self.give_up(Loss::Left);
            }
            _ => {}
        }
        self.is_gone()
    }

    /// The application has yielded nothing. `true`: that is enough for an answer that can have no bytes; for one to
    /// HEAD at once, for another when `socket-timeout` is over, since code of the application may stand behind its
    /// pieces.
    pub fn note_empty_piece(&mut self) -> bool {
        if !self.head.is_set() || self.asked.is_head {
            return self.head.is_set();
        }
        if self.head.allows_body() && self.head.length() != Some(0) {
            return false;
        }
        let now = clock::monotonic_us();
        if self.progress.empty_us == 0 {
            self.progress.empty_us = now;
        }
        now - self.progress.empty_us >= self.home.settings.requests.socket_timeout.as_micros() as u64
    }

    /// From now on only the core has the exchange.
    pub(super) fn end_for_others(&mut self) {
        self.serial += 1;
        if self.turns.held_back > 0 {
            self.abort();
        }
        self.turns.clear();
        self.turns.wake_others();
    }

    /// Hands back the connection with what is to be done with it.
    pub(super) fn release(&mut self) -> Option<Released> {
        let is_flushed = self.is_flushed();
        let mut client = self.client.take()?;
        if self.end == End::BrokenOff {
            client.break_off();
        }
        let keep = self.may_keep() && self.body.drain(&mut client, DRAINED);
        let after = match (self.is_gone(), is_flushed) {
            (true, _) => After::Close,
            (false, false) => {
                let mut queue = std::mem::take(&mut self.unsent.queue);
                queue.put_first(std::mem::take(&mut self.unsent.bytes));
                After::Send(queue, keep)
            }
            (false, true) if keep => After::Keep,
            (false, true) if self.body.is_drained() => After::Close,
            (false, true) => After::ReadOn,
        };
        let surplus = self.body.take_surplus();
        // Its memory or its temporary file must not wait for the next request.
        self.body.clear();
        Some(Released { client, after, surplus })
    }

    /// The answer has said that the connection stays, and has a proper end.
    fn may_keep(&self) -> bool {
        matches!(self.end, End::Open | End::Complete)
            && self.settled.is_some_and(|settled| settled.keep_alive)
            && !self.is_short()
    }
}

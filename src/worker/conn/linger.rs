//! The end of requests on HTTP sockets: connections that are kept, those whose clients are slow to read, and those that are
//! closed gracefully.

use crate::base::date::http_date;
use crate::config::Protocol;
use crate::log;
use crate::net::client::Client;
use crate::net::send_queue::SendQueue;
use crate::net::tls::Failure;
use crate::proto::http::status::Plain;
use crate::sys::clock;
use crate::worker::Shared;
use crate::worker::conns::{Conn, Leftover, Share, Waits};
use crate::worker::core::Core;
use crate::worker::response::{After, Released};
use crate::worker::waiting::{Serviced, has_begun};
use std::io::ErrorKind;
use std::sync::atomic::Ordering::*;

/// Most bytes of one answer that wait for their client without a thread.
const MAX_LEFTOVER: usize = 1 << 20;
/// What is said of an answer whose file was truncated meanwhile.
pub(in crate::worker) const CUT_SHORT: &str =
    "a file became shorter while it was sent; its answer was cut off";
/// Most bytes of all of a worker's answers that do.
const MAX_LEFTOVERS: usize = 64 << 20;

/// The answer to HTTP without TLS on a socket with TLS.
const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 58\r\n\
    Connection: close\r\n\r\nThis port speaks HTTPS: the address begins with https://.\n";

impl Core {
    /// How much of the next answer may wait for its client without a thread.
    pub(in crate::worker) fn room(&self) -> usize {
        // Never 0: the end of a connection is always the table's to see.
        MAX_LEFTOVERS.saturating_sub(self.shared.leftovers.load(Relaxed)).clamp(1, MAX_LEFTOVER)
    }

    /// The request on `conn` is over.
    pub(in crate::worker) fn after_http(&mut self, mut conn: Conn, released: Released) {
        let Released { client, after, surplus } = released;
        conn.client = Some(client);
        if !surplus.is_empty() {
            conn.buf = surplus;
        }
        match after {
            After::Keep => self.next_request(conn),
            After::Close if conn.buf.is_empty() => self.shared.forget(&conn),
            After::Close | After::ReadOn => self.shared.close_gracefully(conn),
            After::Send(queue, keep) => self.keep_leftover(conn, queue, keep),
        }
    }

    /// The request of a front end on `client` is over.
    pub(in crate::worker) fn after_packet(&mut self, released: Released) {
        let client = released.client;
        match released.after {
            After::Keep | After::Close => {}
            After::ReadOn => {
                self.shared.close_gracefully(Conn::new(client, Protocol::Uwsgi, 0, clock::monotonic_us()));
            }
            After::Send(queue, _) => {
                let conn = Conn::new(client, Protocol::Uwsgi, 0, clock::monotonic_us());
                self.keep_leftover(conn, queue, false);
            }
        }
    }

    /// What the client has not taken of its answer waits in the table.
    fn keep_leftover(&mut self, mut conn: Conn, queue: SendQueue, keep: bool) {
        let share = Share::take(&self.shared.leftovers, queue.memory());
        conn.since_us = clock::monotonic_us();
        let length = queue.len();
        conn.leftover = Some(Box::new(Leftover { queue, share, length, begun_us: conn.since_us, keep }));
        conn.waits = Waits::Reader;
        self.keep(conn);
    }

    /// The connection is free for another request.
    pub(in crate::worker) fn next_request(&mut self, mut conn: Conn) {
        conn.waits = Waits::Idle;
        conn.since_us = clock::monotonic_us();
        if conn.buf.is_empty() {
            self.keep(conn);
        } else {
            self.again.push_back(conn);
        }
    }

    /// No TLS session came about, or it broke. What there is to be said has gone out as an alert, unless the client speaks
    /// HTTP, which has an answer of its own.
    pub(in crate::worker) fn tls_failed(&mut self, conn: Conn) -> bool {
        self.shared.count_refused();
        let Some(client) = &conn.client else { return false };
        let shared = self.shared.clone();
        let peer = conn.peer.map_or_else(String::new, |peer| format!(" of {peer}"));
        match client.failure() {
            Some(Failure::NotTls) => {
                let _ = client.send_raw(NOT_TLS);
                if shared.not_tls.count(1, clock::monotonic_us()).is_some() {
                    let name = &shared.listeners[conn.listener].name;
                    log::say(&format!(
                        "worker {}: refused a request{peer} with 400: plain HTTP came to {name}, which speaks HTTPS \
                         (said once a minute)",
                        shared.id
                    ));
                }
            }
            Some(failure) if shared.settings.tls.verbose => {
                log::say(&format!("worker {}: the TLS session{peer} failed: {failure}", shared.id));
            }
            _ => {}
        }
        shared.close_gracefully(conn);
        false
    }
}

impl Shared {
    /// The client has read something of its answer. Ready: it has all of it, and may ask for more.
    pub(in crate::worker) fn send_leftover(&self, mut conn: Conn) -> Serviced {
        let (Some(client), Some(left)) = (&mut conn.client, &mut conn.leftover) else {
            self.forget(&conn);
            return Serviced::Over;
        };
        match left.queue.send(client) {
            Ok(0) => {}
            Ok(_) => conn.since_us = clock::monotonic_us(),
            Err(error) => {
                match error.kind() {
                    ErrorKind::UnexpectedEof => log::say(&format!("worker {}: {CUT_SHORT}", self.id)),
                    _ => self.count_gone(),
                }
                self.forget(&conn);
                return Serviced::Over;
            }
        }
        if !left.queue.is_empty() || client.has_pending_output() {
            return Serviced::Waits(conn);
        }
        let keep = left.keep;
        conn.leftover = None;
        // The answer did not say that it is the last: a request that came behind it is answered.
        let is_tls = conn.client.as_ref().is_some_and(Client::is_tls);
        if keep && (self.keeps_connections(is_tls) || has_begun(&mut conn)) {
            return Serviced::Ready(conn);
        }
        self.close_gracefully(conn);
        Serviced::Over
    }

    /// The client takes what is left of its answer too slowly, or not at all.
    pub(in crate::worker) fn cut_off(&self, conn: &Conn, why: &str) {
        self.count_gone();
        let left = conn.leftover.as_ref().map_or(0, |left| left.queue.len());
        log::say(&format!(
            "worker {}: a client read {why}; its answer was cut off, {left} bytes before its end{}",
            self.id,
            conn.from_whom()
        ));
    }

    fn count_gone(&self) {
        self.slot.gone_clients().fetch_add(1, Relaxed);
    }

    /// Answers a request that cannot be served, and closes. Nothing is put on the scoreboard or counted as a request. Returns
    /// `false`: there is nothing to run.
    pub(in crate::worker) fn turn_away(&self, conn: Conn, status: u16, why: &str) -> bool {
        self.count_refused();
        let from = conn.from_whom();
        log::say(&format!("worker {}: refused a request with {status}: {why}{from}", self.id));
        self.answer_last(conn, status);
        false
    }

    /// Sends the last answer on a connection, as far as the client takes it at once, and closes.
    pub(in crate::worker) fn answer_last(&self, mut conn: Conn, status: u16) {
        let mut out = Vec::with_capacity(256);
        let date = http_date(clock::wall_secs().max(0) as u64);
        Plain { date: date.as_ref(), ..Plain::last(status, &self.server_headers) }.push_to(&mut out);
        if let Some(client) = &mut conn.client {
            let _ = client.send(&out);
        }
        self.close_gracefully(conn);
    }

    /// Closes for sending, and lets the table read what still comes, for a moment.
    pub(in crate::worker) fn close_gracefully(&self, mut conn: Conn) {
        if let Some(client) = &mut conn.client {
            client.shutdown_send();
        }
        conn.buf = Vec::new();
        conn.upload = None;
        conn.waits = Waits::Close;
        conn.since_us = clock::monotonic_us();
        self.read_to_close(conn);
    }

    /// Drops what has come; the connection goes when the client has closed it, or its time is up.
    pub(in crate::worker) fn read_to_close(&self, conn: Conn) {
        let mut waste = [0; 16 * 1024];
        let Some(client) = &conn.client else { return self.forget(&conn) };
        for _ in 0..16 {
            match client.recv_waste(&mut waste) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Ok(0) | Err(_) => return self.forget(&conn),
            }
        }
        self.keep(conn);
    }
}

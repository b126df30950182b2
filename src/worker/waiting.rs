//! The connections of a worker that wait: kept, looked over, and let go.

use super::Shared;
use super::conn::{leftover, linger};
use super::conns::{Conn, Limits, Overdue, Waits};
use super::core::Core;
use super::http::{self, head::is_empty_line};
use super::intake::CONNECTION;
use super::request::{Taken, canned};
use super::uwsgi::packet;
use crate::base::reason::reason;
use crate::config::Protocol;
use crate::net::client::Client;
use crate::sys::{epoll, io};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::*;
use std::time::Duration;

/// How often waiting connections are looked over.
pub(super) const SWEEP_US: u64 = 1_000_000;

/// What has become of a connection that was looked after.
pub enum Serviced {
    /// What comes next is a core's.
    Ready(Conn),
    /// It waits on.
    Waits(Conn),
    Over,
}

impl Shared {
    /// Puts a connection into the table until it has bytes, or room for some.
    pub(super) fn keep(&self, mut conn: Conn) {
        let wanted = awaited(&mut conn);
        self.watch(conn, wanted);
    }

    /// The same for a core: the standby poller looks after the connection while every core is busy, and where they wait in
    /// the accept queues.
    pub(super) fn keep_for_standby(self: &Arc<Shared>, conn: Conn) {
        let is_alone = !self.has_private_epoll();
        if is_alone || conn.needs_service() || !self.mailboxes.is_empty() {
            self.need_standby();
        }
        self.keep(conn);
        if is_alone {
            self.wake_standby();
        }
    }

    /// Puts a connection into the table that has something for a core of which its socket knows nothing. There is room in
    /// the socket, so that the next wait returns with it.
    pub(super) fn leave_to_core(&self, conn: Conn) {
        self.watch(conn, epoll::READ | epoll::WRITE);
    }

    pub(super) fn watch(&self, mut conn: Conn, wanted: u32) {
        let one_at_a_time = self.scoreboard.threads() > 1;
        let flags = if one_at_a_time { wanted | epoll::ONESHOT } else { wanted };
        let before = std::mem::replace(&mut conn.events, flags);
        let mut conns = self.conns();
        let key = conn.key.unwrap_or_else(|| conns.reserve());
        conn.key = Some(key);
        let Some(client) = &conn.client else { return conns.release(key) };
        let token = CONNECTION | key as u64;
        let watched = match before {
            0 => self.epoll.add(client, flags, token),
            _ if one_at_a_time || before != flags => self.epoll.modify(client, flags, token),
            _ => Ok(()),
        };
        match watched {
            Ok(()) => conns.put(key, conn),
            Err(error) => {
                conns.release(key);
                self.complain(&format!("a connection cannot be watched: {}; it is closed", reason(error)));
            }
        }
        let full = conns.is_full();
        let too_much = conns.request_memory() > self.settings.http.request_memory;
        drop(conns);
        if full {
            self.set_table_full();
        }
        if too_much {
            self.shed_requests();
        }
    }

    /// The table has nothing to do with a connection any more, or never had.
    pub(super) fn forget(&self, conn: &Conn) {
        let Some(key) = conn.key else { return };
        // Closing the socket does not end its events while a process that the application has forked holds it, too.
        if let Some(client) = conn.client.as_ref().filter(|_| conn.events != 0) {
            let _ = self.epoll.remove(client);
        }
        self.conns().release(key);
    }

    /// May an answer keep its connection open?
    pub(super) fn keeps_connections(&self, is_tls: bool) -> bool {
        let command = self.command();
        command.keeps_connections(is_tls)
            && !self.is_table_full()
            && (command.serves() || self.has_successor())
    }

    /// Closes the connections that have waited too long, once a second.
    pub(super) fn sweep(&self, now: u64) {
        let due = self.next_sweep_us.load(Relaxed);
        let next = now + SWEEP_US;
        if now < due || self.next_sweep_us.compare_exchange(due, next, Relaxed, Relaxed).is_err() {
            return;
        }
        let settings = &self.settings;
        let limits = Limits {
            packet: settings.requests.socket_timeout,
            head: settings.http.head_timeout,
            idle: settings.http.idle_timeout.unwrap_or_default(),
            stall: settings.http.timeout,
            rate: settings.http.min_rate,
        };
        let overdue = self.conns().overdue(now, &limits);
        for conn in overdue {
            if has_moved(&conn) {
                let wanted = conn.events & !epoll::ONESHOT;
                self.watch(conn, wanted);
                continue;
            }
            let trickles = conn.overdue(now, &limits) == Some(Overdue::Trickling);
            self.drop_overdue(conn, trickles);
        }
    }

    fn drop_overdue(&self, conn: Conn, trickles: bool) {
        let http = &self.settings.http;
        let limit = match trickles {
            true => format!("less than http-min-rate = {} bytes a second", http.min_rate),
            false => format!("nothing for http-timeout = {} s", http.timeout.as_secs()),
        };
        match (conn.waits, conn.protocol, conn.buf.is_empty()) {
            (Waits::Head, Protocol::Uwsgi, _) => packet::note_slow_peer(self, conn.buf.len()),
            (Waits::Head, Protocol::Http, false) => {
                let (bytes, limit) = (conn.buf.len(), http.head_timeout.as_secs());
                let text =
                    format!("only {bytes} bytes of its head came within http-headers-timeout = {limit} s");
                return canned::turn_away(self, conn, 408, &text);
            }
            (Waits::Body, ..) => {
                return canned::turn_away(self, conn, 408, &format!("its client sent {limit} of its body"));
            }
            (Waits::Reader, ..) => leftover::cut_off(self, &conn, &limit),
            _ => {}
        }
        self.forget(&conn);
    }
}

/// Has the client done its part, and nobody here has looked? Every thread may have been busy for longer than it may wait.
pub(super) fn has_moved(conn: &Conn) -> bool {
    let Some(client) = conn.client.as_ref().filter(|_| conn.waits != Waits::Close) else { return false };
    let is_ready = |write| epoll::wait_one(client, write, Duration::ZERO).unwrap_or(false);
    (conn.events & epoll::WRITE != 0 && is_ready(true)) || (conn.waits != Waits::Reader && is_ready(false))
}

impl Core {
    pub(super) fn read(&mut self, conn: Conn) -> Taken {
        match (conn.waits, conn.protocol) {
            (Waits::Reader, _) => {
                match leftover::send(&self.shared, conn) {
                    Serviced::Ready(conn) => self.next_request(conn),
                    Serviced::Waits(conn) => self.keep(conn),
                    Serviced::Over => {}
                }
                Taken::Nothing
            }
            (Waits::Close, _) => {
                linger::read_on(&self.shared, conn);
                Taken::Nothing
            }
            (_, Protocol::Uwsgi) => packet::read(self, conn),
            (_, Protocol::Http) => http::head::read(self, conn),
        }
    }

    /// Puts a connection into the table, unless there is more to be read at once.
    pub(super) fn keep(&mut self, mut conn: Conn) {
        let reads_on = !matches!(conn.waits, Waits::Reader | Waits::Close);
        let holds = reads_on && conn.client.as_mut().is_some_and(Client::has_buffered_input);
        if holds { self.again.push_back(conn) } else { self.shared.keep_for_standby(conn) }
    }
}

/// What a connection is to be watched for.
pub(super) fn awaited(conn: &mut Conn) -> u32 {
    match conn.waits {
        Waits::Reader => epoll::WRITE,
        Waits::Close => epoll::READ,
        // There is room for what it has_pending_output; of what it holds the socket knows nothing, but room there is mostly.
        _ if conn
            .client
            .as_mut()
            .is_some_and(|client| client.has_pending_output() || client.has_buffered_input()) =>
        {
            epoll::READ | epoll::WRITE
        }
        _ => epoll::READ,
    }
}

/// Is there something of the next request?
pub(super) fn has_begun(conn: &mut Conn) -> bool {
    let Some(client) = &mut conn.client else { return false };
    !is_empty_line(&conn.buf) || client.has_buffered_input() || io::has_bytes(client.as_fd())
}

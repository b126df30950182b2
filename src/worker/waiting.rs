//! The connections of a worker that wait: kept, looked over, and let go.

use super::Shared;
use super::client::Client;
use super::conns::{Conn, Limits, Overdue, Waits};
use super::core::Core;
use super::intake::CONNECTION;
use crate::config::Protocol;
use crate::sys::{clock, epoll, io};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::*;

/// How often waiting connections are looked over.
pub(super) const SWEEP_US: u64 = 1_000_000;

impl Shared {
    pub(super) fn keep(&self, mut conn: Conn) {
        let one_at_a_time = self.board.threads() > 1;
        let wanted = match conn.waits {
            Waits::Reader => epoll::WRITE,
            Waits::Close => epoll::READ,
            // There is room for what it owes; of what it holds the socket knows nothing, but room there is mostly.
            _ if conn.client.as_mut().is_some_and(|client| client.owes() || client.holds()) => {
                epoll::READ | epoll::WRITE
            }
            _ => epoll::READ,
        };
        let flags = if one_at_a_time { wanted | epoll::ONESHOT } else { wanted };
        let before = std::mem::replace(&mut conn.events, flags);
        let mut conns = self.conns();
        let known = conn.key;
        let key = known.unwrap_or_else(|| conns.reserve());
        conn.key = Some(key);
        let Some(client) = &conn.client else { return };
        let token = CONNECTION | key as u64;
        let watched = match known {
            None => self.epoll.add(client, flags, token),
            Some(_) if one_at_a_time || before != flags => self.epoll.modify(client, flags, token),
            Some(_) => Ok(()),
        };
        match watched {
            Ok(()) => conns.put(key, conn),
            Err(_) => {
                conns.release(key);
                self.discount(&conn);
            }
        }
        let full = conns.is_full();
        drop(conns);
        if full {
            self.set_crowded();
        }
    }

    /// What is left of its answer waits no more.
    pub(super) fn discount(&self, conn: &Conn) {
        if let Some(left) = &conn.leftover {
            self.leftovers.fetch_sub(left.memory, Relaxed);
        }
    }
}

impl Core {
    pub(super) fn read(&mut self, conn: Conn) -> bool {
        match (conn.waits, conn.protocol) {
            (Waits::Reader, _) => self.send_leftover(conn),
            (Waits::Close, _) => self.read_to_close(conn),
            (_, Protocol::Uwsgi) => self.read_packet(conn),
            (_, Protocol::Http) => self.read_http(conn),
        }
    }

    /// Puts a connection into the table until it has bytes, or room for some.
    pub(super) fn keep(&mut self, mut conn: Conn) {
        self.shared.need_watcher();
        let reads_on = !matches!(conn.waits, Waits::Reader | Waits::Close);
        let holds = reads_on && conn.client.as_mut().is_some_and(Client::holds);
        if holds { self.again.push_back(conn) } else { self.shared.keep(conn) }
    }

    /// A connection is closed, or was never in the table.
    pub(super) fn forget(&mut self, conn: &Conn) {
        self.shared.discount(conn);
        if let Some(key) = conn.key {
            self.shared.conns().release(key);
        }
    }

    /// May answers keep their connection open?
    pub(super) fn keeps_connections(&self) -> bool {
        self.shared.slot.order().serves() && !self.shared.is_crowded()
    }

    /// Closes the connections that have waited too long, once a second.
    pub(super) fn sweep(&mut self) {
        if !self.shared.own_epoll() || self.shared.conns().is_empty() {
            return;
        }
        let now = clock::monotonic_us();
        let due = self.shared.next_sweep_us.load(Relaxed);
        let next = now + SWEEP_US;
        if now < due || self.shared.next_sweep_us.compare_exchange(due, next, Relaxed, Relaxed).is_err() {
            return;
        }
        let settings = &self.shared.settings;
        let limits = Limits {
            packet: settings.socket_timeout,
            head: settings.http.head_timeout,
            idle: settings.http.idle_timeout.unwrap_or_default(),
            stall: settings.http.timeout,
            rate: settings.http.min_rate,
        };
        let overdue = self.shared.conns().overdue(now, &limits);
        for conn in overdue {
            let trickles = conn.overdue(now, &limits) == Some(Overdue::Trickling);
            self.drop_overdue(conn, trickles);
        }
    }

    fn drop_overdue(&mut self, conn: Conn, trickles: bool) {
        let http = &self.shared.settings.http;
        let limit = match trickles {
            true => format!("less than http-min-rate = {} bytes a second", http.min_rate),
            false => format!("nothing for http-timeout = {} s", http.timeout.as_secs()),
        };
        match (conn.waits, conn.protocol, conn.buf.is_empty()) {
            (Waits::Head, Protocol::Uwsgi, _) => self.too_slow(conn.buf.len()),
            (Waits::Head, Protocol::Http, false) => {
                let (bytes, limit) = (conn.buf.len(), http.head_timeout.as_secs());
                let text =
                    format!("only {bytes} bytes of its head came within http-headers-timeout = {limit} s");
                self.turn_away(conn, 408, &text);
                return;
            }
            (Waits::Body, ..) => {
                self.turn_away(conn, 408, &format!("its client sent {limit} of its body"));
                return;
            }
            (Waits::Reader, ..) => self.cut_off(&conn, &limit),
            _ => {}
        }
        self.forget(&conn);
    }

    /// On the way out: idle connections are closed, those with a request on its way are served first.
    pub(super) fn has_left_nothing(&mut self) -> bool {
        if !self.shared.own_epoll() {
            return true;
        }
        self.shared.set_deaf(true);
        while let Some(conn) = self.shared.take_given() {
            self.shared.keep(conn);
        }
        let idle = self.shared.conns().take_idle(clock::monotonic_us());
        for mut conn in idle {
            let has_bytes = |client: &Client| io::has_bytes(client.as_fd());
            let begun = conn.waits != Waits::Close && conn.client.as_ref().is_some_and(has_bytes);
            if begun {
                conn.waits = Waits::Head;
                self.keep(conn);
            } else {
                self.forget(&conn);
            }
        }
        self.shared.conns().is_empty()
    }
}

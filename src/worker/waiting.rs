//! The connections of a worker that wait: kept, looked over, and let go.

use super::conns::{Conn, Limits, Waits};
use super::core::Core;
use super::intake::CONNECTION;
use crate::config::Protocol;
use crate::shm::board::Order;
use crate::sys::{clock, epoll, io};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::*;
use std::time::Duration;

/// How often waiting connections are looked over.
pub(super) const SWEEP_US: u64 = 1_000_000;
/// How long the head of an HTTP request may take.
const HEAD: Duration = Duration::from_secs(15);
/// How long a connection may stay without a request: longer than the 60 s of common balancers, so that they close first.
const IDLE: Duration = Duration::from_secs(75);

impl Core {
    pub(super) fn read(&mut self, conn: Conn) -> bool {
        match conn.protocol {
            Protocol::Uwsgi => self.read_packet(conn),
            Protocol::Http => self.read_http(conn),
        }
    }

    /// Puts a connection into the table until it has bytes.
    pub(super) fn keep(&mut self, mut conn: Conn) {
        let shared = &self.shared;
        let flags = if self.counts_in_flight { epoll::READ | epoll::ONESHOT } else { epoll::READ };
        let mut conns = shared.conns();
        let known = conn.key;
        let key = known.unwrap_or_else(|| conns.reserve());
        conn.key = Some(key);
        let Some(client) = &conn.client else { return };
        let token = CONNECTION | key as u64;
        let watched = match known {
            None => shared.epoll.add(client, flags, token),
            Some(_) if self.counts_in_flight => shared.epoll.modify(client, flags, token),
            Some(_) => Ok(()),
        };
        match watched {
            Ok(()) => conns.put(key, conn),
            Err(_) => conns.release(key),
        }
        let full = conns.is_full();
        drop(conns);
        if full {
            shared.set_deaf(true);
        }
    }

    /// A connection is closed, or was never in the table.
    pub(super) fn forget(&mut self, conn: &Conn) {
        if let Some(key) = conn.key {
            self.shared.conns().release(key);
        }
    }

    /// May answers keep their connection open?
    pub(super) fn keeps_connections(&self) -> bool {
        self.shared.slot.order() == Order::Serve && !self.shared.conns().is_full()
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
        let limits = Limits { packet: self.shared.settings.socket_timeout, head: HEAD, idle: IDLE };
        let overdue = self.shared.conns().overdue(now, &limits);
        for conn in overdue {
            self.drop_overdue(conn);
        }
    }

    fn drop_overdue(&mut self, mut conn: Conn) {
        self.forget(&conn);
        let Some(client) = conn.client.take() else { return };
        match (conn.waits, conn.protocol, conn.buf.is_empty()) {
            (Waits::Head, Protocol::Uwsgi, _) => self.too_slow(conn.buf.len()),
            (Waits::Head, Protocol::Http, false) => {
                let text =
                    format!("only {} bytes of its head came within {} s", conn.buf.len(), HEAD.as_secs());
                self.refuse(client, 408, &text);
            }
            _ => {}
        }
    }

    /// On the way out: idle connections are closed, those with a request on its way are served first.
    pub(super) fn has_left_nothing(&mut self) -> bool {
        if !self.shared.own_epoll() {
            return true;
        }
        self.shared.set_deaf(true);
        let idle = self.shared.conns().take_idle();
        for mut conn in idle {
            let begun = conn.client.as_ref().is_some_and(|client| io::has_bytes(client.as_fd()));
            if begun {
                conn.waits = Waits::Head;
                self.keep(conn);
            } else {
                self.forget(&conn);
            }
        }
        self.shared.conns().is_empty()
    }

    // ── the life of a request ──
}

//! The connection table of a worker: its connections on which no request runs, and the epoll that watches them. No
//! thread is spent on them.

use super::Conn;
use super::deadline::Limits;
use super::places::Places;
use crate::base::reason::reason;
use crate::config::Settings;
use crate::log::throttle::Complaints;
use crate::shm::scoreboard::WorkerSlot;
use crate::sys::clock;
use crate::sys::epoll::{self, Epoll};
use crate::worker::body::spool::Storage;
use parking_lot::{Mutex, MutexGuard};
use std::io::{ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};

/// Tokens of connections: this bit and their key.
pub const CONNECTION: u64 = 1 << 33;
/// How often waiting connections are looked over.
pub const SWEEP_US: u64 = 1_000_000;

/// What requests that are not whole take of memory together, compared with `http-request-memory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestMemory {
    Fits,
    Exceeded,
}

pub struct ConnTable {
    places: Mutex<Places>,
    /// Watches the connections, and the listeners too where there are no accept queues.
    epoll: Epoll,
    /// Of several threads that wait, one is to get a connection.
    is_oneshot: bool,
    slot: WorkerSlot,
    /// The table is full, or was a moment ago.
    full: AtomicBool,
    /// Until then no descriptor is expected to be free.
    short_until_us: AtomicU64,
    /// How many connections can go on without the application.
    serviceable: Arc<AtomicUsize>,
    /// Bytes of answers that wait for their clients.
    pub leftovers: Arc<AtomicUsize>,
    limits: Limits,
    /// When waiting connections are looked over next.
    next_sweep_us: AtomicU64,
    /// Most bytes of requests that are not whole.
    request_memory: usize,
    complaints: Complaints,
}

impl ConnTable {
    pub fn new(
        settings: &Settings,
        mut places: Places,
        threads: usize,
        slot: WorkerSlot,
        id: u32,
    ) -> Result<ConnTable> {
        places.show(slot);
        Ok(ConnTable {
            serviceable: places.serviceable(),
            places: Mutex::new(places),
            epoll: Epoll::new()?,
            is_oneshot: threads > 1,
            slot,
            full: AtomicBool::new(false),
            short_until_us: AtomicU64::new(0),
            leftovers: Arc::default(),
            limits: Limits::of(settings),
            next_sweep_us: AtomicU64::new(0),
            request_memory: settings.http.request_memory,
            complaints: Complaints::new(id),
        })
    }

    pub fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock()
    }

    pub fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub fn take(&self, key: usize) -> Option<Conn> {
        self.lock().take(key)
    }

    #[inline]
    pub fn has_serviceable(&self) -> bool {
        self.serviceable.load(Relaxed) > 0
    }

    // ── connections ──

    /// Takes a connection until it is readable or writable. It is the client's turn: its time runs.
    #[inline]
    pub fn keep(&self, mut conn: Conn) -> RequestMemory {
        conn.ready_us = 0;
        let wanted = conn.awaited();
        self.watch(conn, wanted)
    }

    /// Takes one that has buffered input for a core, which epoll cannot report. There is room in the socket, so that
    /// the next wait returns with it.
    pub fn leave_to_core(&self, conn: Conn) -> RequestMemory {
        self.watch(conn, epoll::READ | epoll::WRITE)
    }

    pub fn watch(&self, mut conn: Conn, wanted: u32) -> RequestMemory {
        conn.begin_to_wait();
        let flags = if self.is_oneshot { wanted | epoll::ONESHOT } else { wanted };
        let before = std::mem::replace(&mut conn.events, flags);
        let mut places = self.lock();
        let key = conn.key.unwrap_or_else(|| places.reserve());
        conn.key = Some(key);
        if let Err(error) = self.register(&conn, key, before) {
            places.release(key);
            self.complaints.say(&format!("a connection cannot be watched: {}; it is closed", reason(error)));
        } else {
            places.put(key, conn);
        }
        let is_full = places.is_full();
        let exceeds = places.request_memory() > self.request_memory;
        drop(places);
        if is_full {
            self.set_full();
        }
        if exceeds { RequestMemory::Exceeded } else { RequestMemory::Fits }
    }

    /// Takes a connection that has something to be read, unwatched; returns its key.
    pub fn hold(&self, mut conn: Conn) -> usize {
        conn.begin_to_wait();
        let mut places = self.lock();
        let key = conn.key.unwrap_or_else(|| places.reserve());
        conn.key = Some(key);
        places.put(key, conn);
        let is_full = places.is_full();
        drop(places);
        if is_full {
            self.set_full();
        }
        key
    }

    fn register(&self, conn: &Conn, key: usize, before: u32) -> Result<()> {
        let Some(client) = &conn.client else { return Err(ErrorKind::NotConnected.into()) };
        let token = CONNECTION | key as u64;
        match before {
            0 => self.epoll.add(client, conn.events, token),
            _ if self.is_oneshot || before != conn.events => self.epoll.modify(client, conn.events, token),
            _ => Ok(()),
        }
    }

    /// Takes a connection out of the epoll.
    pub fn unwatch(&self, conn: &Conn) {
        if let Some(client) = conn.client.as_ref().filter(|_| conn.events != 0) {
            let _ = self.epoll.remove(client);
        }
    }

    /// The table has nothing to do with a connection any more, or never had.
    pub fn forget(&self, conn: &Conn) {
        let Some(key) = conn.key else { return };
        // Closing the socket does not end its events while a process that the application has forked holds it, too.
        self.unwatch(conn);
        self.lock().release(key);
    }

    // ── capacity ──

    fn set_full(&self) {
        self.full.store(true, Relaxed);
        self.slot.table_full().store(1, Relaxed);
    }

    /// No descriptor is expected to be free until then.
    pub fn set_short_until(&self, time_us: u64) {
        self.short_until_us.store(time_us, Relaxed);
        self.set_full();
    }

    /// Is the table full, or was it a moment ago?
    #[inline]
    pub fn is_full(&self) -> bool {
        self.full.load(Relaxed) && self.is_still_full()
    }

    #[cold]
    fn is_still_full(&self) -> bool {
        let is_short = clock::monotonic_us() < self.short_until_us.load(Relaxed);
        let full = is_short || !self.lock().has_room();
        self.full.store(full, Relaxed);
        self.slot.table_full().store(full.into(), Relaxed);
        full
    }

    /// Where a body on an HTTP socket may be kept. From half of `http-request-memory` on, bodies go to files.
    pub fn storage(&self, settings: &Settings) -> Storage {
        let places = self.lock();
        let is_short = places.request_memory() > self.request_memory / 2;
        Storage {
            memory: if is_short { 0 } else { settings.http.body_memory },
            file: settings.requests.post_buffering_limit,
            may_open: places.has_descriptors(),
        }
    }

    // ── time ──

    #[inline]
    pub fn is_sweep_due(&self, now_us: u64) -> bool {
        now_us >= self.next_sweep_us.load(Relaxed)
    }

    /// The connections that have waited too long, taken out; once a second.
    pub fn sweep(&self, now_us: u64) -> Vec<Conn> {
        let due = self.next_sweep_us.load(Relaxed);
        let next = now_us + SWEEP_US;
        if now_us < due || self.next_sweep_us.compare_exchange(due, next, Relaxed, Relaxed).is_err() {
            return Vec::new();
        }
        self.lock().overdue(now_us, &self.limits)
    }
}

//! A worker whose threads all run requests cannot look after the connections in its table. This thread does, and gives
//! those that have something to say to a worker that is idle. It knows nothing of Python, and of requests only how long
//! they have run: while they are short, and there are pauses between them, it does nothing.

use super::handover::is_movable_now;
use super::intake::{CONNECTION, GIVEN};
use super::{Shared, log};
use crate::base::reason::reason;
use crate::shm::board::Phase;
use crate::sys::epoll::Events;
use crate::sys::{clock, signal};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering::*, fence};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Duration;

/// A request that has run so long may run much longer.
const LONG_US: u64 = 5_000;
/// So many times in a row no thread was found at rest: short requests follow each other without a pause.
const SATURATED: u32 = 4;
/// A neighbour that is idle now and then is between two requests.
const BETWEEN: Duration = Duration::from_micros(300);
/// How often the connections are looked at while one does.
const LOOK: Duration = Duration::from_millis(3);
/// Looks without a request in between, after which there is no more looking until one comes.
const QUIET: u32 = 50;

#[derive(Default)]
pub struct Watcher {
    thread: OnceLock<Option<Thread>>,
    asleep: AtomicBool,
}

impl Shared {
    /// There are connections to look after.
    #[inline]
    pub fn need_watcher(self: &Arc<Shared>) {
        if self.letters.is_empty() || self.watcher.thread.get().is_some() {
            return;
        }
        self.watcher.thread.get_or_init(|| {
            let shared = self.clone();
            let started = std::thread::Builder::new()
                .name("rwsgi watcher".to_owned())
                .stack_size(256 * 1024)
                .spawn(move || shared.watch_over());
            if let Err(error) = &started {
                log::say(&format!("worker {}: cannot start its watcher: {}", self.id, reason(error)));
            }
            started.ok().map(|handle| handle.thread().clone())
        });
    }

    /// A request has begun.
    #[inline]
    pub fn rouse_watcher(&self) {
        let Some(Some(thread)) = self.watcher.thread.get() else { return };
        // The watcher says that it sleeps, then looks for requests; a request is on the board before this looks whether it
        // sleeps. One of the two sees the other.
        fence(SeqCst);
        if self.watcher.asleep.load(Relaxed) && self.watcher.asleep.swap(false, AcqRel) {
            thread.unpark();
        }
    }

    fn watch_over(&self) {
        let _ = signal::block_all();
        let mut events = Events::with_capacity(64);
        let (mut quiet, mut busy) = (0u32, 0u32);
        loop {
            let busy_for = self.all_busy_for();
            (quiet, busy) =
                if busy_for.is_some() { (0, busy.saturating_add(1)) } else { (quiet.saturating_add(1), 0) };
            match busy_for {
                Some(LONG_US..) => {
                    self.give_what_waits(&mut events);
                    std::thread::park_timeout(LOOK);
                }
                Some(_) if busy > SATURATED => {
                    if self.has_neighbour_at_rest() {
                        self.give_what_waits(&mut events);
                    }
                    std::thread::park_timeout(LOOK);
                }
                Some(time) => std::thread::park_timeout(Duration::from_micros(LONG_US - time)),
                None if quiet <= QUIET => std::thread::park_timeout(Duration::from_micros(LONG_US)),
                None => self.sleep(),
            }
        }
    }

    fn sleep(&self) {
        self.watcher.asleep.store(true, Relaxed);
        fence(SeqCst);
        if self.all_busy_for().is_some() {
            self.watcher.asleep.store(false, Relaxed);
            return;
        }
        while self.watcher.asleep.load(Acquire) {
            std::thread::park();
        }
    }

    /// How long every thread has been running its request; `None`: one of them runs none.
    fn all_busy_for(&self) -> Option<u64> {
        let now = clock::monotonic_us();
        let mut youngest = u64::MAX;
        for core in self.board.cores(self.slot_index) {
            if core.phase() == Phase::Idle {
                return None;
            }
            youngest = youngest.min(now.saturating_sub(core.started_us().load(Relaxed)));
        }
        Some(youngest)
    }

    fn has_neighbour_at_rest(&self) -> bool {
        let found = self.idle_neighbour();
        found.is_some() && {
            std::thread::park_timeout(BETWEEN);
            self.idle_neighbour() == found
        }
    }

    /// Looks once which connections have something, without waiting: a thread that waits in this epoll would be woken for
    /// new connections, too, in place of another worker.
    fn give_what_waits(&self, events: &mut Events) {
        if self.idle_neighbour().is_none() {
            return;
        }
        if self.epoll.wait(events, Some(Duration::ZERO), None).is_err() {
            return;
        }
        for (token, _) in events.iter() {
            if token == GIVEN {
                if let Some(conn) = self.take_given() {
                    self.give_or_keep(conn);
                }
            } else if token & CONNECTION != 0 {
                self.give_from_table((token & !CONNECTION) as usize);
            }
        }
    }

    fn give_from_table(&self, key: usize) {
        let Some(mut conn) = self.conns().take(key) else { return };
        if is_movable_now(&mut conn)
            && let Some(client) = &conn.client
            && self.epoll.remove(client.as_fd()).is_ok()
        {
            self.conns().release(key);
            conn.key = None;
            return self.give_or_keep(conn);
        }
        self.keep(conn);
    }

    fn give_or_keep(&self, conn: super::conns::Conn) {
        let kept = match self.idle_neighbour() {
            Some(slot) => self.give(conn, slot),
            None => Some(conn),
        };
        if let Some(conn) = kept {
            self.keep(conn);
        }
    }
}

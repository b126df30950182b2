//! Which process takes a waiting connection: one with nothing in flight before one that is at work.

use super::core::Core;
use crate::shm::board::Phase;
use crate::sys::{clock, process};
use std::sync::atomic::Ordering::*;
use std::time::Duration;

/// How long a computing process waits before it looks again whether it still computes: at first, and when it has
/// computed at every look for a while.
const SHORTEST_REST_US: u64 = 1_000;
const LONGEST_REST_US: u64 = 128_000;
/// When nothing is begun or completed for so long, computations are long here: they must not starve the backlog.
const STALLED_US: u64 = 1_000_000;

impl Core {
    /// Says on the board that this process is about to take a request, if none is in flight. In a process with one thread
    /// there never is. Where each worker watches the listeners itself, connections come in freely.
    pub(super) fn claim_alone(&mut self) -> bool {
        if !self.counts_in_flight || self.shared.own_epoll() {
            return true;
        }
        self.claimed = self.shared.slot.in_flight().compare_exchange(0, 1, AcqRel, Acquire).is_ok();
        if self.claimed {
            // Now, not when the request runs: reading it may take a slow client's time.
            self.shared.call_successor();
        }
        self.claimed
    }

    pub(super) fn claim(&mut self) {
        if self.counts_in_flight && !self.claimed {
            self.shared.slot.in_flight().fetch_add(1, AcqRel);
            self.claimed = true;
            if !self.shared.own_epoll() {
                self.shared.call_successor();
            }
        }
    }

    pub(super) fn unclaim(&mut self) {
        if std::mem::take(&mut self.claimed) {
            self.shared.slot.in_flight().fetch_sub(1, AcqRel);
        }
    }

    /// A connection waits, and this process is at work: it takes another only when no request of its computes. One that
    /// does leaves the connection to whoever is free first, and looks again in a moment.
    pub(super) fn share(&mut self, listener: usize) -> bool {
        let shared = &self.shared;
        let now = clock::monotonic_us();
        let stalled_for = now.saturating_sub(shared.progress_us.load(Relaxed));
        if stalled_for < STALLED_US && !shared.parallel && self.neighbours_compute() {
            let rest = shared.rest_us.load(Relaxed).clamp(SHORTEST_REST_US, LONGEST_REST_US);
            shared.rest_us.store(2 * rest, Relaxed);
            self.intake.rest(shared, Duration::from_micros(rest));
            return false;
        }
        shared.rest_us.store(0, Relaxed);
        self.claim();
        let found = self.accept(listener);
        if !found {
            self.unclaim();
        }
        found
    }

    /// Does a thread of this process that runs a request want a processor? One that waits for a database does not.
    fn neighbours_compute(&self) -> bool {
        let cores = self.shared.board.cores(self.shared.slot_index);
        let running = cores.filter(|core| core.phase() != Phase::Idle);
        running.map(|core| core.tid().load(Relaxed)).any(|tid| process::is_runnable(tid as i32))
    }
}

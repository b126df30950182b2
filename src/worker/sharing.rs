//! Which process takes a waiting connection: one with nothing in flight before one that is at work.

use super::Shared;
use super::core::Core;
use super::request::Taken;
use crate::policy::balance;
use crate::shm::scoreboard::Phase;
use crate::sys::{clock, process, signal};
use std::sync::atomic::Ordering::*;
use std::time::Duration;

/// How long a computing process waits before it looks again whether it still computes: at first, and when it has
/// computed at every look for a while.
const MIN_BACK_OFF_US: u64 = 1_000;
const MAX_BACK_OFF_US: u64 = 128_000;
/// When nothing is begun or completed for so long, computations are long here: they must not starve the backlog.
const STALLED_US: u64 = 1_000_000;

impl Core {
    /// Says on the scoreboard that this process is about to take a request, if none is in flight. In a process with one thread
    /// there never is. Where each worker watches the listeners itself, connections come in freely.
    pub(super) fn claim_alone(&mut self) -> bool {
        if !self.counts_in_flight || self.shared.has_private_epoll() {
            return true;
        }
        self.claimed = self.shared.slot.in_flight().compare_exchange(0, 1, AcqRel, Acquire).is_ok();
        if self.claimed {
            // Now, not when the request runs: reading it may take a slow client's time.
            self.shared.wake_one();
        }
        self.claimed
    }

    pub(super) fn claim(&mut self) {
        if self.counts_in_flight && !self.claimed {
            self.shared.slot.in_flight().fetch_add(1, AcqRel);
            self.claimed = true;
            if !self.shared.has_private_epoll() {
                self.shared.wake_one();
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
    pub(super) fn share(&mut self, listener: usize) -> Taken {
        let shared = &self.shared;
        let now = clock::monotonic_us();
        let stalled_for = now.saturating_sub(shared.progress_us.load(Relaxed));
        if stalled_for < STALLED_US && !shared.parallel && self.neighbours_compute() {
            let back_off = shared.back_off_us.load(Relaxed).clamp(MIN_BACK_OFF_US, MAX_BACK_OFF_US);
            shared.back_off_us.store(2 * back_off, Relaxed);
            self.intake.back_off(shared, Duration::from_micros(back_off));
            return Taken::Nothing;
        }
        shared.back_off_us.store(0, Relaxed);
        self.claim();
        let taken = self.accept(listener);
        if !taken.is_request() {
            self.unclaim();
        }
        taken
    }

    /// Does a thread of this process that runs a request want a processor? One that waits for a database does not.
    fn neighbours_compute(&self) -> bool {
        let cores = self.shared.scoreboard.cores(self.shared.slot_index);
        let running = cores.filter(|core| core.phase() != Phase::Idle);
        running.map(|core| core.tid().load(Relaxed)).any(|tid| process::is_runnable(tid as i32))
    }
}

// The threads of one process stand in the lines of all processes, one in each at most, or sit parked.
impl Shared {
    pub(super) fn enter_queue(&self) -> Option<usize> {
        let accept_queues = self.accept_queues.len();
        let mut taken = self.queues_occupied.load(Acquire);
        loop {
            let queue = balance::queue(self.slot.in_flight().load(Acquire), taken, accept_queues)?;
            match self.queues_occupied.compare_exchange(taken, taken | 1 << queue, AcqRel, Acquire) {
                Ok(_) => return Some(queue),
                Err(now) => taken = now,
            }
        }
    }

    pub(super) fn leave_queue(&self, queue: usize) {
        self.queues_occupied.fetch_and(!(1 << queue), AcqRel);
    }

    /// Lets one thread of the process rest; `false`: another does already.
    pub(super) fn begin_back_off(&self) -> bool {
        self.queues_occupied.fetch_or(balance::BACKING_OFF, AcqRel) & balance::BACKING_OFF == 0
    }

    pub(super) fn end_back_off(&self) {
        self.queues_occupied.fetch_and(!balance::BACKING_OFF, AcqRel);
    }

    /// Is a thread that has nothing to do needed in a line?
    fn needs_another(&self) -> bool {
        let (in_flight, taken) = (self.slot.in_flight().load(Acquire), self.queues_occupied.load(Acquire));
        balance::queue(in_flight, taken, self.accept_queues.len()).is_some()
    }

    /// Puts the calling thread parked: [`Shared::wake_one`] wakes it when it is needed. `false`: it is needed
    /// now.
    pub(super) fn park(&self) -> bool {
        let mut parked = self.parked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if self.needs_another() {
            return false;
        }
        parked.push(process::thread_id());
        true
    }

    pub(super) fn unpark(&self) {
        let me = process::thread_id();
        self.parked.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).retain(|&tid| tid != me);
    }

    /// A thread has taken a connection: another may be needed in line for the next.
    pub(super) fn wake_one(&self) {
        let in_flight = self.slot.in_flight().load(Acquire).min(63);
        if self.queues_occupied.load(Acquire) >> in_flight != 0 {
            return;
        }
        let mut parked = self.parked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(tid) = parked.pop() {
            process::signal_thread(tid, signal::wake());
        }
    }
}

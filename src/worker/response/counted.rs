//! An answer is counted before the bytes go out that end it: whoever has read all of it finds it counted, even if the
//! process is killed in the next moment.

use super::{End, Exchange};
use crate::shm::scoreboard::{Answered, bump};
use crate::sys::clock;
use std::sync::atomic::Ordering::*;

/// How far a request has been counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    /// When it was; 0: not yet.
    at_us: u64,
    /// How long its client had been waited for by then.
    waited_us: u64,
    /// The worker's requests up to this one.
    served: u64,
}

impl Exchange {
    /// Before something is sent.
    #[inline]
    pub(super) fn count_if_whole(&mut self) {
        if self.counted.at_us == 0 && (self.end == End::Complete || self.is_complete()) {
            self.count();
        }
    }

    fn count(&mut self) {
        let now = clock::monotonic_us();
        let home = &self.home;
        let running_us = now.saturating_sub(home.slot.started_us().load(Relaxed));
        let waited_us = self.progress.client_us;
        let has_head = self.head_sent();
        let answered = Answered {
            running_us,
            other_us: if self.progress.is_static { running_us } else { waited_us.min(running_us) },
            is_static: self.progress.is_static,
            received: self.body.length_on_wire(),
            sent: self.progress.body_bytes + if has_head { self.head.bytes().len() as u64 } else { 0 },
            ..Answered::default()
        };
        let status = if has_head { self.head.code() } else { 0 };
        let served = home.counting.enter(home.slot, home.worker, status, answered);
        self.counted = Counted { at_us: now, waited_us, served };
    }

    /// The request is over, after these waits for its client; returns when.
    pub(super) fn count_end(&mut self, counted_before: bool, waited_before_us: u64) -> u64 {
        let slot = self.home.slot;
        // The handler of harakiri has counted a request that it has answered.
        if self.counted.at_us == 0 && slot.answer() {
            self.count();
        }
        if self.is_gone() {
            bump(slot.write_errors(), 1);
        }
        if self.body.failed().is_some() {
            bump(slot.read_errors(), 1);
        }
        if !counted_before && self.progress.client_us == waited_before_us && self.counted.at_us != 0 {
            return self.counted.at_us;
        }
        self.count_tail()
    }

    /// What has happened since the answer was counted: its client was waited for, or code of the application ran.
    #[cold]
    fn count_tail(&mut self) -> u64 {
        let now = clock::monotonic_us();
        let slot = self.home.slot;
        if self.counted.at_us != 0 {
            let tail_us = now - self.counted.at_us;
            let waited_us = self.progress.client_us - self.counted.waited_us;
            bump(slot.running_us(), tail_us);
            bump(slot.tail_us(), tail_us);
            let other_us = if self.progress.is_static { tail_us } else { waited_us.min(tail_us) };
            bump(slot.other_us(), other_us);
        }
        now
    }

    pub(super) fn is_counted(&self) -> bool {
        self.counted.at_us != 0
    }

    pub(super) fn served(&self) -> u64 {
        self.counted.served
    }

    /// It is answered from a file, or because of one, without the application.
    pub fn set_static(&mut self) {
        self.progress.is_static = true;
    }
}

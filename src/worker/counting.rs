//! Where the requests of a core are counted.

use super::context::Context;
use crate::shm::scoreboard::counters::{CLASSES, class};
use crate::shm::scoreboard::{Answered, CoreSlot, WorkerSlot, bump};
use std::sync::atomic::{AtomicU64, Ordering::*};

pub struct Counting {
    /// By listener and class of the status; only the core writes there.
    pub answers: &'static [AtomicU64],
    /// Other cores write in the worker's slot, too.
    pub is_shared: bool,
    /// Up to how many microseconds a request belongs to each bucket of the histogram but the last.
    pub bounds_us: Vec<u64>,
}

impl Counting {
    pub fn new(context: &Context, core: usize) -> Counting {
        Counting {
            answers: context.scoreboard.answers_of(context.slot_index, core),
            is_shared: context.has_threads(),
            bounds_us: context.settings.instance.metrics_buckets.clone(),
        }
    }

    /// Enters a request that has run on the core; returns how many the worker has served. Handlers of signals call it, too.
    #[inline]
    pub fn enter(&self, core: CoreSlot, worker: WorkerSlot, status: u16, answered: Answered) -> u64 {
        let running_us = answered.running_us;
        let bucket = self.bounds_us.iter().position(|&bound| running_us <= bound);
        core.count(Answered { bucket: bucket.unwrap_or(self.bounds_us.len()), ..answered });
        if let Some(word) = self.answers.get(core.listener() * CLASSES + class(status)) {
            bump(word, 1);
        }
        worker.note_time(running_us);
        match self.is_shared {
            true => worker.requests().fetch_add(1, Relaxed) + 1,
            false => bump(worker.requests(), 1),
        }
    }
}

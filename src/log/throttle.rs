//! Lines of the log that clients could cause by the thousand: written at once, and then at most once a minute.

use crate::sys::clock;
use std::sync::atomic::{AtomicU64, Ordering::*};

const PERIOD_US: u64 = 60_000_000;

#[derive(Debug, Default)]
pub struct Throttle {
    /// When the last line was due; 0: never.
    last_us: AtomicU64,
    /// Events that no line has reported.
    untold: AtomicU64,
}

impl Throttle {
    /// Counts events. When a line is due: how many it is to tell of.
    pub fn count(&self, events: u64, now_us: u64) -> Option<u64> {
        self.untold.fetch_add(events, Relaxed);
        let last = self.last_us.load(Relaxed);
        let is_due = last == 0 || now_us.saturating_sub(last) >= PERIOD_US;
        // Of several threads one writes it.
        let is_ours = is_due && self.last_us.compare_exchange(last, now_us.max(1), Relaxed, Relaxed).is_ok();
        is_ours.then(|| self.untold.swap(0, Relaxed))
    }
}

/// Recurring trouble, which is logged once a minute.
#[derive(Debug)]
pub struct Complaints {
    /// The number of the worker whose trouble it is.
    worker: u32,
    throttle: Throttle,
}

impl Complaints {
    pub fn new(worker: u32) -> Complaints {
        Complaints { worker, throttle: Throttle::default() }
    }

    pub fn say(&self, what: &str) {
        if self.throttle.count(1, clock::monotonic_us()).is_some() {
            super::say(&format!("worker {}: {what} (said once a minute)", self.worker));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_of_all_since_the_last() {
        let throttle = Throttle::default();
        assert_eq!(throttle.count(2, 5), Some(2));
        assert_eq!(throttle.count(3, PERIOD_US), None);
        assert_eq!(throttle.count(1, PERIOD_US + 5), Some(4));
        assert_eq!(throttle.count(1, PERIOD_US + 6), None);
    }
}

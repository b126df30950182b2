//! What a worker remembers while it leaves.

use std::sync::atomic::{AtomicU64, Ordering::*};

/// How often connections are passed on: the workers that take them may have had no room.
const PASS_ON_US: u64 = 5_000;
const MAX_PAUSE_US: u64 = 80_000;

#[derive(Debug, Default)]
pub struct Leaving {
    /// When it began to leave; 0: not yet.
    since_us: AtomicU64,
    /// When its connections are looked over next, and how long after the last time.
    next_us: AtomicU64,
    pause_us: AtomicU64,
}

impl Leaving {
    /// Are its connections to be looked over now?
    pub fn is_look_due(&self, now_us: u64) -> bool {
        if now_us < self.next_us.load(Relaxed) {
            return false;
        }
        let _ = self.since_us.compare_exchange(0, now_us, Relaxed, Relaxed);
        true
    }

    pub fn since_us(&self) -> u64 {
        self.since_us.load(Relaxed)
    }

    /// Thousands that cannot be passed on are looked over less and less often.
    pub fn plan_next_look(&self, now_us: u64, has_moved: bool) {
        let last = self.pause_us.load(Relaxed);
        let pause = if has_moved { PASS_ON_US } else { (2 * last).clamp(PASS_ON_US, MAX_PAUSE_US) };
        self.pause_us.store(pause, Relaxed);
        self.next_us.store(now_us + pause, Relaxed);
    }

    pub fn look_at_once(&self) {
        self.next_us.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_moved_is_looked_at_less_and_less_often() {
        let leaving = Leaving::default();
        assert!(leaving.is_look_due(7));
        let mut now = 7;
        for pause in [5_000, 10_000, 20_000, 40_000, 80_000, 80_000] {
            leaving.plan_next_look(now, false);
            assert!(!leaving.is_look_due(now + pause - 1) && leaving.is_look_due(now + pause));
            now += pause;
        }
        leaving.plan_next_look(now, true);
        assert!(leaving.is_look_due(now + 5_000));
        leaving.plan_next_look(now, true);
        leaving.look_at_once();
        assert!(leaving.is_look_due(now));
        assert_eq!(leaving.since_us(), 7);
    }
}

//! How long to wait before a worker that keeps dying is started again.

use std::time::Duration;

const FIRST_WAIT: Duration = Duration::from_millis(250);
const MAX_WAIT: Duration = Duration::from_secs(30);
/// A worker that lived this long died of something else than its start.
const HEALTHY: Duration = Duration::from_secs(10);

/// Counts early deaths in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    early: u32,
}

impl Backoff {
    /// A worker has died; how long to wait before its successor. The first death costs no wait: a killed worker is
    /// replaced at once. What never got ready counts double.
    pub fn after_death(&mut self, lived: Duration, was_ready: bool) -> Duration {
        if was_ready && lived >= HEALTHY {
            self.early = 0;
            return Duration::ZERO;
        }
        let free = if was_ready { 4 } else { 0 };
        self.early += 1;
        match self.early.checked_sub(free + 1) {
            None => Duration::ZERO,
            Some(over) => FIRST_WAIT.saturating_mul(1 << over.min(16)).min(MAX_WAIT),
        }
    }

    /// Deaths in a row before the worker was healthy.
    pub fn early_deaths(&self) -> u32 {
        self.early
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_worker_is_replaced_at_once() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.after_death(Duration::from_secs(3600), true), Duration::ZERO);
        assert_eq!(backoff.after_death(Duration::from_secs(1), true), Duration::ZERO);
    }

    #[test]
    fn boot_failures_wait_longer_each_time_up_to_a_bound() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..12).map(|_| backoff.after_death(Duration::from_millis(5), false)).collect();
        assert_eq!(waits[0], FIRST_WAIT);
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(waits[11], MAX_WAIT);
        assert_eq!(backoff.after_death(HEALTHY, true), Duration::ZERO);
        assert_eq!(backoff.after_death(Duration::ZERO, false), FIRST_WAIT);
    }
}

//! Where would a request that waits in one process begin sooner?

/// How much earlier than this one a process must have begun what it runs, to be expected to be free sooner.
const SOONER_US: u64 = 3_000;

/// What a process has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Requests that it runs.
    pub in_flight: u64,
    /// Requests that wait to be begun by it, also those in its mailbox.
    pub waiting: u64,
    /// When it last began one, on the monotonic clock.
    pub begun_us: u64,
}

impl Load {
    pub fn total(self) -> u64 {
        self.in_flight + self.waiting
    }
}

/// The process that would begin the request which has waited longest in this one sooner; `None`: it is best off here.
pub fn better_place(mine: Load, others: impl Iterator<Item = (usize, Load)>) -> Option<usize> {
    let (slot, other) = others.min_by_key(|(slot, load)| (load.total(), load.begun_us, *slot))?;
    let is_sooner =
        other.waiting == 0 && other.total() < mine.total() && other.begun_us + SOONER_US <= mine.begun_us;
    // Where others wait, too, a small difference is over before it is worth the way.
    let is_shorter = other.total() + 2 + other.waiting / 4 <= mine.total();
    (mine.waiting > 0 && (is_shorter || is_sooner)).then_some(slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(in_flight: u64, waiting: u64, begun_us: u64) -> Load {
        Load { in_flight, waiting, begun_us }
    }

    fn place(mine: Load, others: &[Load]) -> Option<usize> {
        better_place(mine, others.iter().copied().enumerate())
    }

    #[test]
    fn an_idle_process_is_better_than_one_that_computes() {
        assert_eq!(place(load(1, 1, 0), &[load(1, 0, 0), load(0, 0, 9_000)]), Some(1));
        assert_eq!(place(load(1, 0, 0), &[load(0, 0, 0)]), None);
    }

    #[test]
    fn the_shorter_queue_is_better_by_two() {
        assert_eq!(place(load(1, 2, 0), &[load(1, 0, 9_000)]), Some(0));
        assert_eq!(place(load(1, 2, 0), &[load(1, 1, 0)]), None);
        assert_eq!(place(load(1, 17, 0), &[load(1, 13, 0)]), None);
        assert_eq!(place(load(1, 19, 0), &[load(1, 13, 0)]), Some(0));
    }

    #[test]
    fn with_one_less_whoever_is_free_sooner_is_better() {
        assert_eq!(place(load(1, 1, 5_000), &[load(1, 0, 2_000)]), Some(0));
        assert_eq!(place(load(1, 1, 5_000), &[load(1, 0, 2_001)]), None);
        // It does not come back: there the other one has begun later.
        assert_eq!(place(load(1, 1, 2_000), &[load(1, 0, 5_000)]), None);
    }
}

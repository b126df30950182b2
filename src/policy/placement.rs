//! Where would a request that waits in one process begin sooner?
//!
//! All processes together are to serve as one queue would: first come, first served, by whoever is free first. A request
//! that waits behind a computation goes to a process with less to do, or to one that is expected to be free sooner and
//! has no older ones to begin. Each move costs some microseconds of two processes, so small differences move nothing.

/// How much earlier than this one a process must have begun what it runs, to be expected to be free sooner; and how much
/// younger the requests that wait there must be.
const SOONER_US: u64 = 3_000;
/// The same where nothing else waits: two processes would change places for less.
const MUCH_LONGER_US: u64 = 4 * SOONER_US;

/// What a process has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Requests that it runs.
    pub in_flight: u64,
    /// Requests that wait to be begun by it, also those in its mailbox.
    pub waiting: u64,
    /// When it last began one, on the monotonic clock.
    pub begun_us: u64,
    /// Since when the first of those that wait does.
    pub oldest_us: u64,
}

impl Load {
    pub fn total(self) -> u64 {
        self.in_flight + self.waiting
    }

    /// Where others wait, too, a small difference is over before it is worth the way.
    fn slack(self) -> u64 {
        self.waiting / 4
    }

    /// Has another process so much less to do that one of the requests that wait here is better off there?
    fn is_longer_than(self, other: Load) -> bool {
        other.total() + 2 + other.slack() <= self.total()
    }

    /// Will another process be free sooner, and begin the request that has waited longest here first?
    fn is_later_than(self, other: Load) -> bool {
        let has_waited_longer = |by_us: u64| self.oldest_us.saturating_add(by_us) <= other.oldest_us;
        let begins_it_first = match (other.waiting, self.waiting) {
            (0, _) => other.total() < self.total(),
            // Nothing is left here for when this process is free.
            (_, 1) => has_waited_longer(MUCH_LONGER_US) && other.total() <= self.total(),
            _ => has_waited_longer(SOONER_US) && other.total() <= self.total() + self.slack(),
        };
        begins_it_first && other.begun_us + SOONER_US <= self.begun_us
    }
}

/// A better place for one of the requests that wait in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The one that has waited longest begins sooner in this process.
    Oldest(usize),
    /// The one that came last has fewer before it there, and those that have waited longer stay.
    Youngest(usize),
}

impl Place {
    /// The process.
    pub fn slot(self) -> usize {
        let (Place::Oldest(slot) | Place::Youngest(slot)) = self;
        slot
    }
}

/// Where a request that waits in a process would begin sooner; `None`: all are best off here.
pub fn better_place(mine: Load, others: impl Iterator<Item = (usize, Load)> + Clone) -> Option<Place> {
    if mine.waiting == 0 {
        return None;
    }
    let shortest = others.clone().min_by_key(|(slot, load)| (load.total(), load.begun_us, *slot));
    let shorter = shortest.filter(|&(_, load)| mine.is_longer_than(load));
    let first_free =
        || others.filter(|&(_, load)| mine.is_later_than(load)).min_by_key(|(_, load)| load.begun_us);
    match shorter {
        Some((slot, load)) if load.total() == 0 => Some(Place::Oldest(slot)),
        Some((slot, _)) => Some(Place::Youngest(slot)),
        None => first_free().map(|(slot, _)| Place::Oldest(slot)),
    }
}

/// Another process has served so many since this one last began a request. Both estimates are rough: what has run for
/// some time goes on for about as long, and in half of that time the other one gets through all that it has to do.
pub fn is_quicker(other: Load, served: u64) -> bool {
    served >= 2 * (other.total() + 1)
}

#[cfg(test)]
mod tests {
    use super::Place::*;
    use super::*;

    fn load(in_flight: u64, waiting: u64, begun_us: u64) -> Load {
        Load { in_flight, waiting, begun_us, oldest_us: 0 }
    }

    fn place(mine: Load, others: &[Load]) -> Option<Place> {
        better_place(mine, others.iter().copied().enumerate())
    }

    #[test]
    fn an_idle_process_is_better_than_one_that_computes() {
        assert_eq!(place(load(1, 1, 0), &[load(1, 0, 0), load(0, 0, 9_000)]), Some(Oldest(1)));
        assert_eq!(place(load(1, 0, 0), &[load(0, 0, 0)]), None);
    }

    #[test]
    fn the_shorter_queue_is_better_by_two_and_by_more_where_more_wait() {
        assert_eq!(place(load(1, 2, 0), &[load(1, 0, 9_000)]), Some(Youngest(0)));
        assert_eq!(place(load(1, 2, 0), &[load(1, 1, 0)]), None);
        assert_eq!(place(load(1, 17, 0), &[load(1, 13, 0)]), None);
        assert_eq!(place(load(1, 18, 0), &[load(1, 13, 0)]), Some(Youngest(0)));
    }

    #[test]
    fn with_one_less_whoever_is_free_sooner_is_better() {
        assert_eq!(place(load(1, 1, 5_000), &[load(1, 0, 2_000)]), Some(Oldest(0)));
        assert_eq!(place(load(1, 1, 5_000), &[load(1, 0, 2_001)]), None);
        // It does not come back: there the other one has begun later.
        assert_eq!(place(load(1, 1, 2_000), &[load(1, 0, 5_000)]), None);
    }

    #[test]
    fn who_has_waited_longest_goes_where_a_process_is_free_first() {
        let mine = Load { oldest_us: 50_000, ..load(1, 8, 90_000) };
        let other = |begun_us, oldest_us| Load { oldest_us, ..load(1, 8, begun_us) };
        assert_eq!(place(mine, &[other(80_000, 60_000), other(70_000, 53_000)]), Some(Oldest(1)));
        assert_eq!(place(mine, &[other(80_000, 52_999), other(89_000, 60_000)]), None);
        // Not if that one has more to do.
        assert_eq!(place(mine, &[Load { waiting: 11, ..other(80_000, 60_000) }]), None);
    }

    #[test]
    fn the_last_that_waits_goes_only_when_it_has_waited_much_longer() {
        let mine = Load { oldest_us: 50_000, ..load(1, 1, 90_000) };
        let other = |oldest_us| Load { oldest_us, ..load(1, 1, 80_000) };
        assert_eq!(place(mine, &[other(61_999)]), None);
        assert_eq!(place(mine, &[other(62_000)]), Some(Oldest(0)));
    }

    #[test]
    fn one_that_has_served_twice_what_it_has_to_do_is_quicker() {
        assert!(is_quicker(load(1, 0, 0), 4) && !is_quicker(load(1, 0, 0), 3));
        assert!(is_quicker(load(1, 8, 0), 20) && !is_quicker(load(1, 8, 0), 19));
        // Requests that are all alike end once in that time, or twice.
        assert!(!is_quicker(load(0, 0, 0), 1) && !is_quicker(load(1, 0, 0), 2));
    }
}

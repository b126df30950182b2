//! Which waiting worker the kernel should wake next.

/// How far ahead of the least busy neighbour a worker gets before it steps back in the kernel's order.
const LEAD: u64 = 8;
/// Beside the queues that a process has taken: a thread of it backs off, see [`queue`].
pub const BACKING_OFF: u64 = 1 << 63;

/// Has a worker served so much more than some neighbour that it should go to the end of the queue?
pub fn steps_back(mine: u64, others: impl Iterator<Item = u64>) -> bool {
    others.min().is_some_and(|least| mine > least + LEAD)
}

/// The queue that a thread waits in: 0 when its process runs nothing, further back the more it runs. `taken` are the
/// queues in which the process waits already, one thread each. Two threads in queue are enough, one to take the next
/// request and one to be there for the one after; `None`: they wait there already, or one of them has found that the
/// process computes, and backs off: then only an idle process needs another.
pub fn queue(in_flight: u64, taken: u64, queues: usize) -> Option<usize> {
    if in_flight > 0 && taken & BACKING_OFF != 0 {
        return None;
    }
    let first = (in_flight as usize).min(queues - 1);
    (first..queues.min(first + 2)).find(|queue| taken & (1 << queue) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_process_waits_in_the_first_queue_once() {
        assert_eq!(queue(0, 0b0000, 4), Some(0));
        assert_eq!(queue(0, 0b0001, 4), Some(1));
        assert_eq!(queue(0, 0b0011, 4), None);
        assert_eq!(queue(1, 0b0000, 4), Some(1));
        assert_eq!(queue(1, 0b0011, 4), Some(2));
        assert_eq!(queue(9, 0, 4), Some(3));
        assert_eq!(queue(9, 0b1000, 4), None);
    }

    #[test]
    fn while_one_thread_backs_off_another_waits_for_an_idle_process_only() {
        assert_eq!(queue(1, BACKING_OFF, 4), None);
        assert_eq!(queue(0, BACKING_OFF, 4), Some(0));
    }

    #[test]
    fn a_lead_makes_room() {
        assert!(!steps_back(8, [0].into_iter()));
        assert!(steps_back(9, [0, 100].into_iter()));
        assert!(!steps_back(9, [].into_iter()));
    }
}

//! What one worker process has counted, as plain values that can be added up. A slot's counters begin at 0 with each
//! process; whoever wants more than that adds up those of processes that have ended.

use super::{BUCKETS, CoreSlot, REFUSALS, Scoreboard, WorkerSlot};
use std::ops::AddAssign;
use std::sync::atomic::Ordering::*;

/// Classes of statuses: 2xx to 5xx, and none of these.
pub const CLASSES: usize = 5;

/// Numbers of requests by the classes of their statuses.
pub type Classes = [u64; CLASSES];

/// The class of a status.
#[inline]
pub fn class(status: u16) -> usize {
    match status / 100 {
        hundreds @ 2..=5 => usize::from(hundreds) - 2,
        _ => CLASSES - 1,
    }
}

/// A structure of sums, each of which is the word of its name in a slot; what they mean stands there.
macro_rules! sums {
    ($(#[$about:meta])* pub struct $name:ident of $slot:ident { $($sum:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $(pub $sum: u64,)*
        }

        impl $name {
            fn of(slot: $slot) -> $name {
                $name { $($sum: slot.$sum().load(Relaxed),)* }
            }
        }

        impl AddAssign<&$name> for $name {
            fn add_assign(&mut self, other: &$name) {
                $(self.$sum += other.$sum;)*
            }
        }
    };
}

sums! {
    /// Of one core.
    pub struct CoreCounters of CoreSlot {
        requests,
        static_requests,
        write_errors,
        read_errors,
        bytes_received,
        bytes_sent,
        running_us,
        other_us,
        tail_us,
        receiving_us,
        sending_us,
    }
}

sums! {
    /// Of a worker, beside its cores.
    pub struct Sums of WorkerSlot {
        requests,
        exceptions,
        gone_clients,
        refused,
        waited_us,
        canned,
        canned_bytes,
        tls_handshakes,
        tls_failures,
        given,
        taken,
    }
}

/// Of one process, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub sums: Sums,
    pub cores: Vec<CoreCounters>,
    /// Refused requests, by the statuses of [`REFUSALS`]; the last are those with another.
    pub refusals: [u64; REFUSALS.len() + 1],
    /// Requests by the time that they took, in buckets.
    pub latency: [u64; BUCKETS],
    /// Answers by listener and class of their status, the server's own among them.
    pub answers: Vec<Classes>,
}

impl Counters {
    /// The sums of all cores.
    pub fn of_cores(&self) -> CoreCounters {
        self.cores.iter().fold(CoreCounters::default(), |mut all, core| {
            all += core;
            all
        })
    }

    /// The time of all requests until their answers were whole: the sum of the histogram.
    pub fn latency_us(&self) -> u64 {
        let cores = self.of_cores();
        cores.running_us.saturating_sub(cores.tail_us)
    }

    /// The time of the application.
    pub fn application_us(&self) -> u64 {
        let cores = self.of_cores();
        cores.running_us.saturating_sub(cores.other_us)
    }

    /// Bytes of all answers.
    pub fn bytes_sent(&self) -> u64 {
        self.of_cores().bytes_sent + self.sums.canned_bytes
    }
}

impl AddAssign<&Counters> for Counters {
    fn add_assign(&mut self, other: &Counters) {
        self.sums += &other.sums;
        let cores = self.cores.len().max(other.cores.len());
        self.cores.resize(cores, CoreCounters::default());
        self.cores.iter_mut().zip(&other.cores).for_each(|(core, other)| *core += other);
        add(&mut self.refusals, &other.refusals);
        add(&mut self.latency, &other.latency);
        let listeners = self.answers.len().max(other.answers.len());
        self.answers.resize(listeners, Classes::default());
        self.answers.iter_mut().zip(&other.answers).for_each(|(classes, other)| add(classes, other));
    }
}

fn add(all: &mut [u64], others: &[u64]) {
    all.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
}

impl Scoreboard {
    /// What the process in a slot has counted.
    pub fn counters(&self, slot: usize) -> Counters {
        let worker = self.worker(slot);
        let mut counters = Counters {
            sums: Sums::of(worker),
            cores: self.cores(slot).map(CoreCounters::of).collect(),
            refusals: worker.refusals_by_status(),
            answers: vec![Classes::default(); self.listeners()],
            ..Counters::default()
        };
        for core in self.cores(slot) {
            add(&mut counters.latency, &core.latencies());
        }
        for (listener, classes) in counters.answers.iter_mut().enumerate() {
            // One row a core, and one for the threads that have none.
            for row in 0..=self.threads() {
                let words = self.answers(slot, row, listener);
                classes.iter_mut().zip(words).for_each(|(sum, word)| *sum += word.load(Relaxed));
            }
        }
        counters
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Answered, bump};
    use super::*;

    #[test]
    fn counters_of_two_processes_add_up() {
        let scoreboard = Scoreboard::with_listeners(2, 2, 3).unwrap();
        let answered =
            Answered { bucket: 4, running_us: 70, other_us: 10, received: 5, sent: 9, ..Answered::default() };
        for slot in 0..2 {
            scoreboard.core(slot, 1).count(answered);
            bump(&scoreboard.answers(slot, 1, 2)[class(404)], 1);
            scoreboard.answers(slot, scoreboard.threads(), 2)[class(413)].fetch_add(1, Relaxed);
            scoreboard.worker(slot).count_refusal(413);
            scoreboard.worker(slot).count_refusal(999);
        }
        let mut all = Counters::default();
        all += &scoreboard.counters(0);
        all += &scoreboard.counters(1);
        assert_eq!(all.answers, [[0; 5], [0; 5], [0, 0, 4, 0, 0]]);
        assert_eq!((all.latency[4], all.latency.iter().sum::<u64>()), (2, 2));
        assert_eq!((all.refusals[4], all.refusals[REFUSALS.len()], all.sums.refused), (2, 2, 4));
        let cores = all.of_cores();
        assert_eq!((cores.requests, cores.running_us, cores.other_us, all.bytes_sent()), (2, 140, 20, 18));
        assert_eq!((all.cores[0].requests, all.cores[1].requests), (0, 2));
    }

    #[test]
    fn a_new_process_begins_at_zero() {
        let scoreboard = Scoreboard::with_listeners(2, 1, 2).unwrap();
        for slot in 0..2 {
            scoreboard.core(slot, 0).count(Answered::default());
            bump(&scoreboard.answers(slot, 0, 1)[0], 1);
            scoreboard.answers(slot, 1, 1)[0].fetch_add(1, Relaxed);
        }
        scoreboard.assign(0, 1, 1, scoreboard.next_assignment());
        assert_eq!(scoreboard.counters(0).of_cores(), CoreCounters::default());
        assert_eq!(scoreboard.counters(0).answers, [[0; 5]; 2]);
        assert_eq!(scoreboard.counters(1).answers[1][0], 2);
    }

    #[test]
    fn statuses_have_classes() {
        let classes: Vec<usize> = [0, 101, 200, 299, 304, 404, 599, 600, 999].map(class).to_vec();
        assert_eq!(classes, [4, 4, 0, 0, 1, 2, 3, 4, 4]);
    }
}

//! The memory of workers, looked up in /proc when somebody wants to know, and not more often than it changes.

use crate::report::{MemoryStatus, Status};
use crate::sys::{clock, process};
use std::collections::BTreeMap;

const LOOK_US: u64 = 1_000_000;
/// What a process shares takes its page tables to be read: milliseconds where it is large.
const LOOK_AT_SHARED_US: u64 = 5_000_000;
/// After so long the rest has to wait for another turn of the loop.
const SHARED_BUDGET_US: u64 = 2_000;

#[derive(Default)]
pub struct MemoryReport {
    known: BTreeMap<u64, Known>,
}

#[derive(Clone, Copy, Default)]
struct Known {
    memory: MemoryStatus,
    looked_us: u64,
    looked_at_shared_us: u64,
}

impl MemoryReport {
    /// Enters what is known of each worker's memory.
    pub fn fill(&mut self, status: &mut Status, with_shared: bool) {
        let now = status.now_us;
        let pids: Vec<u64> = status.workers.iter().map(|worker| worker.on_scoreboard.pid).collect();
        self.known.retain(|pid, _| pids.contains(pid));
        pids.iter().filter(|pid| **pid > 0).for_each(|&pid| self.look(pid, now));
        if with_shared {
            self.look_at_shared(now);
        }
        for worker in &mut status.workers {
            let known = self.known.get(&worker.on_scoreboard.pid);
            worker.memory = known.map(|known| known.memory).unwrap_or_default();
        }
    }

    fn look(&mut self, pid: u64, now: u64) {
        let known = self.known.entry(pid).or_default();
        if known.looked_us != 0 && now.saturating_sub(known.looked_us) < LOOK_US {
            return;
        }
        known.looked_us = now;
        if let Some(memory) = process::memory(pid as i32) {
            known.memory.resident = memory.resident;
            known.memory.address_space = memory.address_space;
        }
    }

    /// Those that were looked at longest ago come first.
    fn look_at_shared(&mut self, now: u64) {
        let mut due: Vec<(u64, u64)> =
            self.known.iter().map(|(pid, known)| (known.looked_at_shared_us, *pid)).collect();
        due.retain(|(looked, _)| *looked == 0 || now.saturating_sub(*looked) >= LOOK_AT_SHARED_US);
        due.sort_unstable();
        let begun = clock::monotonic_us();
        for (_, pid) in due {
            if let Some(known) = self.known.get_mut(&pid) {
                known.looked_at_shared_us = now;
                known.memory.proportional = process::proportional_memory(pid as i32).unwrap_or(0);
            }
            if clock::monotonic_us().saturating_sub(begun) > SHARED_BUDGET_US {
                return;
            }
        }
    }
}

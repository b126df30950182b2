//! The scoreboard in one reading, as plain values: for the status, and for monitoring from outside.

use super::{
    CONNECTION_STATES, Command, CoreSlot, Counters, CurrentRequest, Phase, Scoreboard, Stage, WorkerSlot,
};
use std::sync::atomic::Ordering::*;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Requests of the whole instance since it started.
    pub total_requests: u64,
    /// The newest generation that is complete.
    pub generation: u64,
    /// Connections that the master holds until a worker has room.
    pub held: u64,
    /// Those whose slot has a process, in the order of the slots.
    pub workers: Vec<WorkerSnapshot>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSnapshot {
    pub slot: usize,
    /// 0: the process has not come so far.
    pub pid: u64,
    /// The number people know it by, from 1.
    pub id: u64,
    pub generation: u64,
    pub stage: Stage,
    pub command: Command,
    pub in_flight: u64,
    pub requests: u64,
    pub exceptions: u64,
    pub gone_clients: u64,
    pub refused: u64,
    /// Requests that have come to it and are not begun.
    pub waiting: u64,
    /// The mean time of its last requests, as uWSGI takes it.
    pub average_us: u64,
    /// Connections in its mailbox.
    pub mailbox_len: u64,
    /// Connections of its table: those that wait for a request, for the rest of one, for a client that reads, and for its
    /// close.
    pub connections: [u64; CONNECTION_STATES],
    /// What it has counted since it began.
    pub counters: Counters,
    pub cores: Vec<CoreSnapshot>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreSnapshot {
    pub requests: u64,
    /// The request that it runs.
    pub current: Option<CurrentRequest>,
    pub phase: Phase,
}

impl Scoreboard {
    pub fn snapshot(&self) -> Snapshot {
        let taken = (0..self.slots()).filter(|&slot| self.worker(slot).is_taken());
        Snapshot {
            total_requests: self.total_requests().load(Relaxed),
            generation: self.generation().load(Acquire),
            held: self.held().load(Relaxed),
            workers: taken.map(|slot| self.worker_snapshot(slot)).collect(),
        }
    }

    fn worker_snapshot(&self, slot: usize) -> WorkerSnapshot {
        let cores = self.cores(slot).map(CoreSnapshot::of).collect();
        let counters = self.counters(slot);
        WorkerSnapshot { slot, cores, counters, ..WorkerSnapshot::of(self.worker(slot)) }
    }
}

impl WorkerSnapshot {
    fn of(worker: WorkerSlot) -> WorkerSnapshot {
        WorkerSnapshot {
            slot: 0,
            pid: worker.pid().load(Acquire),
            id: worker.id().load(Relaxed),
            generation: worker.generation().load(Relaxed),
            stage: worker.stage(),
            command: worker.command(),
            in_flight: worker.in_flight().load(Relaxed),
            requests: worker.requests().load(Relaxed),
            exceptions: worker.exceptions().load(Relaxed),
            gone_clients: worker.gone_clients().load(Relaxed),
            refused: worker.refused().load(Relaxed),
            waiting: worker.waiting().load(Relaxed),
            average_us: worker.average_us().load(Relaxed),
            mailbox_len: worker.mailbox_len().load(Relaxed),
            connections: std::array::from_fn(|state| worker.connections_in(state).load(Relaxed)),
            counters: Counters::default(),
            cores: Vec::new(),
        }
    }
}

impl CoreSnapshot {
    fn of(core: CoreSlot) -> CoreSnapshot {
        CoreSnapshot {
            requests: core.requests().load(Relaxed),
            current: core.current_request(),
            phase: core.phase(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_has_what_the_slots_say() {
        let scoreboard = Scoreboard::new(3, 2).unwrap();
        let worker = scoreboard.worker(1);
        worker.assign(7, 4, scoreboard.next_assignment());
        worker.requests().store(5, Relaxed);
        worker.set_stage(Stage::Ready);
        scoreboard.core(1, 1).begin(8, 1000, 0, b"GET", b"/a");
        scoreboard.held().store(2, Relaxed);
        let snapshot = scoreboard.snapshot();
        assert_eq!((snapshot.held, snapshot.workers.len()), (2, 1));
        let worker = &snapshot.workers[0];
        assert_eq!((worker.slot, worker.id, worker.generation, worker.requests), (1, 7, 4, 5));
        assert_eq!((worker.stage, worker.command), (Stage::Ready, Command::Serve));
        assert_eq!(worker.cores[0].current, None);
        assert_eq!(worker.cores[1].current.as_ref().unwrap().target, "/a");
    }
}

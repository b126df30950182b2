//! Layer 4: what the server does now, for its users: a [`Status`] and its renderings.
#![forbid(unsafe_code)]

pub mod carbon;
pub mod datagram;
mod document;
pub mod history;
pub mod json;
mod json_writer;
mod own;
pub mod page;
pub mod prometheus;
pub mod stacks;
pub mod text;

pub use document::Document;

use crate::base::log_health::LogHealth;
use crate::base::metric::MetricKind;
use crate::shm::scoreboard::{Counters, WorkerSnapshot};
use std::sync::Arc;

/// What the scoreboard shows, and what only the master knows beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Starting, Serving, Reloading, Stopping.
    pub phase: String,
    pub is_paused: bool,
    /// The newest generation, complete or not.
    pub generation: u64,
    pub started_us: u64,
    /// When the snapshot was taken.
    pub now_us: u64,
    pub instance: InstanceStatus,
    pub listeners: Vec<ListenerStatus>,
    /// Processes, some of which may be on their way out.
    pub workers: Vec<WorkerStatus>,
    pub totals: Totals,
    /// Empty: they are not collected.
    pub metrics: Vec<MetricStatus>,
}

/// One of uWSGI's metrics, or of the user's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricStatus {
    pub name: Arc<str>,
    /// Empty: it has none.
    pub oid: Arc<str>,
    pub kind: MetricKind,
    pub value: i64,
    /// It belongs to the application.
    pub is_settable: bool,
}

/// The master, and what the configuration says of the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceStatus {
    pub pid: i32,
    pub uid: u32,
    pub gid: u32,
    pub cwd: String,
    /// When the snapshot was taken, in microseconds since 1970.
    pub wall_us: u64,
    /// When the server started: the same in each snapshot, even if the clock was set since.
    pub started_wall_us: u64,
    /// How many workers there are to be, and cores of each.
    pub workers: u32,
    pub threads: usize,
    /// Where the applications are mounted.
    pub apps: Vec<String>,
    /// Bounds of the histogram of latencies.
    pub bounds_us: Vec<u64>,
    /// Connections that the master holds until a worker has room.
    pub held: u64,
    pub log: LogHealth,
}

/// What was counted since the server started, whatever has become of the processes that did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// By worker number, in its order.
    pub workers: Vec<WorkerTotals>,
    /// Processes of workers that have ended, workers that were replaced while all was well, and reloads: how many, by
    /// reason or result.
    pub ends: Vec<(&'static str, u64)>,
    pub recyclings: Vec<(&'static str, u64)>,
    pub reloads: Vec<(&'static str, u64)>,
}

/// Of one worker number, whose processes come and go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerTotals {
    pub id: u32,
    /// Of all its processes.
    pub counters: Counters,
    /// Processes that it has had, 1 after the first was started.
    pub spawns: u64,
    /// When the last of them began, in seconds since 1970.
    pub last_spawn: i64,
    pub harakiri: u64,
    /// The mean time of its last requests, as uWSGI takes it.
    pub average_us: u64,
}

impl Totals {
    /// Of all workers.
    pub fn counters(&self) -> Counters {
        self.workers.iter().fold(Counters::default(), |mut all, worker| {
            all += &worker.counters;
            all
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerStatus {
    pub name: String,
    /// Its place among the listeners of the settings, of which one may stand for several sockets.
    pub number: usize,
    pub protocol: &'static str,
    /// The longest backlog that it may have; 0: the kernel does not tell.
    pub most: u32,
    /// Connections in the backlog, where the kernel reports their number.
    pub waiting: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Such as `worker 1 (pid 123)`.
    pub name: String,
    pub started_us: u64,
    /// Why it is on its way out.
    pub leaving: Option<String>,
    /// 0 where nobody has looked.
    pub memory: MemoryStatus,
    pub on_scoreboard: WorkerSnapshot,
}

/// Bytes of memory of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStatus {
    pub resident: u64,
    pub address_space: u64,
    /// What it shares counts by its part (PSS).
    pub proportional: u64,
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::shm::scoreboard::{Scoreboard, Stage};
    use std::sync::atomic::Ordering::Relaxed;

    /// The status of a server with this scoreboard, on pause. Worker 2 is on its way out.
    pub fn of(scoreboard: Scoreboard) -> Status {
        let worker = |snapshot: WorkerSnapshot| WorkerStatus {
            name: format!("worker {} (pid 9)", snapshot.id),
            started_us: 4_000_000,
            leaving: (snapshot.id == 2).then(|| "reloaded".to_owned()),
            memory: MemoryStatus { resident: 4096, address_space: 8192, proportional: 1024 },
            on_scoreboard: snapshot,
        };
        let listener = |name: &str, protocol, most, waiting| ListenerStatus {
            name: name.to_owned(),
            number: 0,
            protocol,
            most,
            waiting,
        };
        Status {
            phase: "Serving".to_owned(),
            is_paused: true,
            generation: 3,
            started_us: 1_000_000,
            now_us: 9_500_000,
            instance: InstanceStatus {
                wall_us: 1_790_000_009_250_000,
                workers: 3,
                threads: scoreboard.threads(),
                bounds_us: vec![500, 2000],
                ..InstanceStatus::default()
            },
            listeners: vec![
                listener("127.0.0.1:80", "http", 100, Some(4)),
                listener("/run/s", "uwsgi", 0, None),
            ],
            workers: scoreboard.snapshot().workers.into_iter().map(worker).collect(),
            totals: Totals::default(),
            metrics: Vec::new(),
        }
    }

    /// Worker 1 runs a request, worker 2 leaves before it was ready, worker 3 has no process.
    pub fn status() -> Status {
        let scoreboard = Scoreboard::new(3, 2).unwrap();
        for (slot, id, generation) in [(0, 1, 3), (2, 2, 2)] {
            scoreboard.assign(slot, id, generation, scoreboard.next_assignment());
            scoreboard.worker(slot).pid().store(10 + id, Relaxed);
        }
        scoreboard.worker(0).set_stage(Stage::Ready);
        scoreboard.core(0, 1).begin(8, 9_000_000, 0, b"GET", b"/slow?a=b");
        Status { is_paused: false, ..of(scoreboard) }
    }
}

//! Layer 4: what the server does now, for its users: a [`Status`] and its renderings.
#![forbid(unsafe_code)]

mod document;
pub mod json;
pub mod text;

pub use document::Document;

use crate::shm::scoreboard::{Counters, WorkerSnapshot};

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
    pub listeners: Vec<ListenerStatus>,
    /// Processes, some of which may be on their way out.
    pub workers: Vec<WorkerStatus>,
    pub totals: Totals,
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
    pub on_scoreboard: WorkerSnapshot,
}

//! Layer 4: what the server does now, for its users: a [`Status`] and its renderings.
#![forbid(unsafe_code)]

mod document;
pub mod json;
pub mod text;

pub use document::Document;

use crate::shm::scoreboard::WorkerSnapshot;

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
    pub workers: Vec<WorkerStatus>,
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

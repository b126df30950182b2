//! What a worker gets from the process that forks it.

use super::accept::Accepting;
use super::handoff::mailbox::Mailbox;
use crate::config::Settings;
use crate::log::buffers::LogBuffers;
use crate::net::listener::Bound;
use crate::shm::metrics::Metrics;
use crate::shm::scoreboard::{Assignment, Scoreboard};
use crate::sys::process;
use crate::sys::spool::Spool;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Clone)]
pub struct Setup {
    pub settings: Arc<Settings>,
    pub scoreboard: Scoreboard,
    pub metrics: Metrics,
    pub log_buffers: LogBuffers,
    pub listeners: Arc<Vec<Bound>>,
    pub accepting: Accepting,
    /// Through which workers are given connections; empty when there are only uwsgi sockets.
    pub mailboxes: Arc<Vec<Mailbox>>,
    /// The master's pid.
    pub master: i32,
    /// Its other end is the master's alone: end of file means that the master is gone.
    pub alive: Arc<OwnedFd>,
    /// A byte written here makes the master look at the scoreboard.
    pub news: Arc<OwnedFd>,
    /// Where stack dumps go.
    pub dumps: Arc<OwnedFd>,
    /// Where a worker leaves what is longer than a word.
    pub spool: Arc<Spool>,
    /// The file that the log goes to, unless it was handed over.
    pub log_file: Option<Arc<PathBuf>>,
    /// How often it had been opened anew when the process that forks was made.
    pub log_epoch: u64,
    pub slot: usize,
    /// The number people know the worker by, from 1.
    pub id: u32,
    pub assignment: Assignment,
    /// The threads of the zygote, where this is its first worker: it says which of them it lacks. Otherwise 0.
    pub zygote_threads: usize,
}

/// Descriptors that a worker needs beside its connections, the application's own among them.
pub const SPARE_DESCRIPTORS: u64 = 128;

/// How many connections a worker may hold.
pub fn most_connections(settings: &Settings) -> usize {
    settings.http.connections.min(most_descriptors())
}

/// How many descriptors a worker may spend on connections and on the files that go with them.
pub fn most_descriptors() -> usize {
    let allowed = process::descriptor_limit().unwrap_or(1024).saturating_sub(SPARE_DESCRIPTORS);
    usize::try_from(allowed).unwrap_or(usize::MAX).max(16)
}

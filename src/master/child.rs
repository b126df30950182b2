//! All that the master knows of a child process.

use super::recycle::Why;
use crate::shm::scoreboard::{Assignment, Scoreboard, Stage, WorkerSlot};
use crate::sys::{process, signal};
use std::sync::atomic::Ordering::*;

/// Why a worker is on its way out; the log says so when it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// A newer generation has taken over.
    Reloaded,
    /// It has served `max-requests`.
    Recycled,
    /// The server stops.
    Stopped,
    Harakiri,
    /// It had more memory than `evil-reload-on-…` allows.
    Killed,
    /// It did not get ready in time, or its generation failed.
    Discarded,
}

/// One worker process.
#[derive(Clone, Debug)]
pub struct Child {
    pub slot: usize,
    pub id: u32,
    pub generation: u64,
    pub assignment: Assignment,
    /// Unknown until the zygote has told.
    pub pid: Option<i32>,
    pub spawned_us: u64,
    pub leaving: Option<Leaving>,
    /// When it is killed unless it is gone by then: the end of the boot time or of the mercy.
    pub kill_at: Option<u64>,
    /// By the master, which has said why.
    pub was_killed: bool,
    pub was_ready: bool,
    /// The slot of the worker that takes its place when it is ready (recycling).
    pub successor: Option<usize>,
    /// Not replaced before: the last successor did not get ready.
    pub replace_after_us: u64,
    /// Why it is to be replaced.
    pub why: Option<Why>,
}

impl Child {
    pub fn new(slot: usize, id: u32, generation: u64, now: u64) -> Child {
        Child {
            slot,
            id,
            generation,
            assignment: Assignment::default(),
            pid: None,
            spawned_us: now,
            leaving: None,
            kill_at: None,
            was_killed: false,
            was_ready: false,
            successor: None,
            replace_after_us: 0,
            why: None,
        }
    }

    pub fn on(&self, scoreboard: &Scoreboard) -> WorkerSlot {
        scoreboard.worker(self.slot)
    }

    /// Serving, and meant to go on.
    pub fn is_up(&self) -> bool {
        self.was_ready && self.leaving.is_none()
    }

    pub fn is_booting(&self) -> bool {
        !self.was_ready && self.leaving.is_none()
    }

    pub fn is_ready_on(&self, scoreboard: &Scoreboard) -> bool {
        self.on(scoreboard).stage() == Stage::Ready
    }

    pub fn signal(&self, signal: i32) {
        if let Some(pid) = self.pid {
            // A child that is gone is reaped in a moment. The main thread passes the wake signal on.
            let _ = match signal == signal::wake() {
                true => process::signal_main_thread(pid, signal),
                false => process::kill(pid, signal),
            };
        }
    }

    pub fn kill(&mut self) {
        self.was_killed = true;
        self.signal(signal::SIGKILL);
    }

    /// `worker 1 (pid 123)`.
    pub fn name(&self) -> String {
        match self.pid {
            Some(pid) => format!("worker {} (pid {pid})", self.id),
            None => format!("worker {}", self.id),
        }
    }

    pub fn served(&self, scoreboard: &Scoreboard) -> u64 {
        self.on(scoreboard).requests().load(Relaxed)
    }
}

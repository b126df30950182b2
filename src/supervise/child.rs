//! One child process.

use crate::shm::scoreboard::Assignment;
use crate::sys::{process, signal};
use std::time::Duration;

/// What a child is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Worker,
    /// Loads the application, and forks workers.
    Zygote,
    /// Does what an alarm is to do.
    Alarm,
}

impl Role {
    /// A whole generation depends on it: the log reports its end together with the generation's fate.
    pub fn decides_for_generation(self) -> bool {
        self == Role::Zygote
    }
}

/// Why a child is on its way out; the log says so when it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// A newer generation has taken over.
    Reloaded,
    /// A successor was to take its place: it has served `max-requests`, or lived long enough.
    Recycled,
    /// The server stops.
    Stopped,
    Harakiri,
    /// It had more memory than `evil-reload-on-…` allows.
    Killed,
    /// It did not get ready in time, or its generation failed.
    Discarded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Booting,
    /// Serving, and meant to go on.
    Ready,
    Leaving(Leaving),
}

#[derive(Clone, Debug)]
pub struct Child {
    pub role: Role,
    /// The number people know it by, from 1; 0 where a role has but one process.
    pub id: u32,
    /// Where its log lines wait; a worker's place on the scoreboard, too.
    pub slot: usize,
    pub generation: u64,
    pub assignment: Assignment,
    /// The process that forks it, if that is another than this one.
    pub parent: Option<i32>,
    /// Unknown until its parent has reported it.
    pub pid: Option<i32>,
    pub spawned_us: u64,
    pub stage: Stage,
    /// It has come so far, whatever its stage is now.
    pub was_ready: bool,
    /// When it is killed unless it is gone by then: the end of the boot time or of the mercy.
    pub kill_at: Option<u64>,
    /// By this process, which has said why.
    pub was_killed: bool,
}

impl Child {
    pub fn new(role: Role, id: u32, slot: usize, generation: u64) -> Child {
        Child {
            role,
            id,
            slot,
            generation,
            assignment: Assignment::default(),
            parent: None,
            pid: None,
            spawned_us: 0,
            stage: Stage::Booting,
            was_ready: false,
            kill_at: None,
            was_killed: false,
        }
    }

    /// Its life begins now; it has to be ready within this time.
    pub fn begin(&mut self, now: u64, boot_timeout: Option<Duration>) {
        self.spawned_us = now;
        self.kill_at = boot_timeout.map(|time| now + time.as_micros() as u64);
    }

    pub fn set_ready(&mut self) {
        self.stage = Stage::Ready;
        self.was_ready = true;
        self.kill_at = None;
    }

    /// It is on its way out, and killed at `kill_at`.
    pub fn leave(&mut self, why: Leaving, kill_at: Option<u64>) {
        self.stage = Stage::Leaving(why);
        self.kill_at = kill_at;
    }

    pub fn leaving(&self) -> Option<Leaving> {
        match self.stage {
            Stage::Leaving(why) => Some(why),
            _ => None,
        }
    }

    /// Serving, and meant to go on.
    pub fn is_up(&self) -> bool {
        self.stage == Stage::Ready
    }

    pub fn is_booting(&self) -> bool {
        self.stage == Stage::Booting
    }

    pub fn signal(&self, signal: i32) {
        if let Some(pid) = self.pid {
            // A child that is gone is reaped in a moment. The main thread passes the wake signal on.
            let _ = match signal == signal::wake() {
                true => process::signal_main_thread(pid, signal),
                // With what it has started.
                false if self.role == Role::Alarm => process::kill_group(pid, signal),
                false => process::kill(pid, signal),
            };
        }
    }

    pub fn kill(&mut self) {
        self.was_killed = true;
        self.signal(signal::SIGKILL);
    }

    /// Its parent has reported its pid. Signals that were due before reach it now.
    pub fn set_pid(&mut self, pid: i32, now: u64) {
        self.pid = Some(pid);
        match self.leaving() {
            None => {}
            Some(_) if self.is_overdue(now) => self.signal(signal::SIGKILL),
            Some(_) => self.signal(signal::wake()),
        }
    }

    /// Is its time up?
    pub fn is_overdue(&self, now: u64) -> bool {
        self.kill_at.is_some_and(|at| at <= now)
    }

    /// `worker 1 (pid 123)`.
    pub fn name(&self) -> String {
        let role = match self.role {
            Role::Worker => format!("worker {}", self.id),
            Role::Zygote => "the zygote".to_owned(),
            Role::Alarm => format!("alarm {}", self.id),
        };
        self.pid.map_or_else(|| role.clone(), |pid| format!("{role} (pid {pid})"))
    }
}

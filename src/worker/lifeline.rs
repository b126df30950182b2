//! The link of a worker to its master: the current command, restart requests, and whether the master is alive.

use super::setup::Setup;
use crate::log;
use crate::shm::scoreboard::{Assignment, Command, RestartRequest, Scoreboard, Stage, WorkerSlot};
use crate::sys::{epoll, io, process, signal};
use parking_lot::Mutex;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use std::time::Duration;

/// So many reports of the pipe that the master has ended may be false.
const MAX_FALSE_ALARMS: u64 = 1_000;

/// The threads of a worker that can be woken, by the kernel's numbers.
#[derive(Debug, Default)]
pub struct ThreadSet(Mutex<Vec<i32>>);

impl ThreadSet {
    /// Makes the calling thread known.
    pub fn enlist(&self) {
        self.0.lock().push(process::thread_id());
    }

    /// Wakes all but the calling thread, so that each looks at its command.
    pub fn wake_all(&self) {
        let me = process::thread_id();
        for &tid in self.0.lock().iter().filter(|&&tid| tid != me) {
            process::signal_thread(tid, signal::wake());
        }
    }
}

pub struct Lifeline {
    id: u32,
    slot: WorkerSlot,
    assignment: Assignment,
    /// The master's pid.
    master: i32,
    news: Arc<OwnedFd>,
    pub threads: ThreadSet,
    /// It cannot wait for connections any more.
    broken: AtomicBool,
    /// How often the pipe has reported the master's end while the master was alive.
    false_alarms: AtomicU64,
}

/// The master's end of the pipe is closed.
pub fn has_lost_its_master(setup: &Setup) -> bool {
    epoll::wait_one(&*setup.alive, false, Duration::ZERO).unwrap_or(false)
}

impl Lifeline {
    pub fn new(setup: &Setup) -> Lifeline {
        Lifeline {
            id: setup.id,
            slot: setup.scoreboard.worker(setup.slot),
            assignment: setup.assignment,
            master: setup.master,
            news: setup.news.clone(),
            threads: ThreadSet::default(),
            broken: AtomicBool::new(false),
            false_alarms: AtomicU64::new(0),
        }
    }

    /// The command that holds for this process.
    #[inline]
    pub fn command(&self) -> Command {
        self.slot.command_for(self.assignment)
    }

    /// With no master the worker is the only writer of its command.
    pub fn set_command(&self, command: Command) {
        self.slot.set_command(command);
    }

    /// Is this the process that the master knows in this slot? A zygote that was killed may have left another.
    pub fn is_assigned(&self) -> bool {
        self.slot.is_assigned(self.assignment)
    }

    pub fn set_stage(&self, stage: Stage) {
        if self.is_assigned() {
            self.slot.set_stage(stage);
        }
    }

    /// Makes the master look at the scoreboard now rather than at its next tick.
    pub fn tell_master(&self) {
        // A full pipe has woken the master already.
        let _ = io::write_now(self.news.as_fd(), b"n");
    }

    /// Asks the master for a successor, once; the worker serves until that one is ready.
    pub fn request_restart(&self, why: RestartRequest) {
        if self.slot.restart_request() == RestartRequest::None {
            self.slot.set_restart_request(why);
            self.tell_master();
        }
    }

    /// The master is about to kill it: a request that is accepted now would get no answer.
    pub fn is_being_killed(&self) -> bool {
        self.command() == Command::Pause && self.slot.rescue_us().load(Acquire) != 0
    }

    pub fn has_lost_its_master(&self) -> bool {
        // By its pid: the application may have closed the pipe, or put another file in its place.
        process::parent() != self.master
    }

    /// The pipe has reported the master's end, and the master is alive. Too often: the server's descriptors were closed.
    pub fn count_false_alarm(&self) {
        if self.false_alarms.fetch_add(1, Relaxed) > MAX_FALSE_ALARMS {
            self.give_up("the application has closed descriptors of the server");
        }
    }

    /// The worker is ready: the master may count on it. `false`: the master does not know it.
    pub fn announce(&self, scoreboard: Scoreboard) -> bool {
        if !self.is_assigned() {
            return false;
        }
        let least = (0..scoreboard.slots())
            .map(|slot| scoreboard.worker(slot))
            .filter(|other| other.stage() == Stage::Ready)
            .map(|other| other.served())
            .min();
        self.slot.served_baseline().store(least.unwrap_or(0), Relaxed);
        let is_ready = self.slot.end_boot(Stage::Ready);
        if is_ready {
            self.tell_master();
        }
        is_ready
    }

    /// It cannot wait for connections, and no later try would end otherwise: it has to be replaced.
    pub fn give_up(&self, why: &str) {
        if !self.broken.swap(true, Relaxed) {
            log::say(&format!("worker {}: {why}; it takes no more connections and is replaced", self.id));
            // A thread that waits in an epoll whose number is closed would be woken for connections in place of another
            // worker, and could not accept them.
            self.threads.wake_all();
            self.request_restart(RestartRequest::Broken);
        }
    }

    pub fn is_broken(&self) -> bool {
        self.broken.load(Relaxed)
    }
}

//! The dead: who it was, of what it died, and what follows.

use super::child::{Child, Leaving};
use super::{Due, Master, Phase, zygote};
use crate::log;
use crate::process::exit::EXIT_NO_APP;
use crate::sys::process::{self, Ended};
use crate::sys::{clock, signal};
use crate::worker::application::Application;
use std::time::Duration;

/// Workers of a first generation that die before they are ready, in a row, until the server gives up.
const MAX_FAILED_BOOTS: u32 = 3;

impl<R: Application> Master<'_, R> {
    /// Everybody who has ended. Children of children (a daemon that an app has started, all of them when the master is
    /// PID 1) are reaped without a word.
    pub(super) fn reap(&mut self) {
        while let Some((pid, ended)) = process::reap() {
            // A worker's pid may still be on its way from the zygote.
            self.hear_zygote();
            let index = self.children.iter().position(|child| child.pid == Some(pid));
            let child = index.map(|index| self.children.swap_remove(index));
            // A signal to the whole group (Ctrl-C, supervisor) ends others, too, and always later than it is noted here.
            self.obey_signals();
            if let Some(child) = child {
                self.bury(child, ended);
            } else if self.zygote.as_ref().is_some_and(|zygote| zygote.pid == pid) {
                self.bury_zygote(ended);
            } else if let Some(at) = self.old_zygotes.iter().position(|zygote| zygote.pid == pid) {
                let zygote = self.old_zygotes.swap_remove(at);
                log::inherit(&self.lines.slot(zygote::log_slot(self.scoreboard, zygote.generation)));
                self.forget_unborn(zygote.generation);
            }
        }
    }

    fn bury(&mut self, child: Child, ended: Ended) {
        let now = clock::monotonic_us();
        self.dumps.forget(child.slot);
        // What it had not written yet.
        log::inherit(&self.lines.slot(child.slot));
        let slot = child.on(&self.scoreboard);
        let served = child.served(&self.scoreboard);
        slot.unassign();
        slot.pid().store(0, std::sync::atomic::Ordering::Release);
        for core in self.scoreboard.cores(child.slot) {
            core.end();
        }
        self.empty_mailbox(child.slot);
        self.tell_of_death(&child, ended, served);
        if self.phase == Phase::Stopping {
            return;
        }
        self.replace(&child, ended, now);
    }

    fn tell_of_death(&self, child: &Child, ended: Ended, served: u64) {
        let name = child.name();
        match (child.leaving, ended) {
            (Some(Leaving::Harakiri), _) => log::say(&format!("{name} was killed by harakiri; replacing it")),
            (Some(_), Ended::Killed(signal::SIGKILL)) if !child.was_ready => {}
            (Some(Leaving::Discarded | Leaving::Killed), _) => {}
            (None, Ended::Exited(0)) if self.phase != Phase::Stopping => {
                log::say(&format!("{name} has ended by itself; replacing it"));
            }
            (_, Ended::Exited(0)) => log::say(&format!("{name} has left after {served} requests")),
            (_, Ended::Killed(signal)) => log::say(&format!(
                "{name} was killed by {}{} after {served} requests{}",
                signal::name(signal),
                if signal == signal::SIGKILL && !child.was_killed {
                    " (by hand, or by the kernel for want of memory: see dmesg)"
                } else {
                    ""
                },
                if child.leaving.is_none() && self.phase != Phase::Stopping { "; replacing it" } else { "" },
            )),
            (_, Ended::Exited(EXIT_NO_APP)) => log::say(&format!("{name} could not load the application")),
            (_, Ended::Exited(process::PANICKED)) => {
                log::say(&format!("{name} ended by a bug of rwsgi (see the panic above); please report it"));
            }
            (_, Ended::Exited(status)) => log::say(&format!("{name} ended with status {status}")),
        }
    }

    fn replace(&mut self, child: &Child, ended: Ended, now: u64) {
        self.lose_successor(child.slot);
        if child.generation != self.generation || self.is_replaced(child) {
            return;
        }
        let booted = child.was_ready;
        if !booted && ended == Ended::Exited(EXIT_NO_APP) && self.phase != Phase::Serving {
            return self.generation_failed("the application cannot be loaded", EXIT_NO_APP);
        }
        let lived = Duration::from_micros(now - child.spawned_us);
        let Some(backoff) = self.backoffs.get_mut(child.id as usize - 1) else { return };
        let wait = match child.leaving {
            Some(Leaving::Harakiri) => Duration::ZERO,
            _ => backoff.after_death(lived, booted),
        };
        if !booted && self.phase != Phase::Serving && backoff.early_deaths() >= MAX_FAILED_BOOTS {
            return self.generation_failed("workers die before they are ready", 1);
        }
        if !wait.is_zero() {
            log::say(&format!("worker {} is started again in {:.1} s", child.id, wait.as_secs_f32()));
        }
        self.due.push(Due { id: child.id, at_us: now + wait.as_micros() as u64 });
    }

    /// A retired worker whose successor serves already leaves no gap.
    fn is_replaced(&self, child: &Child) -> bool {
        !self.lacks(child.id)
    }

    fn bury_zygote(&mut self, ended: Ended) {
        let Some(zygote) = self.zygote.take() else { return };
        let _ = self.epoll.remove(&zygote.socket);
        log::inherit(&self.lines.slot(zygote::log_slot(self.scoreboard, zygote.generation)));
        self.forget_unborn(zygote.generation);
        if self.phase == Phase::Stopping {
            return;
        }
        let why = match ended {
            Ended::Exited(EXIT_NO_APP) => "the application cannot be loaded".to_owned(),
            Ended::Exited(status) => {
                format!("the process that loads the application ended with status {status}")
            }
            Ended::Killed(signal) => {
                format!("the process that loads the application was killed by {}", signal::name(signal))
            }
        };
        if self.phase == Phase::Serving {
            log::say(&format!("{why}; it is loaded again when a worker has to be replaced"));
            let at_us = clock::monotonic_us() + 1_000_000;
            for id in 1..=self.settings.instance.processes {
                if self.lacks(id) && self.due.iter().all(|due| due.id != id) {
                    self.due.push(Due { id, at_us });
                }
            }
            return;
        }
        let status = if ended == Ended::Exited(EXIT_NO_APP) { EXIT_NO_APP } else { 1 };
        self.generation_failed(&why, status);
    }
}

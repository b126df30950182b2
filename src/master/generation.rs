//! Reload: a new generation gets ready before the old one retires; one that does not get ready leaves the old one serving.

use super::child::Leaving;
use super::{Due, Master, Phase};
use crate::log;
use crate::shm::scoreboard::Command;
use crate::sys::{clock, signal};
use crate::worker::application::Application;
use std::sync::atomic::Ordering::*;

impl<R: Application> Master<'_, R> {
    /// `cause` says in the log why: SIGHUP, or what has changed.
    pub(super) fn reload(&mut self, cause: &str) {
        match self.phase {
            Phase::Stopping => {}
            Phase::Starting | Phase::Reloading => {
                log::say(&format!("{cause}: a generation is on its way already; another reload follows it"));
                self.reload_again = Some(cause.to_owned());
            }
            Phase::Serving if self.settings.recycle.exit_on_reload => {
                log::say(&format!("{cause}: stopping instead of reloading (exit-on-reload)"));
                self.begin_stop(0);
            }
            Phase::Serving => {
                self.notifier.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", clock::monotonic_us()));
                if !self.read_again(cause) {
                    return self.notifier.tell("READY=1");
                }
                if self.settings.log.reopen {
                    self.reopen_log(cause);
                }
                log::say(&format!("{cause}: starting generation {}", self.generation + 1));
                self.phase = Phase::Reloading;
                self.begin_generation();
            }
        }
    }

    /// Starts what the next generation needs.
    pub(super) fn begin_generation(&mut self) {
        self.generation += 1;
        self.due.clear();
        if self.settings.instance.lazy_apps {
            if self.settings.instance.no_server && self.phase == Phase::Starting {
                return self.stop_before_serving();
            }
            for id in 1..=self.settings.instance.processes {
                self.spawn(id);
            }
            return;
        }
        if let Some(zygote) = self.zygote.take() {
            self.let_zygote_go(zygote);
        }
        self.start_zygote();
    }

    /// `no-server`: everything but the workers has been started.
    pub(super) fn stop_before_serving(&mut self) {
        log::say("no-server: everything is in order; stopping before the workers start");
        self.begin_stop(0);
    }

    /// A worker has become ready: its predecessor may go, or the generation may be complete.
    pub(super) fn worker_is_ready(&mut self, index: usize) {
        let (slot, id) = (self.children[index].slot, self.children[index].id);
        if self.paused {
            self.children[index].on(&self.scoreboard).set_command(Command::Pause);
            self.children[index].signal(signal::wake());
        }
        let predecessor = self.children.iter().position(|child| child.successor == Some(slot));
        if let Some(old) = predecessor {
            self.say_why_replaced(old);
            self.retire(old, Leaving::Recycled);
        }
        if self.phase == Phase::Serving {
            if predecessor.is_none() {
                log::say(&format!("{} is ready", self.children[index].name()));
            }
            return;
        }
        let ready = (1..=self.settings.instance.processes).filter(|&id| self.is_complete(id)).count();
        if ready == self.settings.instance.processes as usize {
            self.generation_is_complete();
        }
        let _ = id;
    }

    fn is_complete(&self, id: u32) -> bool {
        self.children
            .iter()
            .any(|child| child.id == id && child.generation == self.generation && child.is_up())
    }

    fn generation_is_complete(&mut self) {
        let was = self.phase;
        self.phase = Phase::Serving;
        self.proven = self.settings.clone();
        self.scoreboard.generation().store(self.generation, Release);
        let now = clock::monotonic_us();
        for index in 0..self.children.len() {
            if self.children[index].generation != self.generation && self.children[index].leaving.is_none() {
                self.retire(index, Leaving::Reloaded);
            }
        }
        self.notifier.tell("READY=1");
        match was {
            Phase::Starting => self.announce(),
            _ => log::say(&format!("generation {} serves; the old workers finish", self.generation)),
        }
        if let Some(cause) = self.reload_again.take() {
            self.reload(&cause);
        }
        self.last_tick_us = now;
    }

    /// A generation that cannot boot. The first ends the server, a later one is dropped.
    pub(super) fn generation_failed(&mut self, why: &str, status: i32) {
        if self.phase == Phase::Starting {
            log::say(&format!("{why}; nothing to serve, stopping"));
            return self.begin_stop(status);
        }
        log::say(&format!(
            "{why}; generation {} is given up, generation {} serves on",
            self.generation,
            self.serving()
        ));
        for index in 0..self.children.len() {
            if self.children[index].generation == self.generation {
                self.retire(index, Leaving::Discarded);
            }
        }
        if let Some(zygote) = self.zygote.take() {
            self.let_zygote_go(zygote);
        }
        self.phase = Phase::Serving;
        self.notifier.tell("READY=1");
        self.reload_again = None;
        self.take_on(self.proven.clone());
        self.fall_back();
    }

    /// The generation that serves.
    fn serving(&self) -> u64 {
        self.scoreboard.generation().load(Acquire)
    }

    /// Old workers that have died meanwhile get successors of the code that is on disk, as soon as it loads again.
    fn fall_back(&mut self) {
        self.generation = self.serving();
        let at_us = clock::monotonic_us() + 1_000_000;
        for id in 1..=self.settings.instance.processes {
            if self.lacks(id) {
                self.due.push(Due { id, at_us });
            }
        }
    }
}

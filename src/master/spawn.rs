//! Starting processes: zygotes and workers.

use super::child::Child;
use super::pidfile::PidFile;
use super::zygote::{self, Birth, News, Zygote};
use super::{Due, Master, Phase, ZYGOTE};
use crate::base::reason::reason;
use crate::log;
use crate::shm::scoreboard::{Assignment, Stage};
use crate::sys::{clock, epoll, io, process, signal, user};
use crate::worker::application::Application;
use crate::worker::run;
use crate::worker::setup::Setup;
use std::os::fd::{AsFd, AsRawFd};

/// Until another successor is tried for one that did not get ready.
const RETRY_US: u64 = 1_000_000;

impl<R: Application> Master<'_, R> {
    /// A slot that no child sits in.
    fn free_slot(&self) -> Option<usize> {
        (0..self.scoreboard.slots()).find(|&slot| self.children.iter().all(|child| child.slot != slot))
    }

    /// Descriptors that must be the master's alone; a child that held them would keep dead ends alive.
    fn private(&self) -> Vec<i32> {
        let zygotes = self.zygote.iter().chain(&self.old_zygotes);
        let sockets = zygotes.map(|zygote| zygote.socket.as_raw_fd());
        let pidfiles = self.pidfiles.iter().filter_map(PidFile::descriptor);
        let ready = self.ready_pipe.iter().map(|pipe| pipe.as_raw_fd());
        let own = [self.alive.as_raw_fd(), self.wake.as_raw_fd()];
        sockets.chain(pidfiles).chain(ready).chain(own).collect()
    }

    /// Loads the application in a process of its own, of which the workers will be forked.
    pub(super) fn start_zygote(&mut self) {
        let (ours, theirs) = match io::packet_pair() {
            Ok(pair) => pair,
            Err(error) => return self.cannot_start("a zygote", &error),
        };
        let mut private = self.private();
        private.push(ours.as_raw_fd());
        let setup = Setup { slot: zygote::log_slot(self.scoreboard, self.generation), ..self.base.clone() };
        let hooks = self.runtime.hooks();
        let runtime = &mut *self.runtime;
        let forked = process::fork(hooks, || {
            io::close(&private);
            zygote::live(runtime, &setup, theirs)
        });
        match forked {
            Ok(pid) => {
                let boot_us = self.settings.supervise.boot_timeout.map(|time| time.as_micros() as u64);
                let _ = self.epoll.add(&ours, epoll::READ, ZYGOTE);
                self.zygote = Some(Zygote {
                    pid,
                    generation: self.generation,
                    socket: ours,
                    is_ready: false,
                    uids: None,
                    kill_at: boot_us.map(|time| clock::monotonic_us() + time),
                });
            }
            Err(error) => self.cannot_start("a zygote", &error),
        }
    }

    fn cannot_start(&mut self, what: &str, error: &std::io::Error) {
        log::say(&format!("cannot start {what}: {}; trying again in a second", reason(error)));
        let at_us = clock::monotonic_us() + 1_000_000;
        let missing: Vec<u32> = (1..=self.settings.instance.processes).filter(|&id| self.lacks(id)).collect();
        for id in missing {
            if self.due.iter().all(|due| due.id != id) {
                self.due.push(Due { id, at_us });
            }
        }
    }

    /// Does no worker of the newest generation with this number serve or boot?
    pub(super) fn lacks(&self, id: u32) -> bool {
        !self
            .children
            .iter()
            .any(|child| child.id == id && child.generation == self.generation && child.leaving.is_none())
    }

    /// Starts a worker of the newest generation; returns its slot. `None`: not now, it is put off.
    pub(super) fn spawn(&mut self, id: u32) -> Option<usize> {
        let Some(slot) = self.free_slot() else {
            // Workers of several generations are busy still: one of them goes, at the latest when its mercy is over.
            self.due.push(Due { id, at_us: clock::monotonic_us() + 100_000 });
            return None;
        };
        if !self.settings.instance.lazy_apps {
            let Some(zygote) = self.zygote.as_ref().filter(|zygote| zygote.is_ready) else {
                self.due.push(Due { id, at_us: clock::monotonic_us() + 100_000 });
                if self.zygote.is_none() {
                    self.start_zygote();
                }
                return None;
            };
            let assignment = self.scoreboard.next_assignment();
            self.scoreboard.worker(slot).assign(id.into(), self.generation, assignment);
            if let Err(error) = zygote.order(Birth { slot, id, assignment }) {
                self.scoreboard.worker(slot).unassign();
                self.cannot_start(&format!("worker {id}"), &error);
                return None;
            }
            self.add_child(slot, id, assignment, None);
            return Some(slot);
        }
        let assignment = self.scoreboard.next_assignment();
        self.scoreboard.worker(slot).assign(id.into(), self.generation, assignment);
        let setup = Setup { slot, id, assignment, ..self.base.clone() };
        let private = self.private();
        let hooks = self.runtime.hooks();
        let runtime = &mut *self.runtime;
        match process::fork(hooks, || {
            io::close(&private);
            run::live(runtime, &setup, None)
        }) {
            Ok(pid) => {
                self.add_child(slot, id, assignment, Some(pid));
                Some(slot)
            }
            Err(error) => {
                self.scoreboard.worker(slot).unassign();
                self.cannot_start(&format!("worker {id}"), &error);
                None
            }
        }
    }

    fn add_child(&mut self, slot: usize, id: u32, assignment: Assignment, pid: Option<i32>) {
        let now = clock::monotonic_us();
        let mut child = Child::new(slot, id, self.generation, now);
        (child.pid, child.assignment) = (pid, assignment);
        child.kill_at = self.settings.supervise.boot_timeout.map(|time| now + time.as_micros() as u64);
        self.children.push(child);
    }

    /// What the zygote has told.
    pub(super) fn hear_zygote(&mut self) {
        let mut all = Vec::new();
        for zygote in self.zygote.iter().chain(&self.old_zygotes) {
            all.extend(zygote.news().into_iter().map(|news| (zygote.generation, news)));
        }
        for (generation, news) in all {
            match news {
                News::Ready => self.on_zygote_ready(generation),
                News::Spawned { assignment, pid } if self.believes(generation, pid) => {
                    self.has_pid(assignment, pid);
                }
                News::Spawned { pid, .. } => self.distrust_zygote(generation, pid),
                News::NotSpawned { assignment } => self.was_not_spawned(assignment),
            }
        }
    }

    fn zygote_of(&self, generation: u64) -> Option<&Zygote> {
        let mut zygotes = self.zygote.iter().chain(&self.old_zygotes);
        zygotes.find(|zygote| zygote.generation == generation)
    }

    /// With `master-as-root` the application, which runs in the zygote, must not choose whom root signals.
    fn believes(&self, generation: u64, pid: i32) -> bool {
        let is_privileged =
            self.settings.instance.master_as_root && self.settings.instance.uid.is_some() && user::is_root();
        !is_privileged || self.zygote_of(generation).is_some_and(|zygote| zygote.may_have_forked(pid))
    }

    fn distrust_zygote(&self, generation: u64, told: i32) {
        let Some(zygote) = self.zygote_of(generation) else { return };
        log::say(&format!(
            "the zygote (pid {}) told that process {told} is a worker, which is not its child: killing the zygote",
            zygote.pid
        ));
        let _ = process::kill(zygote.pid, signal::SIGKILL);
    }

    fn on_zygote_ready(&mut self, generation: u64) {
        let Some(zygote) = self.zygote.as_mut().filter(|zygote| zygote.generation == generation) else {
            return;
        };
        zygote.is_ready = true;
        zygote.uids = process::relation(zygote.pid).map(|relation| relation.uids);
        zygote.kill_at = None;
        if self.settings.instance.no_server && self.phase == Phase::Starting {
            return self.stop_before_serving();
        }
        self.due.clear();
        for id in 1..=self.settings.instance.processes {
            if self.lacks(id) {
                self.spawn(id);
            }
        }
    }

    fn has_pid(&mut self, assignment: Assignment, pid: i32) {
        if let Some(child) = self.children.iter_mut().find(|child| child.assignment == assignment) {
            child.pid = Some(pid);
            // What was ordered while the pid was unknown reaches the worker now.
            match child.leaving {
                None => {}
                Some(_) if child.on(&self.scoreboard).stage() == Stage::Gone => child.signal(signal::SIGKILL),
                Some(_) => child.signal(signal::wake()),
            }
        }
    }

    fn was_not_spawned(&mut self, assignment: Assignment) {
        let Some(index) = self.children.iter().position(|child| child.assignment == assignment) else {
            return;
        };
        let child = self.children.swap_remove(index);
        child.on(&self.scoreboard).unassign();
        self.lose_successor(child.slot);
        self.due.push(Due { id: child.id, at_us: clock::monotonic_us() + 1_000_000 });
    }

    /// Workers that were ordered of a zygote will not come, since it is gone. One that it has forked and not told of finds
    /// that its slot is not its own.
    pub(super) fn forget_unborn(&mut self, generation: u64) {
        let is_unborn = |child: &Child| child.pid.is_none() && child.generation == generation;
        let slots: Vec<usize> =
            self.children.iter().filter(|child| is_unborn(child)).map(|child| child.slot).collect();
        self.children.retain(|child| !is_unborn(child));
        for slot in slots {
            self.scoreboard.worker(slot).unassign();
            self.lose_successor(slot);
        }
    }

    /// A worker may have lost the successor that it waits for: it gets another in a while.
    pub(super) fn lose_successor(&mut self, slot: usize) {
        for other in self.children.iter_mut().filter(|other| other.successor == Some(slot)) {
            other.successor = None;
            other.replace_after_us = clock::monotonic_us() + RETRY_US;
        }
    }

    /// Starts the workers whose time has come.
    pub(super) fn spawn_due(&mut self) {
        if self.phase == Phase::Stopping || self.due.is_empty() {
            return;
        }
        let now = clock::monotonic_us();
        let (ready, later): (Vec<Due>, Vec<Due>) = self.due.drain(..).partition(|due| due.at_us <= now);
        self.due = later;
        for due in ready {
            if self.lacks(due.id) {
                self.spawn(due.id);
            }
        }
    }

    /// A zygote that is not needed any more ends when its socket closes.
    pub(super) fn let_zygote_go(&mut self, mut zygote: Zygote) {
        let _ = self.epoll.remove(&zygote.socket);
        io::shutdown_send(zygote.socket.as_fd());
        zygote.kill_at =
            Some(clock::monotonic_us() + self.settings.supervise.reload_mercy.as_micros() as u64);
        self.old_zygotes.push(zygote);
    }
}

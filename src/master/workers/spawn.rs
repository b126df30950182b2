//! Starting zygotes and workers.

use super::zygote::links::Zygotes;
use super::zygote::process as zygote;
use super::zygote::protocol::ForkRequest;
use super::{generation, scaling};
use crate::alarm::{self, Delivery};
use crate::base::reason::reason;
use crate::log;
use crate::master::action::SIGNALS;
use crate::master::server::{Phase, Server};
use crate::shm::scoreboard::Assignment;
use crate::supervise::{Child, Children, Leaving, Role};
use crate::sys::{clock, io, signal, user};
use crate::worker::application::Application;
use crate::worker::run;
use crate::worker::setup::Setup;
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::Ordering::Relaxed;

/// Until a worker that cannot be started now is tried again.
const PUT_OFF_US: u64 = 100_000;
/// What a zygote has to end when the server stops.
const ZYGOTE_GRACE_US: u64 = 1_000_000;

pub struct Spawner<'h, R: Application> {
    pub runtime: &'h mut R,
    pub zygotes: Zygotes,
    /// Descriptors that must be the master's alone; a child that held them would keep dead ends alive.
    pub private: Vec<RawFd>,
}

impl<R: Application> Spawner<'_, R> {
    /// Loads the application in a process of its own, of which the workers will be forked.
    /// `false`: it cannot be started now, and neither can the workers.
    pub fn start_zygote(&mut self, server: &Server, children: &mut Children) -> bool {
        let started = self.fork_zygote(server, children);
        started.inspect_err(|error| cannot_start("a zygote", error, server, children)).is_ok()
    }

    fn fork_zygote(&mut self, server: &Server, children: &mut Children) -> Result<()> {
        let (ours, theirs) = io::packet_pair()?;
        let mut private = self.private();
        private.push(ours.as_raw_fd());
        let slot = self.zygotes.next_log_slot(server.scoreboard());
        let setup = Setup { slot, ..server.setup.clone() };
        let mut child = Child::new(Role::Zygote, 0, slot, server.generation);
        let boot_timeout = server.settings().supervise.boot_timeout;
        let (hooks, runtime) = (self.runtime.hooks(), &mut *self.runtime);
        child.begin(clock::monotonic_us(), boot_timeout);
        let pid = children.fork(child, hooks, &private, || zygote::live(runtime, &setup, theirs))?;
        self.zygotes.add(pid, ours);
        Ok(())
    }

    fn private(&self) -> Vec<RawFd> {
        self.private.iter().copied().chain(self.zygotes.descriptors()).collect()
    }

    /// Starts every worker that is missing.
    pub fn start_missing(&mut self, server: &Server, children: &mut Children) {
        children.cancel(Role::Worker);
        for id in scaling::missing(server, children) {
            self.start_worker(id, server, children);
        }
    }

    /// Starts a worker of the newest generation; returns its slot. `None`: not now, it is put off.
    pub fn start_worker(&mut self, id: u32, server: &Server, children: &mut Children) -> Option<usize> {
        let Some(slot) = free_slot(server, children) else {
            // Workers of several generations are busy still: one of them ends, at the latest when its mercy is over.
            put_off(id, children);
            return None;
        };
        let started = if server.settings().instance.lazy_apps {
            self.fork_worker(assign(server, id, slot), server, children)
        } else {
            let zygote = self.ready_zygote(id, server, children)?;
            self.ask_zygote(zygote, assign(server, id, slot), children)
        };
        if let Err(error) = started {
            server.scoreboard().worker(slot).unassign();
            cannot_start(&format!("worker {id}"), &error, server, children);
            return None;
        }
        Some(slot)
    }

    /// `None`: worker `id` is put off until there is one.
    fn ready_zygote(&mut self, id: u32, server: &Server, children: &mut Children) -> Option<i32> {
        match newest_zygote(children) {
            Some(zygote) if zygote.is_up() => return zygote.pid,
            Some(_) => put_off(id, children),
            None => {
                if self.start_zygote(server, children) {
                    put_off(id, children);
                }
            }
        }
        None
    }

    fn ask_zygote(&mut self, zygote: i32, mut child: Child, children: &mut Children) -> Result<()> {
        let request = ForkRequest { slot: child.slot, id: child.id, assignment: child.assignment };
        self.zygotes.ask(zygote, request)?;
        child.parent = Some(zygote);
        children.expect(child);
        Ok(())
    }

    fn fork_worker(&mut self, child: Child, server: &Server, children: &mut Children) -> Result<()> {
        let Child { slot, id, assignment, .. } = child;
        let setup = Setup { slot, id, assignment, ..server.setup.clone() };
        let private = self.private();
        let (hooks, runtime) = (self.runtime.hooks(), &mut *self.runtime);
        children.fork(child, hooks, &private, || run::live(runtime, &setup, None)).map(drop)
    }

    /// Starts the workers whose time has come.
    pub fn start_due(&mut self, server: &Server, children: &mut Children, now: u64) {
        if server.phase == Phase::Stopping {
            return;
        }
        for due in children.take_due(now) {
            match due.role {
                Role::Worker if scaling::lacks(server, children, due.id) => {
                    self.start_worker(due.id, server, children);
                }
                // A zygote is started when a worker is and there is none.
                Role::Worker | Role::Zygote | Role::Alarm => {}
            }
        }
    }

    /// Starts what an alarm does.
    pub fn start_delivery(&self, delivery: &Delivery, server: &Server, children: &mut Children) {
        let now = clock::monotonic_us();
        let mut child = Child::new(Role::Alarm, delivery.number, 0, server.generation);
        child.begin(now, None);
        child.set_ready();
        child.kill_at = Some(now + delivery.limit().as_micros() as u64);
        let (settings, master) = (server.setup.settings.clone(), server.setup.master);
        let body = || {
            SIGNALS.iter().for_each(|&signal| drop(signal::reset(signal)));
            alarm::deliver(delivery, &settings, master)
        };
        if let Err(error) = children.fork(child, self.runtime.hooks(), &self.private(), body) {
            let (alarm, why) = (&delivery.alarm, reason(error));
            log::say_of_alarm(&format!("[uwsgi-alarm] {alarm}: cannot start a process: {why}"));
        }
    }

    // ── what becomes of zygotes ──

    /// It has loaded the application. `false`: it is not that of the newest generation.
    pub fn set_zygote_ready(&mut self, pid: i32, children: &mut Children) -> bool {
        let is_newest = |zygote: &&mut Child| zygote.pid == Some(pid) && zygote.leaving().is_none();
        let newest = children.of_mut(Role::Zygote).find(is_newest).map(Child::set_ready);
        self.zygotes.set_ready(pid);
        newest.is_some()
    }

    /// It has forked a worker. With `master-as-root` the application, which runs in the zygote, must not choose whom root
    /// signals.
    pub fn on_forked(
        &self,
        zygote: i32,
        (assignment, pid): (Assignment, i32),
        server: &Server,
        children: &mut Children,
    ) {
        let instance = &server.settings().instance;
        let is_privileged = instance.master_as_root && instance.uid.is_some() && user::is_root();
        if is_privileged && !self.zygotes.may_have_forked(zygote, pid) {
            return distrust(zygote, pid, children);
        }
        if let Some(child) = children.assigned_mut(assignment) {
            child.set_pid(pid, clock::monotonic_us());
        }
    }

    /// The zygote of the newest generation is not needed any more: it ends when its socket closes, or is killed.
    pub fn release_zygote(&mut self, why: Leaving, server: &Server, children: &mut Children) {
        let grace_us = server.settings().supervise.reload_mercy.as_micros() as u64;
        for zygote in children.of_mut(Role::Zygote).filter(|zygote| zygote.leaving().is_none()) {
            zygote.leave(why, Some(clock::monotonic_us() + grace_us));
            zygote.pid.into_iter().for_each(|pid| self.zygotes.release(pid));
        }
    }

    /// The server stops.
    pub fn end_zygotes(&mut self, children: &mut Children) {
        for zygote in children.of_mut(Role::Zygote) {
            if zygote.leaving().is_none() {
                zygote.pid.into_iter().for_each(|pid| self.zygotes.release(pid));
            }
            zygote.leave(Leaving::Stopped, Some(clock::monotonic_us() + ZYGOTE_GRACE_US));
        }
    }

    /// A zygote has ended. Workers that it was asked for will not come; one that it has forked and not reported finds that its
    /// slot is not its own. Returns their slots.
    pub fn remove_zygote(&mut self, zygote: &Child, server: &Server, children: &mut Children) -> Vec<usize> {
        let Some(pid) = zygote.pid else { return Vec::new() };
        self.zygotes.remove(pid);
        let unforked = children.take_unforked(pid);
        unforked.iter().for_each(|child| server.slot(child).unassign());
        unforked.into_iter().map(|child| child.slot).collect()
    }
}

fn distrust(zygote: i32, told: i32, children: &Children) {
    if let Some(child) = children.of(Role::Zygote).find(|child| child.pid == Some(zygote)) {
        let name = child.name();
        log::say(&format!(
            "{name} told that process {told} is a worker, which is not its child: killing the zygote"
        ));
        child.signal(signal::SIGKILL);
    }
}

/// The zygote of the newest generation, ready or not.
pub fn newest_zygote(children: &Children) -> Option<&Child> {
    children.of(Role::Zygote).find(|zygote| zygote.leaving().is_none())
}

/// A slot without a worker.
fn free_slot(server: &Server, children: &Children) -> Option<usize> {
    (0..server.scoreboard().slots()).find(|&slot| children.get(Role::Worker, slot).is_none())
}

/// A worker of the newest generation, in this slot from now on.
fn assign(server: &Server, id: u32, slot: usize) -> Child {
    let scoreboard = server.scoreboard();
    let assignment: Assignment = scoreboard.next_assignment();
    scoreboard.assign(slot, id.into(), server.generation, assignment);
    let average_us = server.accounts.borrow_mut().enter_spawn(id, clock::wall_secs());
    scoreboard.worker(slot).average_us().store(average_us, Relaxed);
    let mut child = Child { assignment, ..Child::new(Role::Worker, id, slot, server.generation) };
    child.begin(clock::monotonic_us(), server.settings().supervise.boot_timeout);
    child
}

fn put_off(id: u32, children: &mut Children) {
    children.start_at(Role::Worker, id, clock::monotonic_us() + PUT_OFF_US);
}

fn cannot_start(what: &str, error: &Error, server: &Server, children: &mut Children) {
    log::say(&format!("cannot start {what}: {}; trying again in a second", reason(error)));
    generation::start_missing_later(server, children, clock::monotonic_us());
}

//! The master's loop: wait, dispatch events, run services, execute actions. The one file that knows all
//! parts of the master.

use super::accounts::Reload;
use super::action::{self, Action};
use super::configuration::{self, Configuration};
use super::incident::Incident;
use super::log_file;
use super::server::{Phase, Server};
use super::services::Services;
use super::sources::{Event, Sources};
use super::startup::readiness::Readiness;
use super::status;
use super::workers::generation::{self, Consequence};
use super::workers::recycle::Recycler;
use super::workers::spawn::Spawner;
use super::workers::zygote::links::Zygotes;
use super::workers::zygote::protocol::Notice;
use super::workers::{commands, scaling};
use crate::config::{AlarmEvent, Settings};
use crate::log;
use crate::report::text;
use crate::shm::scoreboard::{Assignment, Command};
use crate::supervise::{self, Child, Children, Ended, Leaving, Role};
use crate::sys::{clock, signal};
use crate::worker::application::Application;
use std::sync::Arc;
use std::sync::atomic::Ordering::*;
use std::time::Duration;

/// The loop turns at least so often.
const LONGEST_SLEEP_US: u64 = 1_000_000;
/// A signal that comes so soon after the first is the same one sent twice: by a supervisor that signals the process and
/// its group, or by a terminal and by what was started there around the server.
const SAME_US: u64 = 200_000;
/// Until another try where something failed.
const RETRY_US: u64 = 1_000_000;

pub struct Master<'h, R: Application> {
    server: Server,
    sources: Sources,
    children: Children,
    spawner: Spawner<'h, R>,
    recycler: Recycler,
    services: Services,
    configuration: Configuration,
    /// The settings of the generation that serves.
    proven: Arc<Settings>,
    readiness: Readiness,
    /// The cause of a reload that follows the one on its way.
    reload_again: Option<String>,
    exit_status: i32,
}

impl<'h, R: Application> Master<'h, R> {
    pub fn new(
        runtime: &'h mut R,
        server: Server,
        sources: Sources,
        services: Services,
        configuration: Configuration,
        readiness: Readiness,
    ) -> Master<'h, R> {
        let zygotes = Zygotes::new(sources.epoll.clone());
        Master {
            proven: server.setup.settings.clone(),
            server,
            sources,
            children: Children::default(),
            spawner: Spawner { runtime, zygotes, private: Vec::new() },
            recycler: Recycler::default(),
            services,
            configuration,
            readiness,
            reload_again: None,
            exit_status: 0,
        }
    }

    pub fn settings(&self) -> &Settings {
        self.server.settings()
    }

    /// Runs until every child is gone; returns the exit status.
    pub fn run(&mut self) -> i32 {
        self.note_private();
        self.begin_generation();
        while self.server.phase != Phase::Stopping || !self.children.is_empty() {
            self.sources.wait(self.spawner.runtime, self.timeout());
            self.take_in_events();
            self.tick();
        }
        self.exit_status
    }

    /// Until the nearest deadline.
    fn timeout(&self) -> Duration {
        let now = clock::monotonic_us();
        let log = log::pause().map(|pause| now + pause.as_micros() as u64);
        let deadlines = [log, self.services.deadline(now, &self.server), self.children.deadline()];
        let until = deadlines.into_iter().flatten().fold(now + LONGEST_SLEEP_US, u64::min);
        Duration::from_micros(until.saturating_sub(now))
    }

    /// Children close what is the master's alone.
    fn note_private(&mut self) {
        let own = self.sources.private().into_iter().chain(self.readiness.private());
        self.spawner.private = own.chain(self.services.private()).collect();
    }

    // ── events ──

    /// Messages of zygotes first, then children that have ended, then signals, then the scoreboard.
    fn take_in_events(&mut self) {
        self.read_notices();
        self.reap();
        self.dispatch(Event::Signals(signal::take_noted()));
        for slot in generation::newly_ready(&self.server, &self.children) {
            self.dispatch(Event::WorkerReady(slot));
        }
    }

    fn read_notices(&mut self) {
        for (zygote, notice) in self.spawner.zygotes.notices() {
            self.dispatch(Event::Zygote(zygote, notice));
        }
    }

    /// Reaps all that have ended. Children of children (a daemon that an app has started, all of them when the master
    /// is PID 1) are reaped without a word.
    fn reap(&mut self) {
        while let Some((pid, ended)) = supervise::reap() {
            // A worker's pid may still be on its way from the zygote.
            self.read_notices();
            let child = self.children.take(pid);
            // A signal to the whole group (Ctrl-C, supervisor) ends others, too, and always later than it is noted
            // here.
            self.dispatch(Event::Signals(signal::take_noted()));
            if let Some(child) = child {
                self.dispatch(Event::Ended(child, ended));
            }
        }
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Zygote(zygote, notice) => self.on_notice(zygote, notice),
            Event::Ended(child, ended) => self.on_ended(&child, ended),
            Event::Signals(noted) => {
                action::of_signals(noted).into_iter().for_each(|action| self.execute(action))
            }
            Event::WorkerReady(slot) => self.on_worker_ready(slot),
        }
    }

    // ── time ──

    fn tick(&mut self) {
        let now = clock::monotonic_us();
        let server = &self.server;
        self.children.kill_overdue(now, server.mercy(), |child| commands::give_up_boot(server, child));
        let actions = self.services.tick(now, &self.server, &mut self.children);
        self.note_private();
        actions.into_iter().for_each(|action| self.execute(action));
        log::flush();
        self.recycler.start_successors(&mut self.spawner, &self.server, &mut self.children, now);
        self.spawner.start_due(&self.server, &mut self.children, now);
    }

    // ── actions ──

    fn execute(&mut self, action: Action) {
        match action {
            Action::Reload(cause) => self.reload(&cause),
            Action::Stop(cause) => self.stop(&cause),
            Action::TogglePause(cause) => commands::toggle_pause(&mut self.server, &self.children, &cause),
            Action::ReopenLog(cause) => log_file::reopen(&mut self.server, &self.children, &cause),
            Action::LogStatus => log::say(&text::render(&status::of(&self.server, &self.children))),
            Action::Deliver(what) => self.spawner.start_delivery(&what, &self.server, &mut self.children),
            Action::DumpStacks(dump) => self.services.dumps.ask(dump),
            Action::DumpAllStacks(cause) => self.services.dumps.ask_all(&cause, &self.children),
            Action::ReadStacks(reader, worker) => self.services.read_stacks(reader, worker, &self.children),
            Action::GiveStacks(reader, stacks) => self.services.give_stacks(reader, &stacks),
            Action::Profile(ticket, request) => {
                self.services.profile(ticket, request, &self.server, &self.children);
            }
            Action::Recycle(slot, why) => self.recycler.mark(slot, why),
            Action::Answer(ticket, document) => {
                self.services.stats.answer(ticket, &document);
                self.note_private();
            }
        }
    }

    // ── reload ──

    fn reload(&mut self, cause: &str) {
        match self.server.phase {
            Phase::Stopping => {}
            Phase::Starting | Phase::Reloading => {
                log::say(&format!("{cause}: a generation is on its way already; another reload follows it"));
                self.reload_again = Some(cause.to_owned());
            }
            Phase::Serving if self.settings().recycle.exit_on_reload => {
                log::say(&format!("{cause}: stopping instead of reloading (exit-on-reload)"));
                self.begin_stop(0);
            }
            Phase::Serving => self.start_reload(cause),
        }
    }

    fn start_reload(&mut self, cause: &str) {
        self.readiness.manager.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", clock::monotonic_us()));
        let Some(settings) = self.configuration.read_again(cause, &self.server) else {
            self.server.accounts.borrow_mut().enter_reload(Reload::Refused);
            return self.readiness.manager.tell("READY=1");
        };
        self.take_on(settings);
        if self.settings().log.reopen {
            log_file::reopen(&mut self.server, &self.children, cause);
        }
        log::say(&format!("{cause}: starting generation {}", self.server.generation + 1));
        self.server.phase = Phase::Reloading;
        self.begin_generation();
    }

    fn take_on(&mut self, settings: Arc<Settings>) {
        self.services.configure(&settings);
        configuration::take_on(settings, &mut self.server);
        // Numbers that services have given up are those of the next zygote's socket.
        self.note_private();
    }

    /// Starts what the next generation needs.
    fn begin_generation(&mut self) {
        self.server.generation += 1;
        self.children.cancel(Role::Worker);
        if self.settings().instance.lazy_apps {
            return self.start_workers();
        }
        self.spawner.release_zygote(Leaving::Reloaded, &self.server, &mut self.children);
        self.spawner.start_zygote(&self.server, &mut self.children);
    }

    /// The application is loaded, or each worker loads it by itself.
    fn start_workers(&mut self) {
        if self.settings().instance.no_server && self.server.phase == Phase::Starting {
            log::say("no-server: everything is in order; stopping before the workers start");
            return self.begin_stop(0);
        }
        self.spawner.start_missing(&self.server, &mut self.children);
    }

    /// A worker serves: its predecessor may go, or the generation may be complete.
    fn on_worker_ready(&mut self, slot: usize) {
        let booting = self.children.get_mut(Role::Worker, slot).filter(|child| child.is_booting());
        let Some(child) = booting else { return };
        child.set_ready();
        let name = child.name();
        if self.server.is_paused {
            commands::command(&self.server, child, Command::Pause);
        }
        let replaces = self.recycler.retire_predecessor(slot, &self.server, &mut self.children);
        if self.server.phase == Phase::Serving {
            if !replaces {
                log::say(&format!("{name} is ready"));
            }
        } else if scaling::is_complete(&self.server, &self.children) {
            self.complete_generation();
        }
    }

    fn complete_generation(&mut self) {
        let was = std::mem::replace(&mut self.server.phase, Phase::Serving);
        self.proven = self.server.setup.settings.clone();
        let generation = self.server.generation;
        self.server.scoreboard().generation().store(generation, Release);
        generation::retire_older(&self.server, &mut self.children);
        self.readiness.manager.tell("READY=1");
        if was == Phase::Starting {
            self.readiness.announce(&self.server);
            self.note_private();
        } else {
            self.server.accounts.borrow_mut().enter_reload(Reload::Succeeded);
            log::say(&format!("generation {generation} serves; the old workers finish"));
        }
        self.follow_up();
    }

    /// A generation that cannot boot. The first ends the server, a later one is dropped.
    fn fail_generation(&mut self, why: &str, status: i32) {
        if self.server.phase == Phase::Starting {
            log::say(&format!("{why}; nothing to serve, stopping"));
            self.server.report(Incident::of(AlarmEvent::StartFailed, why));
            return self.begin_stop(status);
        }
        let (newest, serving) = (self.server.generation, generation::serving(&self.server));
        let message = format!("{why}; generation {newest} is given up, generation {serving} serves on");
        log::say(&message);
        self.server.report(Incident::of(AlarmEvent::ReloadFailed, message));
        self.server.accounts.borrow_mut().enter_reload(Reload::Failed);
        generation::discard_newest(&self.server, &mut self.children);
        self.spawner.release_zygote(Leaving::Discarded, &self.server, &mut self.children);
        self.server.phase = Phase::Serving;
        self.readiness.manager.tell("READY=1");
        self.take_on(self.proven.clone());
        // Old workers that have died meanwhile get successors of the code that is on disk, as soon as it loads again.
        self.server.generation = serving;
        generation::start_missing_anew(&self.server, &mut self.children, clock::monotonic_us());
        self.follow_up();
    }

    /// Whoever asked for another reload meanwhile may have mended what this one failed by.
    fn follow_up(&mut self) {
        if let Some(cause) = self.reload_again.take() {
            self.reload(&cause);
        }
    }

    // ── the zygote ──

    fn on_notice(&mut self, zygote: i32, notice: Notice) {
        match notice {
            Notice::Ready => {
                if self.spawner.set_zygote_ready(zygote, &mut self.children) {
                    self.start_workers();
                }
            }
            Notice::Forked { assignment, pid } => {
                self.spawner.on_forked(zygote, (assignment, pid), &self.server, &mut self.children);
            }
            Notice::NotForked { assignment } => self.on_not_forked(assignment),
        }
    }

    fn on_not_forked(&mut self, assignment: Assignment) {
        let Some(child) = self.children.take_assigned(assignment) else { return };
        let now = clock::monotonic_us();
        self.server.slot(&child).unassign();
        self.recycler.forget(child.slot, now);
        self.children.start_at(Role::Worker, child.id, now + RETRY_US);
    }

    // ── ends ──

    fn on_ended(&mut self, child: &Child, ended: Ended) {
        if child.role == Role::Alarm {
            return self.services.alarms.on_ended(child, ended);
        }
        // What it had not written yet.
        log::inherit(&self.server.setup.log_buffers.slot(child.slot));
        let consequence = match child.role {
            Role::Worker => self.on_worker_ended(child, ended),
            _ => self.on_zygote_ended(child, ended),
        };
        match consequence {
            Consequence::Nothing => {}
            Consequence::Restart(wait) => {
                let at_us = clock::monotonic_us() + wait.as_micros() as u64;
                self.children.start_at(child.role, child.id, at_us);
            }
            Consequence::Failed(why, status) => self.fail_generation(&why, status),
            Consequence::ZygoteLost(why) => {
                log::say(&format!("{why}; it is loaded again when a worker has to be replaced"));
                generation::start_missing_later(&self.server, &mut self.children, clock::monotonic_us());
            }
        }
    }

    fn on_worker_ended(&mut self, child: &Child, ended: Ended) -> Consequence {
        let now = clock::monotonic_us();
        let is_stopping = self.server.phase == Phase::Stopping;
        self.services.dumps.forget(child.slot);
        generation::vacate(&self.server, child, ended, is_stopping);
        self.services.messages.empty_mailbox(child.slot, &self.server);
        self.recycler.forget(child.slot, now);
        match is_stopping {
            true => Consequence::Nothing,
            false => generation::after_worker(&self.server, &mut self.children, child, ended, now),
        }
    }

    fn on_zygote_ended(&mut self, child: &Child, ended: Ended) -> Consequence {
        for slot in self.spawner.remove_zygote(child, &self.server, &mut self.children) {
            self.recycler.forget(slot, clock::monotonic_us());
        }
        generation::after_zygote(&self.server, child, ended)
    }

    // ── stop ──

    fn stop(&mut self, cause: &str) {
        if self.server.phase == Phase::Stopping {
            let since_us = self.services.messages.closing.since_us();
            if clock::monotonic_us().saturating_sub(since_us) >= SAME_US {
                log::say(&format!("{cause} again: stopping at once"));
                self.children.iter_mut().for_each(Child::kill);
            }
            return;
        }
        self.begin_stop(0);
        // Whoever reads this may rely on it.
        log::say(&format!(
            "{cause}: stopping; requests in flight have {} s (worker-reload-mercy)",
            self.server.mercy().as_secs()
        ));
    }

    /// Lets every child finish and leaves with this status.
    fn begin_stop(&mut self, status: i32) {
        self.readiness.manager.tell("STOPPING=1");
        self.server.phase = Phase::Stopping;
        self.exit_status = status;
        self.children.cancel(Role::Worker);
        self.spawner.end_zygotes(&mut self.children);
        self.services.messages.begin_closing(clock::monotonic_us(), &self.server);
        generation::retire_all(&self.server, &mut self.children);
    }
}

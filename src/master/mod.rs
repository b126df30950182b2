//! Layer 6: the master. One thread, no application code, never a request: it starts workers, watches them, and sees
//! them off.

pub mod bind;
pub mod child;
mod dump;
mod generation;
mod harakiri;
mod messages;
pub mod notify;
mod pidfile;
mod reap;
mod recycle;
pub mod reread;
mod spawn;
pub mod start;
mod status;
mod stopping;
mod watch;
pub mod zygote;

use crate::base::reason::reason;
use crate::config::Settings;
use crate::log;
use crate::log::lines::Lines;
use crate::policy::backoff::Backoff;
use crate::shm::scoreboard::{Command, Scoreboard, Stage};
use crate::sys::epoll::{Epoll, Events};
use crate::sys::{clock, io, signal};
use crate::worker::application::Application;
use crate::worker::handoff::mailbox::Message;
use child::{Child, Leaving};
use dump::Dumps;
use notify::Notifier;
use pidfile::PidFile;
use reread::Reread;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::AcqRel;
use std::time::Duration;
use stopping::Closing;
use watch::Touches;
use zygote::Zygote;

/// What the server is doing, for the log, for stats and for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The first generation is not complete yet.
    Starting,
    Serving,
    /// A new generation is on its way.
    Reloading,
    Stopping,
}

/// Tokens of the master's epoll.
const WAKE: u64 = 1;
const DUMP: u64 = 2;
const ZYGOTE: u64 = 3;

/// Signals that the master acts on.
const SIGNALS: [i32; 8] = [
    signal::SIGCHLD,
    signal::SIGHUP,
    signal::SIGINT,
    signal::SIGTERM,
    signal::SIGQUIT,
    signal::SIGUSR1,
    signal::SIGUSR2,
    signal::SIGTSTP,
];

/// A worker that is to be started, and when.
#[derive(Clone, Copy, Debug)]
struct Due {
    id: u32,
    at_us: u64,
}

pub struct Master<'h, R: Application> {
    runtime: &'h mut R,
    settings: Arc<Settings>,
    scoreboard: Scoreboard,
    lines: Lines,
    base: crate::worker::setup::Setup,
    /// Ends that only the master may hold: children close them.
    alive: OwnedFd,
    epoll: Epoll,
    wake: OwnedFd,
    dumps: Dumps,
    notifier: Notifier,
    ready_pipe: Option<OwnedFd>,
    phase: Phase,
    paused: bool,
    /// The newest generation, complete or not.
    generation: u64,
    zygote: Option<Zygote>,
    /// Templates of earlier generations on their way out.
    old_zygotes: Vec<Zygote>,
    children: Vec<Child>,
    due: Vec<Due>,
    backoffs: Vec<Backoff>,
    /// The cause of a reload that follows the one on its way.
    reload_again: Option<String>,
    reread: Reread,
    /// The settings of the generation that serves.
    proven: Arc<Settings>,
    touches: Touches,
    closing: Closing,
    /// Connections whose worker is gone and that no other has had room for.
    undelivered: Vec<Message>,
    /// Pid files that are written when the server is ready.
    pidfiles: Vec<PidFile>,
    started_us: u64,
    last_tick_us: u64,
    last_second_us: u64,
    exit_status: i32,
}

impl<R: Application> Master<'_, R> {
    /// Runs until every child is gone; returns the exit status.
    fn run(&mut self) -> i32 {
        self.begin_generation();
        let mut events = Events::with_capacity(16);
        while !self.is_done() {
            let timeout = self.timeout();
            let waited = self.runtime.wait(&self.epoll, &mut events, Some(timeout));
            if waited.is_ok() && events.iter().any(|(token, _)| token == WAKE) {
                self.empty_wake_pipe();
            }
            self.turn();
        }
        self.exit_status
    }

    /// One turn of the loop: news first, then the dead, then signals, then time.
    fn turn(&mut self) {
        self.hear_zygote();
        self.reap();
        self.obey_signals();
        self.look_at_scoreboard();
        self.tick();
        self.close_listeners();
        self.deliver_messages();
        self.spawn_due();
    }

    fn is_done(&self) -> bool {
        self.phase == Phase::Stopping
            && self.children.is_empty()
            && self.zygote.is_none()
            && self.old_zygotes.is_empty()
    }

    fn empty_wake_pipe(&self) {
        let mut buffer = [0; 256];
        while io::read(self.wake.as_fd(), &mut buffer).is_ok_and(|got| got == buffer.len()) {}
    }

    /// Until the nearest deadline, at most a second.
    fn timeout(&self) -> Duration {
        let now = clock::monotonic_us();
        let tick = Duration::from_micros(self.tick_us());
        let look =
            [Some(tick), self.closing.look(), self.messages_wait(), log::pause()].into_iter().flatten().min();
        let mut until = now + look.unwrap_or(tick).as_micros() as u64;
        let kills =
            self.children.iter().filter(|child| child.pid.is_some()).filter_map(|child| child.kill_at);
        let zygotes = self.zygote.iter().chain(&self.old_zygotes).filter_map(|zygote| zygote.kill_at);
        for at in
            kills.chain(zygotes).chain(self.due.iter().map(|due| due.at_us)).chain(self.dumps.deadline())
        {
            until = until.min(at);
        }
        Duration::from_micros(until.saturating_sub(now))
    }

    /// How often deadlines on the scoreboard are looked at: often enough that harakiri is not late by more than a quarter.
    fn tick_us(&self) -> u64 {
        let quarter = self.settings.harakiri.timeout.map_or(1_000_000, |time| time.as_micros() as u64 / 4);
        quarter.clamp(50_000, 1_000_000)
    }

    // ── signals ──

    fn obey_signals(&mut self) {
        let noted = signal::take_noted();
        let is = |signal| signal::is_in(noted, signal);
        if is(signal::SIGINT) || is(signal::SIGTERM) || is(signal::SIGQUIT) {
            self.stop(noted);
        }
        if is(signal::SIGHUP) {
            self.reload("SIGHUP");
        }
        if is(signal::SIGTSTP) {
            self.toggle_pause();
        }
        if is(signal::SIGUSR1) {
            self.log_status();
        }
        if is(signal::SIGUSR2) {
            self.dump_all();
        }
    }

    fn toggle_pause(&mut self) {
        self.paused = !self.paused;
        let command = if self.paused { Command::Pause } else { Command::Serve };
        for child in self.children.iter().filter(|child| child.leaving.is_none()) {
            child.on(&self.scoreboard).set_command(command);
            child.signal(signal::wake());
        }
        log::say(if self.paused { "SIGTSTP: paused; workers accept nothing" } else { "SIGTSTP: resumed" });
    }

    /// Opens the log's file anew: here, and in every worker at its next step.
    fn reopen_log(&mut self, cause: &str) {
        let Some(path) = self.base.log_file.clone() else {
            return log::say(&format!("{cause}: the log is no file of the server's; it stays as it is"));
        };
        if let Err(error) = log::open(&path, false) {
            return log::say(&format!("{cause}: cannot open {} anew: {}", path.display(), reason(error)));
        }
        self.base.log_epoch = self.scoreboard.log_epoch().fetch_add(1, AcqRel) + 1;
        for child in self.children.iter().filter(|child| child.is_up()) {
            child.signal(signal::wake());
        }
        // Whoever reads this may rely on it.
        log::say(&format!("{cause}: {} opened anew", path.display()));
    }

    // ── workers on their way out ──

    /// Tells a worker to finish what it has begun and leave. One that has not begun to serve is killed.
    fn retire(&mut self, index: usize, why: Leaving) {
        let now = clock::monotonic_us();
        let mercy = self.settings.supervise.worker_reload_mercy.as_micros() as u64;
        let child = &mut self.children[index];
        if child.leaving.is_some_and(|leaving| leaving == Leaving::Harakiri) {
            return;
        }
        child.leaving = Some(why);
        let slot = child.on(&self.scoreboard);
        let command = if why == Leaving::Stopped { Command::Drain } else { Command::Retire };
        if slot.stage() == Stage::Booting {
            // Before it is given up: one that gets ready in this moment leaves as any other.
            slot.set_command(command);
            if slot.end_boot(Stage::Gone) {
                child.kill_at = Some(now);
                return;
            }
        }
        child.kill_at = Some(now + mercy);
        // First what the application's own handlers wait for: once the worker knows its command it may be gone.
        self.forward_signal(index, why);
        let child = &self.children[index];
        slot.set_command(command);
        child.signal(signal::wake());
    }

    /// An application with handlers of its own for TERM or HUP hears of it.
    fn forward_signal(&self, index: usize, why: Leaving) {
        let child = &self.children[index];
        let signal = if why == Leaving::Reloaded { signal::SIGHUP } else { signal::SIGTERM };
        let handled = child.on(&self.scoreboard).app_signals().load(std::sync::atomic::Ordering::Relaxed);
        if signal::is_in(handled, signal) {
            child.signal(signal);
        }
    }

    // ── time ──

    /// What costs a system call or more for each worker or file, and may wait.
    fn tick_each_second(&mut self, now: u64) {
        // The loop wakes once a second at least, now and then a little early.
        if now.saturating_sub(self.last_second_us) < 900_000 {
            return;
        }
        self.last_second_us = now;
        self.watch_memory(now);
        self.watch_files();
    }

    fn tick(&mut self) {
        let now = clock::monotonic_us();
        self.kill_overdue(now);
        self.turn_dumps(now);
        log::flush();
        self.tick_each_second(now);
        // After a suspend every deadline looks missed: let one round pass.
        let was_away = now.saturating_sub(self.last_tick_us) > 5_000_000;
        self.last_tick_us = now;
        if !was_away {
            self.check_harakiri(now);
        }
    }

    fn kill_overdue(&mut self, now: u64) {
        for child in self.children.iter_mut().filter(|child| child.kill_at.is_some_and(|at| at <= now)) {
            if child.pid.is_none() {
                continue;
            }
            child.kill_at = Some(now + 1_000_000);
            match child.leaving {
                // Ready in this moment: the next turn sees it.
                None if !child.on(&self.scoreboard).end_boot(Stage::Gone) => continue,
                None => {
                    log::say(&format!("{} did not get ready within boot-timeout; killed", child.name()));
                    child.leaving = Some(Leaving::Discarded);
                }
                Some(Leaving::Reloaded | Leaving::Recycled | Leaving::Stopped) if child.was_ready => {
                    log::say(&format!(
                        "{} is still busy after worker-reload-mercy = {} s; killed",
                        child.name(),
                        self.settings.supervise.worker_reload_mercy.as_secs()
                    ));
                }
                Some(_) => {}
            }
            child.kill();
        }
        for zygote in self.zygote.iter_mut().chain(&mut self.old_zygotes) {
            if zygote.kill_at.is_some_and(|at| at <= now) {
                zygote.kill_at = Some(now + 1_000_000);
                let _ = crate::sys::process::kill(zygote.pid, signal::SIGKILL);
            }
        }
    }

    /// What workers have written on the scoreboard since the last turn.
    fn look_at_scoreboard(&mut self) {
        for index in 0..self.children.len() {
            let child = &mut self.children[index];
            // Not before its pid is known: who is ready is signalled.
            let is_known = child.pid.is_some() && child.is_ready_on(&self.scoreboard);
            if !child.was_ready && child.leaving.is_none() && is_known {
                child.was_ready = true;
                child.kill_at = None;
                self.worker_is_ready(index);
            }
        }
        self.hear_of_changes();
        self.recycle();
    }
}

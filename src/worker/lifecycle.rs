//! How a worker obeys the master, how it leaves without losing a connection, and what it does without a master.

use super::conns::{Conn, Waits};
use super::core::{Core, Step};
use super::handoff::encode::is_movable;
use super::handoff::{last_look, mailbox};
use super::request::Taken;
use super::waiting::has_begun;
use super::{Setup, Shared};
use crate::log;
use crate::shm::scoreboard::{Command, RestartRequest, Stage};
use crate::sys::{clock, epoll, listeners, orphan, process};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use std::time::Duration;

/// How long a worker that leaves waits for the next request of a client that no other worker can take over (TLS), until it
/// closes the connection. Each answer meanwhile says `Connection: close`.
const SILENT_US: u64 = 5_000_000;
/// How long a stopping worker waits for the next request of a client that has a connection open: it may be on its way.
const NEXT_US: u64 = 100_000;
/// How long a stopping worker waits for the first byte of a new client.
const FIRST_BYTE_US: u64 = 1_000_000;
/// How long a stopping worker takes what waits in the backlog of a listener that stays open for the next server.
const DRAIN_US: u64 = 500_000;
/// How often connections are passed on: those who take them may have had no room.
const PASS_ON_US: u64 = 5_000;
const MAX_PAUSE_US: u64 = 80_000;

/// How long a thread that cannot wait for events does nothing instead.
const BROKEN_WAIT: Duration = Duration::from_millis(50);

/// More often than that the pipe does not tell of an end that comes.
const MAX_FALSE_ALARMS: u64 = 1_000;

/// What a worker remembers while it leaves.
#[derive(Debug, Default)]
pub(in crate::worker) struct Leaving {
    /// When it began to leave.
    since_us: AtomicU64,
    /// When its connections are looked over next, and how long after the last time.
    next_us: AtomicU64,
    pause_us: AtomicU64,
    /// It cannot wait for connections any more.
    broken: AtomicBool,
    /// How often the pipe to the master has told of its end while the master lived.
    false_alarms: AtomicU64,
}

/// The master's end of the pipe is closed.
fn is_alone(alive: impl AsFd) -> bool {
    epoll::wait_one(alive, false, Duration::ZERO).unwrap_or(false)
}

pub fn has_lost_its_master(setup: &Setup) -> bool {
    is_alone(&*setup.alive)
}

impl Shared {
    /// The command that holds for this process.
    #[inline]
    pub fn command(&self) -> Command {
        self.slot.command_for(self.assignment)
    }

    /// Is this the process that the master knows in this slot? A zygote that was killed may have left another.
    pub fn is_assigned(&self) -> bool {
        self.slot.is_assigned(self.assignment)
    }

    /// Asks the master for a successor, once; the worker serves until that one is ready.
    pub fn request_restart(&self, why: RestartRequest) {
        if self.slot.restart_request() == RestartRequest::None {
            self.slot.set_restart_request(why);
            self.tell_master();
        }
    }

    /// The master is about to kill it: nobody who comes now would get an answer.
    pub(super) fn is_being_killed(&self) -> bool {
        self.command() == Command::Pause && self.slot.rescue().load(Acquire) != 0
    }

    pub fn has_lost_its_master(&self) -> bool {
        // By its pid: the application may have closed the pipe, or put another file in its place.
        process::parent() != self.master
    }

    /// The pipe to the master says that it has ended, a moment before the kernel gives this process another parent.
    pub(super) fn on_master_lost(&self) {
        if self.has_lost_its_master() {
            return self.set_orphaned();
        }
        epoll::sleep(Duration::from_millis(1));
        if self.leaving.false_alarms.fetch_add(1, Relaxed) > MAX_FALSE_ALARMS {
            self.give_up("the application has closed descriptors of the server");
        }
    }

    /// The master is dead: nobody takes over what this worker leaves. With no master the worker is the only writer of its
    /// command.
    pub fn set_orphaned(&self) {
        // The kernel closes a dead process's files before it signals its children: who connects after this worker's last
        // look at the backlog would be reset.
        listeners::refuse_new();
        if self.is_assigned() && self.command() != Command::Drain {
            log::say(&format!(
                "worker {}: the master is gone; leaving when its requests are answered",
                self.id
            ));
            self.slot.set_command(Command::Drain);
        }
        self.set_listening(false);
    }

    /// The worker is ready: the master may count on it. `false`: the master does not know it.
    pub fn announce(&self) -> bool {
        if !self.is_assigned() {
            return false;
        }
        let least = (0..self.scoreboard.slots())
            .map(|slot| self.scoreboard.worker(slot))
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
    pub(super) fn give_up(&self, why: &str) {
        if !self.leaving.broken.swap(true, Relaxed) {
            log::say(&format!("worker {}: {why}; it takes no more connections and is replaced", self.id));
            // A thread that waits in an epoll whose number is closed would be woken for connections in place of another
            // worker, and could not accept them.
            self.wake_all();
            self.request_restart(RestartRequest::Broken);
        }
    }

    /// A wait for events has failed: not because of a signal, and so it will again.
    pub(super) fn cannot_wait(&self, error: std::io::Error) {
        self.give_up(&format!("cannot wait for connections: {}", crate::base::reason::reason(error)));
        epoll::sleep(BROKEN_WAIT);
    }

    pub fn is_broken(&self) -> bool {
        self.leaving.broken.load(Relaxed)
    }

    fn set_stage(&self, stage: Stage) {
        if self.is_assigned() {
            self.slot.set_stage(stage);
        }
    }

    /// Passes on or closes the connections that no request runs on, as far as that is possible now. Those that are
    /// returned have something to be read.
    fn clear_table(&self, command: Command) -> Vec<Conn> {
        self.set_listening(false);
        while let Some(conn) = self.take_given() {
            self.keep(conn);
        }
        let now = clock::monotonic_us();
        if now < self.leaving.next_us.load(Relaxed) {
            return Vec::new();
        }
        let _ = self.leaving.since_us.compare_exchange(0, now, Relaxed, Relaxed);
        let passes_on = command == Command::Retire && self.has_successor();
        let waiting = self.conns().take_waiting();
        let (all, mut begun, mut left) = (waiting.len(), Vec::new(), 0);
        for conn in waiting {
            let kept = if passes_on { self.give_to_successor(conn) } else { Some(conn) };
            if let Some(conn) = kept {
                left += 1;
                begun.extend(self.settle(conn, now, passes_on));
            }
        }
        self.plan_next_look(now, left < all);
        begun
    }

    /// Thousands that cannot be passed on are looked over less and less often.
    fn plan_next_look(&self, now: u64, has_moved: bool) {
        let last = self.leaving.pause_us.load(Relaxed);
        let pause = if has_moved { PASS_ON_US } else { (2 * last).clamp(PASS_ON_US, MAX_PAUSE_US) };
        self.leaving.pause_us.store(pause, Relaxed);
        self.leaving.next_us.store(now + pause, Relaxed);
    }

    /// The same while every thread runs a request: nobody waits for the end of it to be passed on.
    pub(super) fn clear_table_unattended(&self) {
        let command = self.command();
        if matches!(command, Command::Retire | Command::Drain) {
            self.clear_table(command).into_iter().for_each(|conn| self.leave_to_core(conn));
        }
    }

    /// Gives a connection to a worker that stays, or hands it back.
    fn give_to_successor(&self, mut conn: Conn) -> Option<Conn> {
        if !is_movable(&conn) {
            return Some(conn);
        }
        let Some(slot) = self.successor() else { return Some(conn) };
        let key = conn.key;
        if let Some(client) = conn.client.as_ref().filter(|_| conn.events != 0) {
            let _ = self.epoll.remove(client);
            conn.events = 0;
        }
        let kept = self.give(conn, slot);
        if kept.is_none() {
            // Not before: a worker that leaves waits as long as a key is taken.
            key.into_iter().for_each(|key| self.conns().release(key));
        }
        kept
    }

    /// What becomes of a connection that has to end here. `Some`: it has something to be read first.
    fn settle(&self, mut conn: Conn, now: u64, passes_on: bool) -> Option<Conn> {
        if has_begun(&mut conn) {
            // A part of a request that was read already waits for the rest, within its time.
            let is_here = conn.buf.is_empty() || conn.waits == Waits::Idle || self.has_bytes(&mut conn);
            if is_here {
                return Some(conn);
            }
            self.keep(conn);
            return None;
        }
        let since = self.leaving.since_us.load(Relaxed).max(conn.since_us);
        let patience = match conn.waits {
            // Whoever takes it has no room at the moment, or is on pause.
            _ if passes_on && is_movable(&conn) => u64::MAX,
            _ if passes_on => SILENT_US,
            Waits::Head => FIRST_BYTE_US,
            _ => NEXT_US,
        };
        if now.saturating_sub(since) < patience {
            self.keep(conn)
        } else {
            self.forget(&conn)
        }
        None
    }

    /// When the server stops nobody but its last workers answers what a frozen one has been given, and what the master still
    /// has in its hands: it goes from a mailbox to the master and into another mailbox.
    fn is_needed(&self, command: Command) -> bool {
        if command != Command::Drain || self.is_broken() {
            return false;
        }
        let is_held = || !orphan::is_orphaned() && self.scoreboard.held().load(SeqCst) > 0;
        self.take_from_others() || is_held() || self.take_from_others()
    }

    fn take_from_others(&self) -> bool {
        let has_unread = |slot: &usize| mailbox::unread_for(self.scoreboard, *slot, 0).is_some();
        let others = (0..self.mailboxes.len()).filter(|&slot| slot != self.slot_index);
        let taken = others.filter(has_unread).find_map(|slot| self.take_from(slot));
        taken.map(|conn| self.keep(conn)).is_some()
    }

    fn has_bytes(&self, conn: &mut Conn) -> bool {
        conn.client
            .as_mut()
            .is_some_and(|client| client.has_buffered_input() || crate::sys::io::has_bytes(client.as_fd()))
    }
}

impl Core {
    /// One step towards the end. `None`: the caller waits once for what comes, or reads on.
    pub(super) fn wind_down(&mut self, command: Command) -> Option<Step> {
        if command == Command::Drain && self.drain_backlog() {
            return Some(Step::Request);
        }
        if orphan::is_orphaned() {
            // The port is free for another server.
            listeners::close_all();
        }
        self.hot = None;
        if self.has_left_nothing(command) && !self.shared.is_needed(command) && self.is_given_nothing(command)
        {
            self.shared.wake_all();
            return Some(Step::Leave);
        }
        None
    }

    fn has_left_nothing(&mut self, command: Command) -> bool {
        self.again.extend(self.shared.clear_table(command));
        self.again.is_empty() && (self.shared.conns().is_empty() || self.shared.is_broken())
    }

    /// The last look: who gives this worker a connection from here on sees that it leaves, and takes it back.
    fn is_given_nothing(&mut self, command: Command) -> bool {
        let shared = self.shared.clone();
        shared.leaving.next_us.store(0, Relaxed);
        let is_over = || self.has_left_nothing(command) && !shared.is_needed(command);
        let is_over = last_look::leave(|| shared.set_stage(Stage::Retiring), is_over);
        if !is_over {
            shared.set_stage(Stage::Ready);
        }
        is_over
    }

    /// Takes what was in the backlog when the server began to stop: closing the listeners would reset it. The master lets
    /// nobody else in; whoever made an inherited socket does, so that there this is bounded in time.
    fn drain_backlog(&mut self) -> bool {
        let now = clock::monotonic_us();
        let until = *self.drain_until_us.get_or_insert(now + DRAIN_US);
        let shared = self.shared.clone();
        for (index, bound) in shared.listeners.iter().enumerate() {
            self.claim();
            // One that is accepted may not need the application, and others wait behind it.
            while (!bound.inherited || now < until) && epoll::is_readable(&bound.fd) {
                match self.accept_one(index) {
                    Some(Taken::Request) => return true,
                    Some(Taken::Nothing) => self.claim(),
                    None => break,
                }
            }
        }
        self.unclaim();
        false
    }
}

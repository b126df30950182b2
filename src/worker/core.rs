//! One core: a thread that takes a request, lets the application answer it, and sees it off. Python comes in between
//! [`Core::next_step`] and the next call of it.

use super::Shared;
use super::conns::Conn;
use super::http::state::Http;
use super::intake::{self, Arrival, Intake};
use super::listening;
use super::request::mounts::Mounts;
use super::request::vars::Request;
use super::request::{Taken, lifecycle};
use super::response::Exchange;
use super::response::wait::{Guard, SharedExchange};
use super::waiting::SWEEP_US;
use crate::config::Protocol;
use crate::log;
use crate::net::client::Client;
use crate::proto::uwsgi;
use crate::shm::scoreboard::{Command, CoreSlot};
use crate::sys::{clock, epoll, orphan, process, signal, waiter};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering::*;
use std::time::Duration;

/// What the caller of [`Core::next_step`] is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A request is in [`Core::request`] and its exchange has begun.
    Request,
    /// A signal came: the main thread lets Python run its handlers.
    Interrupted,
    /// The worker is done.
    Leave,
}

/// Connections in a row from one listener before the others get a look.
const STREAK: u32 = 16;
/// The longest that a thread goes straight to sleep after it has looked for a waiting connection in vain.
const MAX_SKIPS: u32 = 32;
/// How often a worker that leaves looks over what is left.
const LEAVING: Duration = Duration::from_millis(10);
/// How long a thread looks away while the table is full.
const CROWDED: Duration = Duration::from_millis(20);

pub struct Core {
    pub shared: Arc<Shared>,
    pub index: usize,
    pub slot: CoreSlot,
    pub request: Request,
    /// The app that answers, by its place in load order.
    pub app: Option<usize>,
    pub exchange: Arc<SharedExchange>,
    pub(super) mounts: Arc<Mounts>,
    pub(super) intake: Intake,
    pub(super) http: Http,
    /// The HTTP connection of the running request.
    pub(super) current: Option<Conn>,
    /// Connections that have more to be read, of which the socket knows nothing.
    pub(super) again: VecDeque<Conn>,
    /// How often in a row such a connection went first.
    pipelined: u32,
    pub(super) line: Vec<u8>,
    /// Of the file that a request asks for.
    pub(super) path: Vec<u8>,
    pub(super) started_us: u64,
    pub(super) running: bool,
    /// The listener to look at first: that of the last request.
    pub(super) hot: Option<usize>,
    streak: u32,
    /// Looking for the next connection before sleeping costs a system call when there is none: after looks in vain,
    /// so many requests are ended without one.
    skips: u32,
    next_skips: u32,
    /// With several threads a process takes a request only when it says so on the scoreboard first.
    pub(super) counts_in_flight: bool,
    /// Until then no time is spent on waiting for the bytes of a new connection.
    pub(super) impatient_until_us: u64,
    pub(super) drain_until_us: Option<u64>,
    pub(super) claimed: bool,
}

impl Core {
    pub fn new(shared: Arc<Shared>, mounts: Arc<Mounts>, index: usize) -> std::io::Result<Core> {
        let waiter = waiter::of_core(index)?;
        shared.enlist();
        let slot = shared.scoreboard.core(shared.slot_index, index);
        slot.end();
        slot.tid().store(process::thread_id() as u64, Relaxed);
        let mut request = Request::default();
        let exchange = Exchange::new(slot, shared.slot, shared.settings.clone());
        let exchange = Arc::new(SharedExchange::new(exchange));
        shared.show_exchange(index, &exchange);
        request.text.reserve(shared.settings.requests.buffer_size.min(16 * 1024) + uwsgi::HEAD_LEN);
        Ok(Core {
            index,
            slot,
            request,
            app: None,
            exchange,
            mounts,
            intake: Intake::new(&shared, waiter),
            http: Http::new(&shared.settings),
            current: None,
            again: VecDeque::new(),
            pipelined: 0,
            line: Vec::with_capacity(1024),
            path: Vec::new(),
            started_us: 0,
            running: false,
            hot: None,
            streak: 0,
            skips: 0,
            next_skips: 1,
            counts_in_flight: shared.scoreboard.threads() > 1,
            impatient_until_us: 0,
            claimed: false,
            drain_until_us: None,
            shared,
        })
    }

    /// Does the request name code of its own for a mountpoint that no configured application has?
    pub fn is_dynamic(&self) -> bool {
        self.shared.settings.apps.dynamic_apps
            && self.request.wants_code()
            && (self.request.app_key().is_empty() || self.mounts.exact(&self.request).is_none())
    }

    /// The exchange of the running request.
    pub fn lock(&self) -> Guard<'_> {
        self.exchange.lock()
    }

    /// Sees the last request off and gets the next. Not while attached to the interpreter.
    pub fn next_step(&mut self) -> Step {
        lifecycle::finish(self);
        // Under load every wait brings a request.
        self.shared.sweep(self.started_us);
        loop {
            // More than once where the server answers by itself.
            while !self.again.is_empty() {
                if let Some(step) = self.read_again() {
                    return step;
                }
            }
            if let Some(step) = self.turn() {
                return step;
            }
        }
    }

    /// Obeys the command that holds, and waits once for what comes.
    fn turn(&mut self) -> Option<Step> {
        self.shared.follow_log();
        if orphan::is_orphaned() {
            self.shared.set_orphaned();
        }
        match self.shared.command() {
            Command::Serve => self.shared.set_listening(!self.shared.is_table_full()),
            Command::Pause => return self.wait_paused(),
            command => {
                if let Some(step) = self.wind_down(command) {
                    return Some(step);
                }
                if !self.again.is_empty() {
                    return None;
                }
                if !self.shared.has_private_epoll() {
                    // In the lines there are only new connections; the standby poller sees to what is left.
                    return self.wait_paused();
                }
            }
        }
        if self.may_wait_in_accept() {
            // One that came while the application ran has interrupted no wait.
            return if signal::has_noted() { Some(Step::Interrupted) } else { self.wait_in_accept() };
        }
        if let Some(listener) = self.hot.take()
            && self.accept_hot(listener)
        {
            return Some(Step::Request);
        }
        let arrival = self.wait(false);
        let step = self.handle(arrival);
        if step.is_none() {
            self.shared.sweep(clock::monotonic_us());
        }
        step
    }

    /// The next request of a connection that has sent several at once; now and then others get a look first.
    fn read_again(&mut self) -> Option<Step> {
        self.pipelined += 1;
        if self.pipelined > STREAK {
            self.pipelined = 0;
            let arrival = self.intake.wait(&self.shared, false, Some(Duration::ZERO));
            if let Some(step) = self.handle(arrival) {
                return Some(step);
            }
            self.shared.sweep(clock::monotonic_us());
        }
        let conn = self.again.pop_front()?;
        self.read(conn).is_request().then_some(Step::Request)
    }

    fn handle(&mut self, arrival: Arrival) -> Option<Step> {
        match arrival {
            // In the lines the listener cannot be passed over until there is room: it would wake its threads all the time.
            Arrival::Listener(_) if !self.shared.has_private_epoll() && self.shared.is_table_full() => {
                self.shared.log.flush();
                self.intake.doze(&self.shared, CROWDED);
            }
            Arrival::Listener(listener) => {
                if !self.claim_alone() {
                    return self.share(listener).is_request().then_some(Step::Request);
                }
                if self.accept(listener).is_request() {
                    self.intake.step_back(&self.shared, listener);
                    return Some(Step::Request);
                }
                self.unclaim();
            }
            Arrival::Connection(key) => {
                let conn = self.shared.conns().take(key as usize);
                if conn.is_some_and(|conn| self.read(conn).is_request()) {
                    return Some(Step::Request);
                }
            }
            Arrival::Given => {
                let conn = self.shared.take_given();
                if conn.is_some_and(|conn| self.read(conn).is_request()) {
                    return Some(Step::Request);
                }
            }
            Arrival::TimedOut => self.shared.log.flush(),
            Arrival::Orphaned => self.shared.on_master_lost(),
            Arrival::Interrupted => return Some(Step::Interrupted),
            Arrival::Failed(error) => self.shared.cannot_wait(error),
        }
        None
    }

    /// Looks for a connection without having been woken for one, as long as that mostly finds one.
    fn accept_hot(&mut self, listener: usize) -> bool {
        if self.skips > 0 {
            self.skips -= 1;
            return false;
        }
        if !self.claim_alone() {
            return false;
        }
        let found = self.accept(listener).is_request();
        if !found {
            self.unclaim();
        }
        self.next_skips = if found { 1 } else { (2 * self.next_skips).min(MAX_SKIPS) };
        self.skips = if found { 0 } else { self.next_skips };
        found
    }

    /// Nothing but a new connection is of interest: no connection that waits, no command. Request lines wait for company as
    /// long as the wait lasts.
    fn may_wait_in_accept(&self) -> bool {
        self.shared.waits_in_accept
            && self.shared.command() == Command::Serve
            && self.shared.conns().is_empty()
    }

    fn wait_in_accept(&mut self) -> Option<Step> {
        match intake::wait_accept(&self.shared.listeners[0]) {
            Ok(client) => {
                let conn = Conn::new(Client::plain(client), Protocol::Uwsgi, 0, clock::monotonic_us());
                self.read(conn).is_request().then_some(Step::Request)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Some(Step::Interrupted),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.shared.log.flush();
                if self.shared.has_lost_its_master() {
                    self.shared.set_orphaned();
                }
                // A signal that came just before the wait has not interrupted it.
                Some(Step::Interrupted)
            }
            Err(error) => {
                if self.shared.has_lost_its_master() {
                    self.shared.set_orphaned();
                }
                self.shared.accept_failed(&error);
                epoll::sleep(Duration::from_millis(10));
                None
            }
        }
    }

    fn wait(&mut self, paused: bool) -> Arrival {
        // Lines are written when there is time for it, at the latest when they have waited a little.
        let pause = self.shared.log.pause();
        let timeout = match pause {
            Some(log::IDLE) => pause,
            _ => [pause, self.next_look()].into_iter().flatten().min(),
        };
        self.intake.wait(&self.shared, paused, timeout)
    }

    /// When there may be something to do of which no event tells.
    fn next_look(&self) -> Option<Duration> {
        if matches!(self.shared.command(), Command::Retire | Command::Drain) {
            Some(LEAVING)
        } else if self.shared.has_stopped_listening() && self.shared.command().serves() {
            Some(listening::RETRY)
        } else if self.shared.has_private_epoll() && !self.shared.conns().is_empty() {
            Some(Duration::from_micros(SWEEP_US))
        } else {
            None
        }
    }

    /// On pause: wait for another command.
    fn wait_paused(&mut self) -> Option<Step> {
        self.shared.set_listening(false);
        self.shared.notify_standby();
        match self.wait(true) {
            Arrival::Orphaned => self.shared.on_master_lost(),
            Arrival::Interrupted => return Some(Step::Interrupted),
            Arrival::Failed(error) => self.shared.cannot_wait(error),
            _ => self.shared.log.flush(),
        }
        None
    }

    /// Accepts from a listener and reads the request.
    pub(super) fn accept(&mut self, listener: usize) -> Taken {
        self.accept_one(listener).unwrap_or(Taken::Nothing)
    }

    /// The same; `None`: there was nothing to be accepted.
    pub(super) fn accept_one(&mut self, listener: usize) -> Option<Taken> {
        let shared = self.shared.clone();
        if shared.is_table_full() || shared.is_being_killed() {
            return None;
        }
        let bound = shared.listeners.get(listener)?;
        let (client, peer) = match intake::accept(bound) {
            Ok(accepted) => accepted,
            Err(error) => {
                self.streak = 0;
                shared.accept_failed(&error);
                return None;
            }
        };
        self.streak += 1;
        if self.streak < STREAK && !shared.waits_in_accept {
            self.hot = Some(listener);
        } else {
            self.streak = 0;
        }
        let client = shared.client(client, listener);
        Some(self.read(Conn::accepted(client, bound, listener, peer, &shared.settings.http)))
    }
}

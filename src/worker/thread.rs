//! A thread of a worker: it takes connections from the acceptor and the table, has its core read them until there is a
//! request to run, and obeys the worker's commands. Python runs between [`Thread::next`] and the next call of it.

use super::accept::intake::{Arrival, Intake};
use super::accept::trouble;
use super::begin::{self, Look};
use super::conn::table::SWEEP_US;
use super::conn::{Conn, upkeep};
use super::core::Core;
use super::handoff::{give, service, work};
use super::incoming::{self, Accepted, Alone};
use super::request::lifecycle as request;
use super::shared::Shared;
use super::{dispatch, lifecycle};
use crate::log;
use crate::shm::scoreboard::{Command, RestartRequest};
use crate::sys::{clock, crash, listeners, orphan, signal, waiter};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::*;
use std::time::Duration;

/// What the caller of [`Thread::next`] is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// The core has a request, whose exchange has begun.
    Run,
    /// A signal came: the main thread lets Python run its handlers.
    Signal,
    /// The worker is done.
    Leave,
}

/// Requests in a row from connections that have sent several at once, before the acceptor is asked again.
const STREAK: u32 = 16;
/// Requests in a row of those that were held, before the acceptor is asked again: new clients wait in the backlog.
const HELD_STREAK: u32 = 4;
/// How often a worker that leaves looks at its remaining connections.
const LEAVING: Duration = Duration::from_millis(10);
/// How long a thread waits while the table is full.
const TABLE_FULL: Duration = Duration::from_millis(20);
/// How long a stopping worker takes what waits in the backlog of a listener that stays open for the next server.
const DRAIN_US: u64 = 500_000;

pub struct Thread {
    pub shared: Arc<Shared>,
    pub core: Core,
    intake: Intake,
    /// Connections with buffered input, which epoll cannot report.
    again: VecDeque<Conn>,
    /// How often in a row such a connection went first.
    pipelined: u32,
    /// How many held requests were begun since the last look at what has come.
    held: u32,
    drain_until_us: Option<u64>,
    backlogs_looked_at: usize,
}

impl Thread {
    pub fn new(shared: Arc<Shared>, index: usize) -> std::io::Result<Thread> {
        let waiter = waiter::of_core(index)?;
        crash::guard_thread();
        shared.lifeline.threads.enlist();
        Ok(Thread {
            intake: Intake::new(waiter, shared.acceptor.batch(&shared.context)),
            core: Core::new(shared.clone(), index),
            again: VecDeque::new(),
            pipelined: 0,
            held: 0,
            drain_until_us: None,
            backlogs_looked_at: 0,
            shared,
        })
    }

    /// Ends the last request and gets the next. Not while attached to the interpreter.
    pub fn advance(&mut self) -> Next {
        request::finish(&mut self.core);
        self.see_to_leftovers();
        // Under load every wait brings a request.
        upkeep::sweep(&self.shared, self.core.in_flight.started_us);
        loop {
            // More than once where the server answers by itself.
            while !self.again.is_empty() {
                if let Some(next) = self.read_again() {
                    return next;
                }
            }
            if let Some(next) = self.turn() {
                return next;
            }
        }
    }

    /// What a signal may have meant: asked after [`Next::Signal`].
    pub fn obey_signals(&mut self) {
        let noted = signal::take_noted();
        if signal::is_in(noted, signal::SIGTERM) || signal::is_in(noted, signal::SIGHUP) {
            self.shared.lifeline.request_restart(RestartRequest::Leave);
        }
    }

    /// Obeys the command that holds, and waits once for what comes.
    fn turn(&mut self) -> Option<Next> {
        let shared = &*self.shared;
        shared.log.follow(&shared.context);
        if orphan::is_orphaned() {
            lifecycle::set_orphaned(shared);
        }
        let mut look_again = None;
        match shared.lifeline.command() {
            Command::Serve => {
                if self.take_given_first() {
                    return None;
                }
                if self.held >= HELD_STREAK
                    && let Some(next) = self.poll()
                {
                    return Some(next);
                }
                match begin::look(&mut self.core, &mut self.intake) {
                    Look::Begin(conn) => {
                        self.held += 1;
                        return self.read_claimed(conn).then_some(Next::Run);
                    }
                    Look::Again => return None,
                    Look::Wait(time) => look_again = time,
                }
                self.listen_if_possible();
            }
            Command::Pause => return self.wait_paused(),
            command => {
                if let Some(next) = self.wind_down(command) {
                    return Some(next);
                }
                if !self.again.is_empty() {
                    return None;
                }
                if !self.shared.acceptor.watches_table() {
                    // In the accept queues there are only new connections; the standby poller serves the table.
                    return self.wait_paused();
                }
            }
        }
        if self.may_block() {
            // A signal that came while the application ran has interrupted no wait.
            return if signal::has_noted() { Some(Next::Signal) } else { self.accept_blocking() };
        }
        let arrival = self.wait(look_again);
        if look_again.is_some() {
            self.shared.acceptor.held.end_look();
        }
        let next = self.handle(arrival);
        if next.is_none() {
            upkeep::sweep(&self.shared, clock::monotonic_us());
        } else if look_again.is_some() {
            // This thread does not look again, and those that wait do not know.
            self.shared.acceptor.nudge();
        }
        next
    }

    /// The next request of a connection that has sent several at once; after [`STREAK`] of them events come first.
    fn read_again(&mut self) -> Option<Next> {
        self.pipelined += 1;
        if self.pipelined > STREAK {
            self.pipelined = 0;
            if let Some(next) = self.take_what_has_come() {
                return Some(next);
            }
        }
        if self.shared.table.is_full() {
            trouble::set_listening(&self.shared, false);
        }
        let conn = self.again.pop_front()?;
        self.read(conn).then_some(Next::Run)
    }

    /// Where something is always held, and every thread busy, nobody would take a new client.
    #[cold]
    fn poll(&mut self) -> Option<Next> {
        self.listen_if_possible();
        self.take_what_has_come()
    }

    fn listen_if_possible(&self) {
        let Shared { acceptor, table, .. } = &*self.shared;
        trouble::set_listening(&self.shared, !table.is_full() && !acceptor.is_refusing());
    }

    /// Takes what has come, without waiting.
    fn take_what_has_come(&mut self) -> Option<Next> {
        let arrival = self.wait(Some(Duration::ZERO));
        let next = self.handle(arrival);
        if next.is_none() {
            upkeep::sweep(&self.shared, clock::monotonic_us());
        }
        next
    }

    fn handle(&mut self, arrival: Arrival) -> Option<Next> {
        let has_request = match arrival {
            Arrival::Listener(listener) => self.accept_from(listener),
            Arrival::Connection(key) => {
                let since_us = if self.intake.is_fresh() { 0 } else { self.intake.since_us() };
                let conn = self.shared.table.take(key);
                conn.is_some_and(|conn| self.read_or_hold(Conn { ready_us: since_us, ..conn }))
            }
            Arrival::Given => {
                let conn = give::take_given(&self.shared);
                conn.is_some_and(|conn| self.read_or_hold(conn))
            }
            Arrival::Interrupted => return Some(Next::Signal),
            other => {
                self.handle_idle(&other);
                false
            }
        };
        has_request.then_some(Next::Run)
    }

    /// No connection has come.
    fn handle_idle(&self, arrival: &Arrival) {
        match arrival {
            Arrival::Orphaned => lifecycle::on_master_lost(&self.shared),
            Arrival::Failed(error) => trouble::cannot_wait(&self.shared, error),
            _ => self.shared.log.access.flush(),
        }
    }

    // ── waiting ──

    fn wait(&mut self, look_again: Option<Duration>) -> Arrival {
        self.held = 0;
        let timeout = [self.timeout(), look_again].into_iter().flatten().min();
        let Shared { acceptor, table, context, .. } = &*self.shared;
        if acceptor.is_alone_with_table() && self.intake.left() == 0 {
            context.slot.waiting().store(0, Relaxed);
        }
        context.slot.end_avoidance();
        let arrival = acceptor.wait(table, &mut self.intake, &mut self.core.in_flight.post, timeout);
        if acceptor.is_alone_with_table() {
            begin::spread(&self.core, &self.intake);
        }
        arrival
    }

    /// Request lines are written when the thread is idle, at the latest after a short while.
    fn timeout(&self) -> Option<Duration> {
        let pause = self.shared.log.access.pause();
        match pause {
            Some(log::IDLE) => pause,
            _ => [pause, self.next_look()].into_iter().flatten().min(),
        }
    }

    /// When there may be something to do without an event.
    fn next_look(&self) -> Option<Duration> {
        let Shared { acceptor, table, lifeline, .. } = &*self.shared;
        if matches!(lifeline.command(), Command::Retire | Command::Drain) {
            Some(LEAVING)
        } else if acceptor.has_stopped_listening() && lifeline.command().serves() {
            Some(trouble::RETRY)
        } else if acceptor.watches_table() && !table.is_empty() {
            Some(Duration::from_micros(SWEEP_US))
        } else {
            None
        }
    }

    /// On pause: waits for another command.
    fn wait_paused(&mut self) -> Option<Next> {
        trouble::set_listening(&self.shared, false);
        work::notify(&self.shared);
        let timeout = self.timeout();
        match self.shared.acceptor.wait_paused(&mut self.intake, timeout) {
            Arrival::Interrupted => return Some(Next::Signal),
            arrival => self.handle_idle(&arrival),
        }
        None
    }

    // ── new connections ──

    /// Nothing but a new connection is of interest: no connection that waits, no command. Request lines wait for
    /// company as long as the wait lasts.
    fn may_block(&self) -> bool {
        self.shared.acceptor.is_blocking()
            && self.shared.lifeline.command() == Command::Serve
            && self.shared.table.is_empty()
    }

    fn accept_blocking(&mut self) -> Option<Next> {
        match incoming::wait_alone(&self.shared) {
            Alone::Connection(conn) => self.read(conn).then_some(Next::Run),
            Alone::Signal => Some(Next::Signal),
            Alone::Nothing => None,
        }
    }

    /// A listener has a connection. `true`: there is a request to run.
    fn accept_from(&mut self, listener: usize) -> bool {
        let shared = &*self.shared;
        if !shared.acceptor.watches_table() && shared.table.is_full() {
            // In the accept queues it cannot be passed over until there is room: it would wake its threads all the
            // time.
            shared.log.access.flush();
            trouble::check_wait(shared, shared.acceptor.doze(&mut self.intake, TABLE_FULL));
            return false;
        }
        let has_request =
            begin::accept_or_hold(&mut self.core, &mut self.intake, listener) && self.accept(listener);
        let Shared { context, table, acceptor, .. } = &*self.shared;
        if (has_request || context.speaks_tls(listener))
            && let Err(error) = acceptor.step_back(context, table, &self.intake, listener)
        {
            trouble::cannot_listen(&self.shared, &error);
        }
        has_request
    }

    fn accept(&mut self, listener: usize) -> bool {
        let has_request = incoming::accept(&mut self.core, listener) == Accepted::Request;
        self.see_to_leftovers();
        if !has_request {
            self.core.unclaim();
        }
        has_request
    }

    // ── connections ──

    /// Goes on with a connection, unless its request has to wait. `true`: there is a request to run.
    fn read_or_hold(&mut self, conn: Conn) -> bool {
        begin::read_or_hold(&mut self.core, conn).is_some_and(|conn| self.read_claimed(conn))
    }

    /// Goes on with a connection whose request may have been claimed.
    fn read_claimed(&mut self, conn: Conn) -> bool {
        let has_request = self.read(conn);
        if !has_request {
            self.core.unclaim();
        }
        has_request
    }

    /// Goes on with a connection that is readable or writable. `true`: there is a request to run.
    fn read(&mut self, conn: Conn) -> bool {
        let taken = dispatch::read(&mut self.core, conn);
        self.see_to_leftovers();
        taken.is_request()
    }

    /// What others have given to a worker with one thread has waited for long, and would wait behind all that came with
    /// the last wait. `true`: it is read next.
    fn take_given_first(&mut self) -> bool {
        let slot = self.shared.context.slot;
        if self.intake.left() > 0 && slot.mailbox_len().load(Relaxed) > 0 {
            self.again.extend(give::take_given(&self.shared));
        }
        !self.again.is_empty()
    }

    /// What the core has left of a connection is read before the next wait, or looked after while requests run.
    #[inline(always)]
    fn see_to_leftovers(&mut self) {
        if self.core.has_unread() || self.shared.handoff.standby.is_to_be_started() {
            self.take_up();
        }
    }

    #[cold]
    fn take_up(&mut self) {
        if let Some(conn) = self.core.take_unread() {
            self.again.extend(begin::read_on_or_hold(&self.core, conn));
        }
        if self.shared.handoff.standby.is_to_be_started() {
            service::start(&self.shared);
        }
    }

    // ── leaving ──

    /// One step towards the end. `None`: the caller waits once for what comes, or reads on.
    fn wind_down(&mut self, command: Command) -> Option<Next> {
        let has_request = (command == Command::Drain && self.drain_backlog())
            || incoming::take_missed(&mut self.core, &mut self.backlogs_looked_at);
        self.see_to_leftovers();
        if has_request {
            return Some(Next::Run);
        }
        if orphan::is_orphaned() {
            // The port is free for another server.
            listeners::close_all();
        }
        if lifecycle::leave(&self.shared, command, &mut self.again) {
            self.shared.lifeline.threads.wake_all();
            return Some(Next::Leave);
        }
        None
    }

    fn drain_backlog(&mut self) -> bool {
        let now = clock::monotonic_us();
        let until = *self.drain_until_us.get_or_insert(now + DRAIN_US);
        incoming::drain(&mut self.core, || now < until)
    }
}

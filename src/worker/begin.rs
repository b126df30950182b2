//! What a thread begins next: whether its process may begin another request, and which. It holds for all connections,
//! new ones and kept ones, of both protocols; the rule is in `policy::admission`.
//!
//! Where threads watch the table and the listeners themselves, what may not be begun is held: first come first served, for
//! the thread of this process that is free first, or for another worker that is free sooner (`handoff::queueing`). In the
//! accept queues a new connection stays in the backlog, from which the first free process takes it.

use super::accept::intake::Intake;
use super::accept::{Claim, trouble};
use super::conn::{Conn, upkeep};
use super::core::Core;
use super::handoff::{give, queueing};
use super::incoming;
use crate::shm::scoreboard::Command;
use std::sync::atomic::Ordering::*;
use std::time::Duration;

/// What waits for less stays where it is: to give it away costs a part of that.
const LONG_DELAY_US: u64 = 2_000;

/// What a look at the requests that wait in the worker has come to.
#[derive(Debug)]
pub enum Look {
    /// This connection is to be read: its request has been claimed.
    Begin(Conn),
    /// Something has changed: look again.
    Again,
    /// The thread waits for what comes; with a time, at most so long until it looks again.
    Wait(Option<Duration>),
}

/// Looks at what waits in the worker already, before the thread waits for more.
#[inline]
pub fn look(core: &mut Core, intake: &mut Intake) -> Look {
    let acceptor = &core.shared.acceptor;
    match acceptor.has_crew() && (!acceptor.held.is_empty() || acceptor.is_refusing()) {
        true => look_at_held(core, intake),
        false => Look::Wait(None),
    }
}

/// Takes the request that has waited longest, if the process may begin one. Otherwise one thread looks again in a moment,
/// and sees to it that what another worker would begin sooner goes there.
fn look_at_held(core: &mut Core, intake: &mut Intake) -> Look {
    let shared = core.shared.clone();
    let acceptor = &shared.acceptor;
    if !core.claim_alone() {
        let is_looker = acceptor.held.begin_look();
        if !is_looker && !acceptor.expects_waits() {
            return Look::Wait(None);
        }
        match core.try_claim() {
            Claim::Granted if is_looker => acceptor.held.end_look(),
            Claim::Granted => {}
            _ if !is_looker => return Look::Wait(None),
            Claim::Soon(time) => {
                trouble::check_wait(&shared, acceptor.doze(intake, time));
                acceptor.held.end_look();
                return Look::Again;
            }
            Claim::Refused(time) => {
                queueing::relieve(&shared);
                return Look::Wait(Some(time));
            }
        }
    }
    acceptor.set_refusing(false);
    let taken = acceptor.held.take(&shared.table, |_| true);
    acceptor.nudge();
    match taken {
        Some(conn) => Look::Begin(conn),
        None => {
            core.unclaim();
            Look::Again
        }
    }
}

/// The only thread of a worker has waited. When that has brought several connections, those that would wait for long are
/// given to workers that are free sooner.
#[inline]
pub fn spread(core: &Core, intake: &Intake) {
    if intake.is_fresh() {
        let left = intake.left() as u64;
        // It stands until the next wait: clients that are answered come back meanwhile, unseen.
        let slot = core.shared.context.slot;
        slot.oldest_us().store(intake.since_us(), Relaxed);
        slot.waiting().store(left, Relaxed);
        if left > 0 && intake.delay_us() >= LONG_DELAY_US {
            queueing::spread(&core.shared, intake.connections_left(), left, intake.since_us());
        }
    }
}

/// A connection has something to be read. Returns it if that is to be done now: it may have been claimed.
#[inline]
pub fn read_or_hold(core: &mut Core, conn: Conn) -> Option<Conn> {
    let command = core.shared.lifeline.command();
    if !command.serves() {
        return read_or_pass_on(core, conn, command);
    }
    let may_wait = queueing::may_be_held(&core.shared, &conn);
    if !may_wait || core.shared.acceptor.held.is_empty() && may_begin_at_once(core) {
        return Some(conn);
    }
    queueing::hold(&core.shared, conn);
    None
}

/// A worker that retires begins no request that another can: under load there would be no end of them.
#[cold]
fn read_or_pass_on(core: &Core, conn: Conn, command: Command) -> Option<Conn> {
    if command != Command::Retire || !conn.may_begin_request() {
        return Some(conn);
    }
    give::give_to_successor(&core.shared, conn)
}

/// A connection has sent several requests at once. Returns it if it is the thread's to read on; otherwise its next request
/// waits behind those that came before it.
pub fn read_on_or_hold(core: &Core, conn: Conn) -> Option<Conn> {
    if !queueing::may_be_held(&core.shared, &conn) {
        return Some(conn);
    }
    queueing::hold(&core.shared, conn);
    None
}

/// Claims the next request without waiting for the end of what has just begun.
fn may_begin_at_once(core: &mut Core) -> bool {
    core.claim_alone() || (core.shared.acceptor.expects_waits() && core.try_claim() == Claim::Granted)
}

/// A listener has a connection. `true`: it is to be accepted and read.
pub fn accept_or_hold(core: &mut Core, intake: &mut Intake, listener: usize) -> bool {
    let acceptor = &core.shared.acceptor;
    if acceptor.has_crew() {
        return accept_or_hold_beside(core, intake, listener);
    }
    if acceptor.watches_table() {
        return true;
    }
    match core.try_claim() {
        Claim::Granted => true,
        Claim::Soon(time) | Claim::Refused(time) => {
            trouble::check_wait(&core.shared, core.shared.acceptor.back_off(intake, time));
            false
        }
    }
}

/// The same beside other threads that watch the listeners.
fn accept_or_hold_beside(core: &mut Core, intake: &mut Intake, listener: usize) -> bool {
    let shared = core.shared.clone();
    let acceptor = &shared.acceptor;
    if acceptor.held.is_empty() {
        match core.try_claim() {
            Claim::Granted => return true,
            Claim::Soon(time) => {
                // In the epoll of this worker the thread that is free then finds it.
                trouble::check_wait(&shared, acceptor.doze(intake, time));
                return false;
            }
            Claim::Refused(_) => {}
        }
    }
    // The kernel has woken this worker alone for it (EPOLLEXCLUSIVE): it is taken, and the next ones are left to others.
    acceptor.set_refusing(true);
    match incoming::take(&shared, listener) {
        Some(conn) if conn.may_begin_request() => queueing::hold(&shared, conn),
        // A handshake computes nothing in Python.
        Some(conn) => upkeep::keep_for_standby(&shared, conn),
        None => {}
    }
    false
}

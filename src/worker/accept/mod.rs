//! How a worker's threads get their next connections, and whether its process may take one. How they wait depends on
//! what there is to wait for; whoever asks sees one interface.

pub mod crew;
pub mod duty;
pub mod held;
pub mod intake;
pub mod listening;
pub mod looks;
pub mod queues;
pub mod toggle;
pub mod trouble;

use super::conn::table::ConnTable;
use super::context::Context;
use crate::policy::admission::{Admission, SHORT_US};
use crate::policy::balance;
use crate::shm::scoreboard::{Phase, Stage};
use crate::sys::clock;
use crate::sys::epoll::Epoll;
use crew::Crew;
use held::Held;
use intake::{Arrival, Intake};
use listening::Listening;
use looks::Looks;
use queues::Queues;
use std::io::Result;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::time::Duration;

/// How long a worker waits in accept() before it checks commands and writes request lines: a signal that comes just before
/// the wait is not seen earlier.
pub const MAX_ACCEPT_WAIT: Duration = Duration::from_millis(500);
/// How long a thread stays parked when nobody wakes it.
const MAX_PARK: Duration = Duration::from_secs(30);

/// The shortest time until a thread looks again.
const MIN_DOZE_US: u64 = 50;

/// How the workers of a server wait for connections.
#[derive(Clone)]
pub enum Accepting {
    /// In accept(2), as long as there is nothing else to look after: one thread, one listener, uwsgi.
    Blocking,
    /// Each in an epoll of its own, with the connections of its table.
    PrivateEpoll,
    /// All in the same epolls.
    SharedQueues(Arc<Vec<Epoll>>),
}

enum Way {
    Blocking(Listening),
    PrivateEpoll(Listening),
    SharedQueues(Queues),
}

/// May a process begin the request that waits?
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    Granted,
    /// What it computes may be over before another process could be given the request: look again then.
    Soon(Duration),
    /// It computes: the request waits for the first process that is free, and this one looks again after this time.
    Refused(Duration),
}

/// What a thread has to do with the requests of its process.
#[derive(Debug, Default)]
pub struct Post {
    /// It runs one, or is about to.
    is_claimed: bool,
    /// It waits for the next.
    is_on_duty: bool,
}

pub struct Acceptor {
    way: Way,
    /// Watches nothing but the master.
    idle_epoll: Epoll,
    looks: Looks,
    /// Where several threads watch the table.
    crew: Option<Crew>,
    pub held: Held,
    /// The process computes, and leaves new connections to others.
    is_refusing: AtomicBool,
}

impl Acceptor {
    /// The listeners stand in the table's epoll already, unless there are shared queues.
    pub fn new(
        accepting: &Accepting,
        context: &Context,
        table: &ConnTable,
        alive: &OwnedFd,
    ) -> Result<Acceptor> {
        let idle_epoll = Epoll::new()?;
        intake::watch(&idle_epoll, &[], alive)?;
        let way = match accepting {
            Accepting::Blocking => Way::Blocking(Listening::default()),
            Accepting::PrivateEpoll => Way::PrivateEpoll(Listening::default()),
            Accepting::SharedQueues(epolls) => Way::SharedQueues(Queues::new(epolls.clone(), context.slot)),
        };
        let has_crew = context.has_threads() && matches!(way, Way::PrivateEpoll(_));
        Ok(Acceptor {
            way,
            idle_epoll,
            looks: Looks::new(context),
            crew: has_crew.then(|| Crew::new(table.epoll(), alive)).transpose()?,
            held: Held::new(context.slot),
            is_refusing: AtomicBool::new(false),
        })
    }

    /// Do the threads watch the table's connections when they wait?
    #[inline]
    pub fn watches_table(&self) -> bool {
        !matches!(self.way, Way::SharedQueues(_))
    }

    /// Do several threads watch the table? Then what has come is begun only when the process may.
    #[inline]
    pub fn has_crew(&self) -> bool {
        self.crew.is_some()
    }

    /// Does one thread watch the table and the listeners?
    #[inline]
    pub fn is_alone_with_table(&self) -> bool {
        self.crew.is_none() && self.watches_table()
    }

    /// Does the only thread wait in accept(2) as long as the table is empty?
    #[inline]
    pub fn is_blocking(&self) -> bool {
        matches!(self.way, Way::Blocking(_))
    }

    /// Most events of one wait.
    pub fn batch(&self, context: &Context) -> usize {
        // What one of several threads took, another that is idle could not serve.
        if self.watches_table() && !context.has_threads() { 64 } else { 1 }
    }

    // ── waiting ──

    pub fn wait(
        &self,
        table: &ConnTable,
        intake: &mut Intake,
        post: &mut Post,
        timeout: Option<Duration>,
    ) -> Arrival {
        if let Some(arrival) = intake.pending() {
            return arrival;
        }
        match (&self.way, &self.crew) {
            (Way::SharedQueues(queues), _) => self.wait_in_queue(queues, intake, timeout),
            (_, Some(crew)) => crew.wait(table.epoll(), intake, &mut post.is_on_duty, timeout),
            _ => intake.wait(table.epoll(), timeout),
        }
    }

    fn wait_in_queue(&self, queues: &Queues, intake: &mut Intake, timeout: Option<Duration>) -> Arrival {
        let Some((queue, epoll)) = queues.enter() else {
            return self.wait_parked(queues, intake).map_or_else(Arrival::Failed, |()| Arrival::Interrupted);
        };
        let arrival = intake.wait(epoll, timeout);
        queues.leave(queue);
        arrival
    }

    /// On pause: waits for nothing but a signal, and the master's end.
    pub fn wait_paused(&self, intake: &mut Intake, timeout: Option<Duration>) -> Arrival {
        intake.pending().unwrap_or_else(|| intake.wait(&self.idle_epoll, timeout))
    }

    /// Waits until this thread is needed in a queue.
    fn wait_parked(&self, queues: &Queues, intake: &mut Intake) -> Result<()> {
        if !queues.park() {
            return Ok(());
        }
        let waited = intake.doze(&self.idle_epoll, MAX_PARK);
        queues.unpark();
        waited.map(drop)
    }

    /// Waits for nothing but time, or a signal.
    pub fn doze(&self, intake: &mut Intake, time: Duration) -> Result<()> {
        if !intake.doze(&self.idle_epoll, time)? {
            intake.remember_signal();
        }
        Ok(())
    }

    /// The listeners have connections that this process should not take for a while. One thread that looks again is
    /// enough.
    pub fn back_off(&self, intake: &mut Intake, time: Duration) -> Result<()> {
        let Way::SharedQueues(queues) = &self.way else { return self.doze(intake, time) };
        if !queues.begin_back_off() {
            let waited = self.wait_parked(queues, intake);
            intake.remember_signal();
            return waited;
        }
        let waited = self.doze(intake, time);
        queues.end_back_off();
        waited
    }

    // ── who begins a request ──

    /// Claims the next request for this process, on the scoreboard, if it may begin one now. To be released, or to run.
    pub fn try_claim(&self, context: &Context, post: &mut Post) -> Claim {
        if self.claim_alone(context, post) {
            return Claim::Granted;
        }
        let refusal = self.refusal(context);
        if refusal == Claim::Granted {
            self.claim(context, post);
        }
        refusal
    }

    /// The same if nothing is in flight: then there is nothing to look at.
    #[inline]
    pub fn claim_alone(&self, context: &Context, post: &mut Post) -> bool {
        let is_first = context.slot.in_flight().compare_exchange(0, 1, AcqRel, Acquire).is_ok();
        if is_first {
            self.begin(post);
        }
        is_first
    }

    /// Do the requests of this process mostly wait, for a database, say?
    pub fn expects_waits(&self) -> bool {
        self.looks.expects_waits()
    }

    fn refusal(&self, context: &Context) -> Claim {
        let since_begin = clock::monotonic_us().saturating_sub(context.slot.begun_us().load(Relaxed));
        let (is_young, expects_waits) = (since_begin < SHORT_US, self.looks.expects_waits());
        // Where requests mostly wait, one that has just begun does so in a moment.
        let time =
            if expects_waits { MIN_DOZE_US } else { SHORT_US.saturating_sub(since_begin).max(MIN_DOZE_US) };
        let soon = Claim::Soon(Duration::from_micros(time));
        if !expects_waits && (is_young || is_about_to_begin(context)) {
            return soon;
        }
        match self.looks.admit(context, is_young) {
            Admission::Begin => Claim::Granted,
            Admission::Wait(_) if is_young => soon,
            Admission::Wait(time) => Claim::Refused(time),
        }
    }

    /// A request is about to run, whatever else does.
    pub fn claim(&self, context: &Context, post: &mut Post) {
        if !post.is_claimed {
            context.slot.in_flight().fetch_add(1, AcqRel);
            self.begin(post);
        }
    }

    fn begin(&self, post: &mut Post) {
        post.is_claimed = true;
        match (&self.way, &self.crew) {
            (Way::SharedQueues(queues), _) => queues.wake_one(),
            (_, Some(crew)) if std::mem::take(&mut post.is_on_duty) => crew.leave(),
            _ => {}
        }
    }

    pub fn release(&self, context: &Context, post: &mut Post) {
        if std::mem::take(&mut post.is_claimed) {
            context.slot.in_flight().fetch_sub(1, AcqRel);
        }
    }

    /// A thread begins a request: what else waits is another's to look at, and listeners that are out of the epoll. That
    /// one may have been waiting without a limit since before they were taken out.
    pub fn nudge(&self) {
        let Some(crew) = &self.crew else { return };
        if (!self.held.is_empty() || self.has_stopped_listening()) && !self.held.is_looked_after() {
            crew.nudge();
        }
    }

    /// Does the process leave new connections to others?
    #[inline]
    pub fn is_refusing(&self) -> bool {
        self.is_refusing.load(Relaxed)
    }

    pub fn set_refusing(&self, on: bool) {
        if self.is_refusing() != on {
            self.is_refusing.store(on, Relaxed);
        }
    }

    // ── the listeners ──

    fn listening(&self) -> Option<&Listening> {
        match &self.way {
            Way::Blocking(listening) | Way::PrivateEpoll(listening) => Some(listening),
            Way::SharedQueues(_) => None,
        }
    }

    /// Are the listeners out of the worker's own epoll?
    pub fn has_stopped_listening(&self) -> bool {
        self.listening().is_some_and(Listening::is_off)
    }

    /// Takes the listeners out of the worker's own epoll, or puts them back.
    #[inline]
    pub fn set_listening(&self, context: &Context, table: &ConnTable, on: bool) -> Result<()> {
        match self.listening() {
            Some(listening) if listening.is_off() == on => {
                listening.set(table.epoll(), &context.listeners, on)
            }
            _ => Ok(()),
        }
    }

    /// Goes to the end of the kernel's order when this worker has served more than its neighbours, and after each
    /// connection with TLS: it stays with the worker, so that workers have to take them in turn.
    pub fn step_back(
        &self,
        context: &Context,
        table: &ConnTable,
        intake: &Intake,
        listener: usize,
    ) -> Result<()> {
        match self.listening() {
            Some(listening)
                if context.speaks_tls(listener) || intake.wakes().is_multiple_of(8) && is_ahead(context) =>
            {
                listening.step_back(table.epoll(), &context.listeners, listener)
            }
            _ => Ok(()),
        }
    }
}

/// Has a thread claimed a request that it does not run yet?
fn is_about_to_begin(context: &Context) -> bool {
    let running = context.cores().filter(|core| core.phase() != Phase::Idle).count() as u64;
    context.slot.in_flight().load(Acquire) > running
}

fn is_ahead(context: &Context) -> bool {
    let scoreboard = context.scoreboard;
    let generation = context.slot.generation().load(Relaxed);
    let others = (0..scoreboard.slots()).filter(|&slot| slot != context.slot_index).filter_map(|slot| {
        let other = scoreboard.worker(slot);
        let counts = other.stage() == Stage::Ready && other.generation().load(Relaxed) == generation;
        counts.then(|| other.served())
    });
    balance::steps_back(context.slot.served(), others)
}

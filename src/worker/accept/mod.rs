//! How a worker's threads get their next connections, and whether its process may take one. How they wait depends on
//! what there is to wait for; whoever asks sees one interface.

pub mod intake;
pub mod listening;
pub mod queues;
pub mod toggle;
pub mod trouble;

use super::conn::table::ConnTable;
use super::context::Context;
use crate::policy::balance;
use crate::shm::scoreboard::{Phase, Stage};
use crate::sys::epoll::Epoll;
use crate::sys::{clock, process};
use intake::{Arrival, Intake};
use listening::Listening;
use queues::Queues;
use std::io::Result;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::time::Duration;

/// How long a worker waits in accept() before it checks commands and writes request lines: a signal that comes just before
/// the wait is not seen earlier.
pub const MAX_ACCEPT_WAIT: Duration = Duration::from_millis(500);
/// How long a thread stays parked when nobody wakes it.
const MAX_PARK: Duration = Duration::from_secs(30);
/// When nothing is begun or completed for so long, computations are long here: they must not starve the backlog.
const STALLED_US: u64 = 1_000_000;

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

/// May a process take the connection that waits?
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    Granted,
    /// It computes: the connection stays in the backlog for the first process that is free.
    Refused,
}

pub struct Acceptor {
    way: Way,
    /// Watches nothing but the master.
    idle_epoll: Epoll,
    /// When a request was last begun or completed.
    progress_us: AtomicU64,
}

impl Acceptor {
    /// The listeners stand in the table's epoll already, unless there are shared queues.
    pub fn new(accepting: &Accepting, context: &Context, alive: &OwnedFd) -> Result<Acceptor> {
        let idle_epoll = Epoll::new()?;
        intake::watch(&idle_epoll, &[], alive)?;
        let way = match accepting {
            Accepting::Blocking => Way::Blocking(Listening::default()),
            Accepting::PrivateEpoll => Way::PrivateEpoll(Listening::default()),
            Accepting::SharedQueues(epolls) => Way::SharedQueues(Queues::new(epolls.clone(), context.slot)),
        };
        Ok(Acceptor { way, idle_epoll, progress_us: AtomicU64::new(0) })
    }

    /// Do the threads watch the table's connections when they wait?
    #[inline]
    pub fn watches_table(&self) -> bool {
        !matches!(self.way, Way::SharedQueues(_))
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

    pub fn wait(&self, table: &ConnTable, intake: &mut Intake, timeout: Option<Duration>) -> Arrival {
        if let Some(arrival) = intake.pending() {
            return arrival;
        }
        let Way::SharedQueues(queues) = &self.way else { return intake.wait(table.epoll(), timeout) };
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

    /// The listeners have connections that this process should not take yet. One thread that looks again is enough.
    pub fn back_off(&self, intake: &mut Intake) -> Result<()> {
        let Way::SharedQueues(queues) = &self.way else { return Ok(()) };
        let time = queues.next_back_off();
        if !queues.begin_back_off() {
            let waited = self.wait_parked(queues, intake);
            intake.remember_signal();
            return waited;
        }
        let waited = self.doze(intake, time);
        queues.end_back_off();
        waited
    }

    // ── who takes a connection ──

    /// Says on the scoreboard that this process is about to take a request, if none is in flight. Where each worker
    /// watches the listeners itself, connections come in freely: they are claimed when their requests begin.
    #[inline]
    pub fn claim_alone(&self, is_claimed: &mut bool) -> Claim {
        let Way::SharedQueues(queues) = &self.way else { return Claim::Granted };
        *is_claimed = queues.claim_alone();
        if *is_claimed { Claim::Granted } else { Claim::Refused }
    }

    /// The same when this process runs requests: it takes another only if none of them computes. Otherwise the connection
    /// stays in the backlog for the first process that is free, and this one tries again in a moment.
    pub fn claim_another(&self, context: &Context, is_claimed: &mut bool) -> Claim {
        let Way::SharedQueues(queues) = &self.way else { return Claim::Granted };
        let stalled_for = clock::monotonic_us().saturating_sub(self.progress_us.load(Relaxed));
        if stalled_for < STALLED_US && !context.parallel && neighbours_compute(context) {
            return Claim::Refused;
        }
        queues.reset_back_off();
        self.claim(context, is_claimed);
        Claim::Granted
    }

    /// A request is about to run, whatever else does.
    pub fn claim(&self, context: &Context, is_claimed: &mut bool) {
        if !*is_claimed {
            context.slot.in_flight().fetch_add(1, AcqRel);
            *is_claimed = true;
            if let Way::SharedQueues(queues) = &self.way {
                queues.wake_one();
            }
        }
    }

    pub fn release(&self, context: &Context, is_claimed: &mut bool) {
        if std::mem::take(is_claimed) {
            context.slot.in_flight().fetch_sub(1, AcqRel);
        }
    }

    /// A request was begun or completed.
    pub fn note_progress(&self, now_us: u64) {
        self.progress_us.store(now_us, Relaxed);
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

    /// Goes to the end of the kernel's order when this worker has served more than its neighbours.
    pub fn step_back(
        &self,
        context: &Context,
        table: &ConnTable,
        intake: &Intake,
        listener: usize,
    ) -> Result<()> {
        match self.listening() {
            Some(listening) if intake.wakes().is_multiple_of(8) && is_ahead(context) => {
                listening.step_back(table.epoll(), &context.listeners, listener)
            }
            _ => Ok(()),
        }
    }
}

/// Is a thread of this process that runs a request runnable? One that waits for a database is not.
fn neighbours_compute(context: &Context) -> bool {
    let running = context.cores().filter(|core| core.phase() != Phase::Idle);
    running.map(|core| core.tid().load(Relaxed)).any(|tid| process::is_runnable(tid as i32))
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

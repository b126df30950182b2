//! Of the threads of a worker two are on duty: they wait for what comes, one to take the next request and one to be there
//! for the one after. Those beyond are parked, since each that waits would be woken in turn for connections that the
//! process cannot begin yet. A thread that begins a request as the last on duty calls another.

use super::intake::{Arrival, CALLED, Intake};
use crate::base::sync::{AtomicUsize, Ordering::*};
use crate::sys::epoll::{self, Epoll};
use crate::sys::eventfd::EventFd;
use std::io::Result;
use std::os::fd::OwnedFd;
use std::time::Duration;

const ON_DUTY: usize = 2;

pub struct Crew {
    on_duty: AtomicUsize,
    parked: AtomicUsize,
    call: EventFd,
    /// Wakes a thread on duty.
    nudge: EventFd,
    /// Where parked threads wait: for a call, and the master's end.
    epoll: Epoll,
}

impl Crew {
    /// `table`: where threads on duty wait.
    pub fn new(table: &Epoll, alive: &OwnedFd) -> Result<Crew> {
        let (call, nudge, epoll) = (EventFd::new()?, EventFd::new()?, Epoll::new()?);
        super::intake::watch(&epoll, &[], alive)?;
        // Each call is an edge, which ends the wait of one thread; nobody has to read it.
        epoll.add(&call, epoll::READ | epoll::EDGE, CALLED)?;
        table.add(&nudge, epoll::READ | epoll::EDGE, CALLED)?;
        Ok(Crew { on_duty: AtomicUsize::new(0), parked: AtomicUsize::new(0), call, nudge, epoll })
    }

    /// The calling thread goes on duty. `false`: enough are.
    pub fn report(&self) -> bool {
        let fits = |count| (count < ON_DUTY).then_some(count + 1);
        self.on_duty.fetch_update(SeqCst, SeqCst, fits).is_ok()
    }

    /// A thread on duty begins a request.
    pub fn leave(&self) {
        // After this, the look at those who are parked: one that parks counts itself first and looks at those on duty then.
        if self.on_duty.fetch_sub(1, SeqCst) == 1 && self.parked.load(SeqCst) > 0 {
            self.call.notify();
        }
    }

    /// Has another thread look at what waits in the worker.
    pub fn nudge(&self) {
        self.nudge.notify();
    }

    /// Waits to be called.
    pub fn park(&self, intake: &mut Intake, timeout: Option<Duration>) -> Arrival {
        self.parked.fetch_add(1, SeqCst);
        let arrival = match self.on_duty.load(SeqCst) {
            0 => Arrival::Called,
            _ => intake.wait(&self.epoll, timeout),
        };
        self.parked.fetch_sub(1, SeqCst);
        arrival
    }
}

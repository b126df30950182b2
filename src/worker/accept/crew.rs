//! Of the threads of a worker two are on duty: they wait for what comes. Those beyond are parked, since each that waits
//! would be woken in turn for connections that the process cannot begin yet. A thread that begins a request as the last
//! on duty calls another.

use super::duty::Duty;
use super::intake::{Arrival, CALLED, Intake};
use crate::sys::epoll::{self, Epoll};
use crate::sys::eventfd::EventFd;
use std::io::Result;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long a thread stays parked when no other calls it.
const MAX_PARK: Duration = Duration::from_secs(30);

pub struct Crew {
    duty: Duty,
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
        // Each notice is an edge, which ends the wait of one thread; none has to read it.
        epoll.add(&call, epoll::READ | epoll::EDGE, CALLED)?;
        table.add(&nudge, epoll::READ | epoll::EDGE, CALLED)?;
        Ok(Crew { duty: Duty::default(), call, nudge, epoll })
    }

    /// Waits in the table for what comes, or parked for a call.
    pub fn wait(
        &self,
        table: &Epoll,
        intake: &mut Intake,
        is_on_duty: &mut bool,
        timeout: Option<Duration>,
    ) -> Arrival {
        *is_on_duty = *is_on_duty || self.duty.report();
        if *is_on_duty {
            return intake.wait(table, timeout);
        }
        let timeout = Some(timeout.unwrap_or(MAX_PARK));
        self.duty.park(|| intake.wait(&self.epoll, timeout)).unwrap_or(Arrival::Called)
    }

    /// A thread on duty begins a request.
    pub fn leave(&self) {
        if self.duty.leave() {
            self.call.notify();
        }
    }

    /// Has another thread look at what waits in the worker.
    pub fn nudge(&self) {
        self.nudge.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_are_on_duty_and_the_last_calls_one_that_is_parked() {
        let duty = Duty::default();
        assert!(duty.report() && duty.report() && !duty.report());
        assert_eq!(duty.park(|| (duty.leave(), duty.leave())), Some((false, true)));
        assert_eq!(duty.park(|| ()), None);
        assert!(duty.report() && !duty.leave());
    }
}

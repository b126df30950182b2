//! Whether a worker's standby poller is wanted and there, and how it is woken. What it does is in `service`.

use super::sleeper::Sleeper;
use crate::sys::eventfd::EventFd;
use std::io::Result;
use std::sync::atomic::{AtomicU8, Ordering::*};

/// What is with its thread.
const UNWANTED: u8 = 0;
const WANTED: u8 = 1;
const STARTING: u8 = 2;
const THERE: u8 = 3;
const FAILED: u8 = 4;

pub struct StandbyPoller {
    state: AtomicU8,
    /// A signal handler that has left it TLS clients to answer calls it.
    pub sleeper: Sleeper,
}

impl StandbyPoller {
    pub fn new() -> Result<StandbyPoller> {
        Ok(StandbyPoller { state: AtomicU8::new(UNWANTED), sleeper: Sleeper::new(EventFd::new()?) })
    }

    /// There are connections to look after: the thread that has them starts the poller before it runs a request.
    #[inline]
    pub fn want(&self) {
        if self.state.load(Relaxed) == UNWANTED {
            let _ = self.state.compare_exchange(UNWANTED, WANTED, Relaxed, Relaxed);
        }
    }

    #[inline]
    pub fn is_to_be_started(&self) -> bool {
        self.state.load(Relaxed) == WANTED
    }

    /// Starts it, once. `false`: that has failed.
    pub fn start_with(&self, start: impl FnOnce() -> bool) -> bool {
        self.want();
        if self.state.compare_exchange(WANTED, STARTING, AcqRel, Acquire).is_ok() {
            self.state.store(if start() { THERE } else { FAILED }, Release);
        }
        self.state.load(Acquire) != FAILED
    }

    /// Its thread may look for work already while it is being started: who makes some wakes it.
    #[inline]
    pub fn is_there(&self) -> bool {
        matches!(self.state.load(Acquire), STARTING | THERE)
    }

    pub fn wake(&self) {
        if self.is_there() {
            self.sleeper.wake();
        }
    }

    /// Inside of a signal handler: atomics and a write only. `false`: there is no standby poller.
    pub fn call(&self) -> bool {
        self.state.load(Acquire) == THERE && self.sleeper.call()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_started_once_and_only_when_it_is_wanted() {
        let standby = StandbyPoller::new().unwrap();
        assert!(!standby.is_to_be_started() && !standby.call());
        standby.want();
        assert!(standby.is_to_be_started());
        assert!(standby.start_with(|| true) && standby.start_with(|| false));
        assert!(!standby.is_to_be_started() && standby.is_there() && standby.call());
        assert!(standby.sleeper.take_call() && !standby.sleeper.take_call());
    }

    #[test]
    fn nobody_calls_one_that_could_not_be_started() {
        let standby = StandbyPoller::new().unwrap();
        assert!(!standby.start_with(|| false));
        standby.want();
        assert!(!standby.is_to_be_started() && !standby.is_there() && !standby.call());
    }
}

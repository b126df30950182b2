//! Whether a worker's standby poller is wanted and there, and how it is woken. What it does is in `service`.

use super::sleeper::Sleeper;
use crate::sys::eventfd::EventFd;
use std::io::Result;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::*};

pub struct StandbyPoller {
    wanted: AtomicBool,
    /// Set when a thread has started it: could it be started?
    started: OnceLock<bool>,
    /// A signal handler that has left it TLS clients to answer calls it.
    pub sleeper: Sleeper,
}

impl StandbyPoller {
    pub fn new() -> Result<StandbyPoller> {
        Ok(StandbyPoller {
            wanted: AtomicBool::new(false),
            started: OnceLock::new(),
            sleeper: Sleeper::new(EventFd::new()?),
        })
    }

    /// There are connections to look after: the thread that has them starts the poller before it runs a request.
    #[inline]
    pub fn want(&self) {
        if !self.wanted.load(Relaxed) {
            self.wanted.store(true, Relaxed);
        }
    }

    #[inline]
    pub fn is_to_be_started(&self) -> bool {
        self.wanted.load(Relaxed) && self.started.get().is_none()
    }

    /// Starts it, once. `false`: that has failed.
    pub fn start_with(&self, start: impl FnOnce() -> bool) -> bool {
        *self.started.get_or_init(start)
    }

    #[inline]
    pub fn is_there(&self) -> bool {
        self.started.get() == Some(&true)
    }

    pub fn wake(&self) {
        if self.is_there() {
            self.sleeper.wake();
        }
    }

    /// Inside of a signal handler: atomics and a write only. `false`: nobody is there to be called.
    pub fn call(&self) -> bool {
        self.is_there() && self.sleeper.call()
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

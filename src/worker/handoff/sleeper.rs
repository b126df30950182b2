//! The sleep of a thread that others wake, and how no wake-up is lost. tests/loom/sleeper.rs holds it to that.

use crate::base::sync::{AtomicBool, Ordering::*, fence};
use crate::sys::eventfd::EventFd;

pub struct Sleeper {
    asleep: AtomicBool,
    /// A signal handler has left it something to do.
    called: AtomicBool,
    /// Ends its sleep.
    wake: EventFd,
}

impl Sleeper {
    pub fn new(wake: EventFd) -> Sleeper {
        Sleeper { asleep: AtomicBool::new(false), called: AtomicBool::new(false), wake }
    }

    /// Sleeps until it is woken or called, unless there is work. It says that it sleeps before it looks for work; who
    /// makes work makes it before [`Sleeper::is_asleep`]. One of the two sees the other. `is_over` is asked again
    /// whenever somebody has notified the event.
    pub fn sleep(&self, has_work: impl FnOnce() -> bool, is_over: impl Fn() -> bool) {
        self.asleep.store(true, Relaxed);
        fence(SeqCst);
        if !has_work() {
            while self.asleep.load(Acquire) && !self.called.load(Acquire) && !is_over() {
                self.wake.wait();
            }
        }
        self.asleep.store(false, Relaxed);
    }

    /// Asked after work was made: does it have to be woken?
    #[inline]
    pub fn is_asleep(&self) -> bool {
        fence(SeqCst);
        self.asleep.load(Relaxed)
    }

    pub fn event(&self) -> &EventFd {
        &self.wake
    }

    pub fn wake(&self) {
        if self.asleep.swap(false, AcqRel) {
            self.wake.notify();
        }
    }

    /// For signal handlers: an atomic and a write. `false`: it cannot be reached.
    pub fn call(&self) -> bool {
        self.called.store(true, Release);
        self.wake.notify()
    }

    /// Has it been called? Once for each call.
    pub fn take_call(&self) -> bool {
        self.called.swap(false, AcqRel)
    }
}

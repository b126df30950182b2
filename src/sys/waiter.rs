//! Waits that the wake signal ends, without ever blocking it: a blocked signal would be blocked in every program that the
//! application starts, too (execve(2)).
//!
//! A signal that comes just before a wait must end it all the same. The handler therefore sets the timeout of its thread's
//! next wait to zero. epoll_pwait2 gets the timeout by its address: the kernel reads it after the signal was handled, or is
//! interrupted by the signal. Kernels before 5.11 lack the call: there such a signal is seen half a second later.

use super::eventfd::{self, EventFd};
use super::{process, signal};
use std::io::{Error, ErrorKind, Result};
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, Ordering::Relaxed, Ordering::SeqCst, compiler_fence,
};
use std::time::Duration;

/// Where nothing else limits a wait.
const FOREVER: Duration = Duration::from_secs(1 << 30);
/// The longest wait on kernels without epoll_pwait2.
const MAX_BLIND_WAIT: Duration = Duration::from_millis(500);

/// What one thread's waits share with the handler of its signals. No other thread writes to it.
#[derive(Debug, Default)]
pub struct Waiter {
    thread: AtomicI32,
    /// The signal came, and no wait has reported it.
    is_woken: AtomicBool,
    is_waiting: AtomicBool,
    /// struct __kernel_timespec: seconds and nanoseconds.
    timeout: [AtomicI64; 2],
}

/// For each core of this worker; the first is the main thread.
static WAITERS: OnceLock<Box<[Waiter]>> = OnceLock::new();

/// The eventfd of the standby poller; -1: there is none.
static STANDBY: AtomicI32 = AtomicI32::new(-1);

/// When the wake signal finds the main thread busy, this is notified, too. It must stay open as long as the process lives.
pub fn notify_when_busy(event: &EventFd) {
    STANDBY.store(event.number(), Relaxed);
}

/// Makes room for the cores of a worker. Once in a process.
pub fn prepare(cores: usize) {
    WAITERS.get_or_init(|| std::iter::repeat_with(Waiter::default).take(cores).collect());
}

/// Makes the calling thread the one of a core. A signal that came before counts as not yet reported.
///
/// # Errors
/// No room was made for a core of this number.
pub fn of_core(index: usize) -> Result<&'static Waiter> {
    let waiter = WAITERS.get().and_then(|waiters| waiters.get(index));
    let waiter = waiter.ok_or_else(|| Error::from(ErrorKind::NotFound))?;
    waiter.is_woken.store(true, Relaxed);
    waiter.thread.store(process::thread_id(), Relaxed);
    Ok(waiter)
}

impl Waiter {
    /// The next wait ends at once, as if the signal had come again: its cause is not handled yet.
    pub fn remember(&self) {
        self.is_woken.store(true, Relaxed);
    }

    /// Runs one wait of the calling thread. `Interrupted`: the signal came, or another one.
    pub(super) fn wait(
        &self,
        timeout: Option<Duration>,
        call: impl FnOnce(*const AtomicI64, Duration) -> Result<i32>,
    ) -> Result<i32> {
        let timeout = timeout.unwrap_or(FOREVER);
        self.timeout[0].store(timeout.as_secs().min(FOREVER.as_secs()) as i64, Relaxed);
        self.timeout[1].store(timeout.subsec_nanos().into(), Relaxed);
        self.is_waiting.store(true, Relaxed);
        // Here and below: only a handler in the same thread looks on.
        compiler_fence(SeqCst);
        let result = match self.is_woken.load(Relaxed) {
            true => Err(ErrorKind::Interrupted.into()),
            false => call(self.timeout.as_ptr(), timeout.min(MAX_BLIND_WAIT)),
        };
        compiler_fence(SeqCst);
        self.is_waiting.store(false, Relaxed);
        // After any other result the signal is still to be reported.
        if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {
            self.is_woken.store(false, Relaxed);
        }
        result
    }

    /// In the signal's handler.
    fn wake(&self) {
        self.is_woken.store(true, Relaxed);
        self.timeout.iter().for_each(|part| part.store(0, Relaxed));
    }

    fn signal(&self) {
        let thread = self.thread.load(Relaxed);
        if thread != 0 {
            process::signal_thread(thread, signal::wake());
        }
    }
}

/// The handler of the wake signal. It is sent to the main thread, which passes it on when it runs a request.
pub(super) fn woken() {
    let Some([main, others @ ..]) = WAITERS.get().map(|waiters| &**waiters) else { return };
    let me = process::thread_id();
    if main.thread.load(Relaxed) == me {
        main.wake();
        if !main.is_waiting.load(Relaxed) {
            others.iter().for_each(Waiter::signal);
            eventfd::notify_number(STANDBY.load(Relaxed));
        }
    } else if let Some(waiter) = others.iter().find(|waiter| waiter.thread.load(Relaxed) == me) {
        waiter.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::epoll::{Epoll, Events};

    #[test]
    fn a_signal_before_the_wait_ends_it() {
        signal::arm_wake().unwrap();
        prepare(8);
        let (waiter, epoll) = (of_core(0).unwrap(), Epoll::new().unwrap());
        let mut events = Events::with_capacity(1);
        let mut wait = |time| epoll.wait_until_woken(&mut events, Some(time), waiter);
        let is_interrupted = |result: Result<()>| result.unwrap_err().kind() == ErrorKind::Interrupted;
        // What came before the thread was known.
        assert!(is_interrupted(wait(FOREVER)));
        assert!(wait(Duration::from_millis(1)).is_ok());
        process::signal_thread(process::thread_id(), signal::wake());
        assert!(is_interrupted(wait(FOREVER)));
        // Between the last look and the system call.
        let raced = waiter.wait(None, |timeout, _| {
            process::signal_thread(process::thread_id(), signal::wake());
            // SAFETY: the waiter's own timeout.
            Ok(unsafe { (*timeout).load(Relaxed) } as i32)
        });
        assert_eq!(raced.unwrap(), 0);
        assert!(is_interrupted(wait(FOREVER)));
        waiter.remember();
        assert!(is_interrupted(wait(FOREVER)));
    }
}

//! The end of a process whose parent has died. The kernel sends it a signal (PR_SET_PDEATHSIG, prctl(2)), so that the
//! application's code cannot delay it.

use super::{check, listeners, process, signal};
use std::io::{Error, Result};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::*};
use std::time::Duration;

/// A timer of the kernel; null until [`arm`].
type Timer = AtomicPtr<libc::c_void>;

/// Ends the process.
static END: Timer = AtomicPtr::new(std::ptr::null_mut());
/// Closes the listeners.
static CLOSE: Timer = AtomicPtr::new(std::ptr::null_mut());
static MERCY_NS: AtomicU64 = AtomicU64::new(0);
static ORPHANED: AtomicBool = AtomicBool::new(false);

/// How long a process whose parent has died may take what waits in the backlogs of its listeners.
const DRAIN_NS: u64 = 50_000_000;

/// From now on the death of `parent` ends new connections, closes the listeners of this process a moment later, and
/// ends it after `mercy`, whatever it is doing then. `is_alone`: the parent is dead already. To be called after
/// the last change of user, which makes the kernel forget it.
///
/// # Errors
/// The kernel has no timer left (RLIMIT_SIGPENDING).
pub fn arm(parent: i32, mercy: Duration, is_alone: impl Fn() -> bool) -> Result<()> {
    await_parent(parent, is_alone);
    MERCY_NS.store(mercy.as_nanos() as u64, Relaxed);
    END.store(timer(signal::SIGKILL)?, Release);
    CLOSE.store(timer(signal::orphaned())?, Release);
    signal::on_orphaned(left_alone)?;
    notify_by(signal::orphaned())?;
    if process::parent() != parent {
        left_alone();
    }
    Ok(())
}

/// The same for a process that has nothing to finish: it ends at once.
///
/// # Errors
/// The parent is dead already.
pub fn end_with(parent: i32, is_alone: impl Fn() -> bool) -> Result<()> {
    await_parent(parent, is_alone);
    notify_by(signal::SIGKILL)?;
    if process::parent() == parent { Ok(()) } else { Err(Error::other("the parent has ended")) }
}

/// Has the parent died since [`arm`]?
#[inline]
pub fn is_orphaned() -> bool {
    ORPHANED.load(Relaxed)
}

/// A process that was forked twice is for a moment the child of the one between, whose end is not meant.
fn await_parent(parent: i32, is_alone: impl Fn() -> bool) {
    while process::parent() != parent && !is_alone() {
        process::yield_now();
    }
}

fn notify_by(signal: i32) -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal, 0, 0, 0) }).map(drop)
}

/// A timer that sends this process a signal. Children do not inherit it (timer_create(2)).
fn timer(signal: i32) -> Result<libc::timer_t> {
    let mut event = MaybeUninit::<libc::sigevent>::zeroed();
    let mut timer: libc::timer_t = std::ptr::null_mut();
    // SAFETY: a zeroed sigevent is valid; both places live across the call.
    unsafe {
        (*event.as_mut_ptr()).sigev_notify = libc::SIGEV_SIGNAL;
        (*event.as_mut_ptr()).sigev_signo = signal;
        check(libc::timer_create(libc::CLOCK_MONOTONIC, event.as_mut_ptr(), &mut timer))?;
    }
    Ok(timer)
}

/// Runs in a signal handler, first for the death and then for the timer: only what signal-safety(7) allows, and system
/// calls.
fn left_alone() {
    if ORPHANED.swap(true, AcqRel) {
        return listeners::close_all();
    }
    listeners::refuse_new();
    start(&CLOSE, DRAIN_NS);
    start(&END, MERCY_NS.load(Relaxed));
}

fn start(timer: &Timer, after_ns: u64) {
    const SECOND: u64 = 1_000_000_000;
    // 0 would stop it.
    let after = after_ns.max(1);
    let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let end = libc::timespec {
        tv_sec: (after / SECOND) as libc::time_t,
        tv_nsec: (after % SECOND) as libc::c_long,
    };
    let when = libc::itimerspec { it_interval: never, it_value: end };
    // SAFETY: the timer was made by `arm` and is never deleted; `when` lives across the call.
    unsafe { libc::timer_settime(timer.load(Acquire), 0, &when, std::ptr::null_mut()) };
}

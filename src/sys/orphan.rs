//! What becomes of a process when its parent dies. The kernel tells it by a signal (PR_SET_PDEATHSIG, prctl(2)), so that the
//! application's code cannot stand in the way.

use super::{check, listeners, process, signal};
use std::io::{Error, Result};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::*};
use std::time::Duration;

/// A timer that ends the process; null until [`arm`].
static TIMER: AtomicPtr<libc::c_void> = AtomicPtr::new(std::ptr::null_mut());
static MERCY_NS: AtomicU64 = AtomicU64::new(0);

/// From now on the death of `parent` closes the listeners of this process at once, and ends it after `mercy`, whatever it is
/// doing then. `is_alone` tells that the parent is dead already. To be called after the last change of user, which the
/// kernel takes as a reason to forget it.
///
/// # Errors
/// The kernel has no timer left (RLIMIT_SIGPENDING).
pub fn arm(parent: i32, mercy: Duration, is_alone: impl Fn() -> bool) -> Result<()> {
    await_parent(parent, is_alone);
    // 0 would disarm the timer.
    MERCY_NS.store((mercy.as_nanos() as u64).max(1), Relaxed);
    TIMER.store(end_timer()?, Release);
    signal::on_orphaned(left_alone)?;
    notify_by(signal::orphaned())?;
    if process::parent() != parent {
        left_alone();
    }
    Ok(())
}

/// The same for a process that has nothing to finish: it ends at once.
pub fn end_with(parent: i32, is_alone: impl Fn() -> bool) -> Result<()> {
    await_parent(parent, is_alone);
    notify_by(signal::SIGKILL)?;
    if process::parent() != parent { Err(Error::other("the parent has ended")) } else { Ok(()) }
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

/// A timer whose end is SIGKILL. Children do not inherit it (timer_create(2)).
fn end_timer() -> Result<libc::timer_t> {
    let mut event = MaybeUninit::<libc::sigevent>::zeroed();
    let mut timer: libc::timer_t = std::ptr::null_mut();
    // SAFETY: a zeroed sigevent is valid; both places live across the call.
    unsafe {
        (*event.as_mut_ptr()).sigev_notify = libc::SIGEV_SIGNAL;
        (*event.as_mut_ptr()).sigev_signo = signal::SIGKILL;
        check(libc::timer_create(libc::CLOCK_MONOTONIC, event.as_mut_ptr(), &mut timer))?;
    }
    Ok(timer)
}

/// Runs in a signal handler: only what signal-safety(7) allows.
fn left_alone() {
    listeners::close_all();
    let mercy = MERCY_NS.load(Relaxed);
    let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let end = libc::timespec {
        tv_sec: (mercy / 1_000_000_000) as libc::time_t,
        tv_nsec: (mercy % 1_000_000_000) as libc::c_long,
    };
    let when = libc::itimerspec { it_interval: never, it_value: end };
    // SAFETY: the timer was made by `arm` and is never deleted; `when` lives across the call.
    unsafe { libc::timer_settime(TIMER.load(Acquire), 0, &when, std::ptr::null_mut()) };
}

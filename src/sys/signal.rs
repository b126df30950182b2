//! Signals: handlers only set a bit and end a wait; loops do the work.

use super::{check, process, waiter};
use std::io::Result;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering};

pub use libc::{
    SIGBUS, SIGCHLD, SIGCONT, SIGFPE, SIGHUP, SIGILL, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGSEGV, SIGTERM,
    SIGTSTP, SIGUSR1, SIGUSR2,
};

/// Wakes a worker's waiting threads (see [`waiter`]). Never blocked.
pub fn wake() -> i32 {
    libc::SIGRTMIN() + 1
}

/// Asks a worker for the Python stack of each of its threads.
pub fn dump() -> i32 {
    libc::SIGRTMIN() + 2
}

/// Tells a worker that a request has reached its time limit (the first step of harakiri).
pub fn expire() -> i32 {
    libc::SIGRTMIN() + 3
}

/// Within a worker: ends what its main thread waits for.
pub fn interrupt() -> i32 {
    libc::SIGRTMIN() + 4
}

/// Asks a worker for a profile.
pub fn profile() -> i32 {
    libc::SIGRTMIN() + 6
}

/// The kernel's signal to a worker that the master is dead (PR_SET_PDEATHSIG).
pub fn orphaned() -> i32 {
    libc::SIGRTMIN() + 5
}

static PENDING: AtomicU64 = AtomicU64::new(0);
static WAKE_FD: AtomicI32 = AtomicI32::new(-1);
/// Where the thread reads that ends requests whose time is up.
static EXPIRE_FD: AtomicI32 = AtomicI32::new(-1);
static WAKE_SELF: AtomicI32 = AtomicI32::new(0);
static ON_DUMP: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
static ON_ORPHANED: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// The process whose signals are handled here; 0 before it has called [`claim_signals`]. A child that the application
/// forks inherits the handlers.
static OWNER: AtomicI32 = AtomicI32::new(0);

/// From now on the handlers act on signals that arrive in the calling process.
pub fn claim_signals() {
    OWNER.store(process::pid(), Ordering::Relaxed);
}

/// Until the returned owner is put back, a signal counts in whatever process it arrives.
pub(super) fn release_signals() -> i32 {
    OWNER.swap(0, Ordering::Relaxed)
}

pub(super) fn claim_signals_for(owner: i32) {
    OWNER.store(owner, Ordering::Relaxed);
}

pub(super) fn is_anothers() -> bool {
    let owner = OWNER.load(Ordering::Relaxed);
    owner != 0 && owner != process::pid()
}

/// Runs a system call or two inside a handler; the code that was interrupted keeps its errno.
pub(super) fn keeping_errno(act: impl FnOnce()) {
    // SAFETY: the place is the calling thread's own.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let errno = unsafe { *place };
    act();
    // SAFETY: as above.
    unsafe { *place = errno };
}

/// In a process that the application forked, a handler of the server steps aside: `terminate()` has to end it.
fn restore_default(signal: libc::c_int) {
    // The signal is blocked until the handler returns, and then does what it does by default.
    let _ = reset(signal);
    process::signal_thread(process::thread_id(), signal);
}

extern "C" fn note(signal: libc::c_int) {
    if is_anothers() {
        return restore_default(signal);
    }
    PENDING.fetch_or(1 << signal, Ordering::Release);
    keeping_errno(|| {
        write_byte(WAKE_FD.load(Ordering::Relaxed));
        if WAKE_SELF.load(Ordering::Relaxed) != 0 {
            let _ = process::signal_main_thread(process::pid(), wake());
        }
    });
}

extern "C" fn pass_over(signal: libc::c_int) {
    if is_anothers() {
        restore_default(signal);
    }
}

fn write_byte(fd: RawFd) {
    if fd >= 0 {
        // SAFETY: one byte of a live array; write is async-signal-safe (signal-safety(7)).
        unsafe { libc::write(fd, [1u8].as_ptr().cast(), 1) };
    }
}

extern "C" fn woken(_: libc::c_int) {
    keeping_errno(waiter::woken);
}

extern "C" fn expired(_: libc::c_int) {
    keeping_errno(|| write_byte(EXPIRE_FD.load(Ordering::Relaxed)));
}

extern "C" fn dumped(_: libc::c_int) {
    run_hook(&ON_DUMP);
}

extern "C" fn lost_master(_: libc::c_int) {
    run_hook(&ON_ORPHANED);
}

fn run_hook(place: &AtomicPtr<()>) {
    let hook = place.load(Ordering::Acquire);
    if !hook.is_null() {
        // SAFETY: only `set_dump` and `on_orphaned` store in such a place, and they store nothing but a `fn()`.
        keeping_errno(unsafe { std::mem::transmute::<*mut (), fn()>(hook) });
    }
}

fn install(signal: i32, handler: libc::sighandler_t, flags: i32) -> Result<()> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a zeroed sigaction is valid; the handler is SIG_DFL, SIG_IGN or an `extern "C" fn(c_int)`.
    unsafe {
        let place = action.as_mut_ptr();
        (*place).sa_sigaction = handler;
        (*place).sa_flags = flags;
        libc::sigemptyset(&raw mut (*place).sa_mask);
        check(libc::sigaction(signal, place, std::ptr::null_mut())).map(drop)
    }
}

fn note_one(signal: i32) -> Result<()> {
    install(signal, note as *const () as libc::sighandler_t, 0)?;
    // Whoever has started the server may have blocked it (execve(2) keeps the mask).
    change_mask(libc::SIG_UNBLOCK, signal)
}

fn note_each(signals: &[i32], wake_fd: i32, wake_self: i32) -> Result<()> {
    claim_signals();
    WAKE_FD.store(wake_fd, Ordering::Relaxed);
    WAKE_SELF.store(wake_self, Ordering::Relaxed);
    signals.iter().try_for_each(|&signal| note_one(signal))
}

/// From now on these signals are noted. No thread waits for them yet: [`note_all`] wakes for those that come until
/// then.
pub fn note_early(signals: &[i32]) -> Result<()> {
    PENDING.store(0, Ordering::Relaxed);
    note_each(signals, -1, 0)
}

/// From now on these signals are noted, and `wake` gets a byte for each.
pub fn note_all(signals: &[i32], wake: BorrowedFd<'_>) -> Result<()> {
    note_each(signals, wake.as_raw_fd(), 0)?;
    if has_noted() {
        write_byte(wake.as_raw_fd());
    }
    Ok(())
}

/// In a worker: these signals are noted and the process's waiting threads are woken.
pub fn note_and_wake(signals: &[i32]) -> Result<()> {
    PENDING.store(0, Ordering::Relaxed);
    note_each(signals, -1, 1)
}

/// Has a signal been noted that was not taken yet?
pub fn has_noted() -> bool {
    PENDING.load(Ordering::Acquire) != 0
}

/// The signals noted since the last call, as a set of bits.
pub fn take_noted() -> u64 {
    PENDING.swap(0, Ordering::AcqRel)
}

pub fn is_in(set: u64, signal: i32) -> bool {
    set & (1 << signal) != 0
}

pub fn ignore(signal: i32) -> Result<()> {
    install(signal, libc::SIG_IGN, 0)
}

/// Does nothing when the signal comes. Programs that the application starts get the default again: what is ignored
/// would be ignored there, too (execve(2)).
pub fn disregard(signal: i32) -> Result<()> {
    install(signal, pass_over as *const () as libc::sighandler_t, libc::SA_RESTART)
}

pub fn reset(signal: i32) -> Result<()> {
    install(signal, libc::SIG_DFL, 0)
}

/// Readies the wake signal: it ends waits and does nothing else. What else it interrupts goes on (SA_RESTART), as far
/// as the kernel has it so (signal(7)).
pub fn arm_wake() -> Result<()> {
    install(wake(), woken as *const () as libc::sighandler_t, libc::SA_RESTART)?;
    // Whoever has started the server may have blocked it.
    change_mask(libc::SIG_UNBLOCK, wake())
}

/// From now on `to` gets a byte for each [`expire`]. Not by sigwait: for that every thread would have to block the
/// signal, and with them the programs that the application starts.
pub fn tell_of_expiry(to: OwnedFd) -> Result<()> {
    // The handler keeps the number for as long as the process lives.
    EXPIRE_FD.store(to.into_raw_fd(), Ordering::Relaxed);
    install(expire(), expired as *const () as libc::sighandler_t, libc::SA_RESTART)
}

/// From now on bytes that arrive in a pipe wake the calling thread (signal-driven I/O, fcntl(2) F_SETSIG).
pub fn wake_on_input(pipe: BorrowedFd<'_>) -> Result<()> {
    // linux/fcntl.h: struct f_owner_ex { int type; pid_t pid; }, with F_OWNER_TID = 0.
    let owner: [libc::c_int; 2] = [0, super::process::thread_id()];
    let fd = pipe.as_raw_fd();
    // SAFETY: `owner` has the layout of f_owner_ex and lives across the call; the others pass numbers.
    unsafe {
        check(libc::fcntl(fd, F_SETOWN_EX, owner.as_ptr()))?;
        check(libc::fcntl(fd, F_SETSIG, wake()))?;
        let flags = check(libc::fcntl(fd, libc::F_GETFL))?;
        check(libc::fcntl(fd, libc::F_SETFL, flags | libc::O_ASYNC)).map(drop)
    }
}

/// fcntl-linux.h; not in the libc crate for every target.
const F_SETSIG: libc::c_int = 10;
const F_SETOWN_EX: libc::c_int = 15;

/// What runs after a stack dump. The hook may use atomics, `send` and `write` alone: it runs inside a signal handler.
pub fn set_dump(hook: fn()) -> Result<()> {
    ON_DUMP.store(hook as *mut (), Ordering::Release);
    install(dump(), dumped as *const () as libc::sighandler_t, libc::SA_RESTART)
}

/// Dumps the stacks of all threads now, with the calling one as the current. Inside a signal handler.
pub(super) fn raise_dump() {
    // The application may have blocked it in this thread.
    let _ = change_mask(libc::SIG_UNBLOCK, dump());
    process::signal_thread(process::thread_id(), dump());
}

/// What runs when the signal [`orphaned`] comes; inside its handler, like the hook of a dump.
pub fn on_orphaned(hook: fn()) -> Result<()> {
    ON_ORPHANED.store(hook as *mut (), Ordering::Release);
    install(orphaned(), lost_master as *const () as libc::sighandler_t, 0)?;
    // Whoever has started the server, or the application while it was imported, may have blocked it.
    change_mask(libc::SIG_UNBLOCK, orphaned())
}

/// The calling thread gets no signal but this one: others do.
pub fn block_all_but(open: i32) -> Result<()> {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the set is initialized by sigfillset before it is read.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        libc::sigdelset(set.as_mut_ptr(), open);
        match libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) {
            0 => Ok(()),
            code => Err(std::io::Error::from_raw_os_error(code)),
        }
    }
}

fn change_mask(how: i32, signal: i32) -> Result<()> {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the set is initialized by sigemptyset before it is read.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        match libc::pthread_sigmask(how, set.as_ptr(), std::ptr::null_mut()) {
            0 => Ok(()),
            code => Err(std::io::Error::from_raw_os_error(code)),
        }
    }
}

/// A name for a signal's number, as people write it.
pub fn name(signal: i32) -> String {
    let known = match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGSYS => "SIGSYS",
        _ => return format!("signal {signal}"),
    };
    known.to_owned()
}

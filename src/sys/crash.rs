//! The record of a crash: when a fatal signal ends the process, the stacks of its threads are left in the spool. What
//! would have happened without this happens afterwards: the handler that was there before, a core dump, the end.
//!
//! The Python stacks come from faulthandler: the handler of a crash raises the signal that asks for a dump, in its own
//! thread, while the descriptor that dumps go to is the spool's. So the application's own `faulthandler.enable()` is
//! left as it is, whether it comes before or after.

use super::{process, shm, signal};
use std::fs::File;
use std::io::Result;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::*};

/// Signals that only a fault, or somebody who wants a core dump, sends.
pub const SIGNALS: [i32; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT];
/// What the handler, the unwinder and faulthandler need of a stack when the thread's own is at its end.
const STACK: usize = 128 * 1024;
/// Calls of the native stack that are shown.
#[cfg(target_env = "gnu")]
const MAX_DEPTH: usize = 64;
/// How long the record may take: another thread may hold a lock of the dynamic linker's that the native stack needs.
const LIMIT_S: libc::time_t = 5;
/// How long a thread that crashes while another one does waits for the record.
const PATIENCE_MS: u32 = 2_000;

struct Record {
    /// The page of the spool, and where dumps go to otherwise, each with what fstat(2) says of it: the application may
    /// have closed a descriptor, and opened a file of its own under the number.
    page: (RawFd, u64),
    dumps: (RawFd, u64),
    previous: [Option<libc::sigaction>; SIGNALS.len()],
}

static RECORD: OnceLock<Record> = OnceLock::new();
static IS_BEGUN: AtomicBool = AtomicBool::new(false);
static IS_DONE: AtomicBool = AtomicBool::new(false);

/// From now on a fatal signal leaves a record in `page`. `dumps` is where stack dumps go to. Where a signal has a handler,
/// it is left alone, unless it is faulthandler's (`has_faulthandler`): that one only reports, too.
pub fn arm(page: File, dumps: RawFd, has_faulthandler: bool) -> Result<()> {
    // What the unwinder needs is loaded now, and not within the handler.
    write_native_stack(File::options().write(true).open("/dev/null")?.as_raw_fd());
    let (page_id, dumps_id) = (file_id(page.as_raw_fd()), file_id(dumps));
    let mut previous = [None; SIGNALS.len()];
    for (index, &number) in SIGNALS.iter().enumerate() {
        let found = action_of(number)?;
        let is_free = found.sa_sigaction == libc::SIG_DFL;
        previous[index] =
            (is_free || has_faulthandler && found.sa_sigaction != libc::SIG_IGN).then_some(found);
    }
    let record = Record { page: (page.into_raw_fd(), page_id), dumps: (dumps, dumps_id), previous };
    if RECORD.set(record).is_err() {
        return Ok(());
    }
    let armed = RECORD.get().into_iter().flat_map(|record| SIGNALS.iter().zip(&record.previous));
    for (&number, _) in armed.filter(|(_, previous)| previous.is_some()) {
        install(number)?;
    }
    Ok(())
}

/// The calling thread gets a stack on which the overflow of its own can be told (sigaltstack(2)), unless it has one.
pub fn guard_thread() {
    let mut found = MaybeUninit::<libc::stack_t>::zeroed();
    // SAFETY: the result is initialized by the call, or is the zeroed one, which means nothing.
    let found = unsafe {
        libc::sigaltstack(std::ptr::null(), found.as_mut_ptr());
        found.assume_init()
    };
    if found.ss_flags & libc::SS_DISABLE == 0 && found.ss_size >= STACK {
        return;
    }
    // It is never unmapped: the threads that are guarded live as long as the process.
    let Ok(mapping) = shm::Mapping::private(STACK) else { return };
    let stack = libc::stack_t { ss_sp: mapping.start(), ss_flags: 0, ss_size: STACK };
    // SAFETY: a live mapping that nobody else uses.
    unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) };
}

fn action_of(number: i32) -> Result<libc::sigaction> {
    let mut found = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a zeroed sigaction is valid, and the call fills it in.
    unsafe {
        super::check(libc::sigaction(number, std::ptr::null(), found.as_mut_ptr()))?;
        Ok(found.assume_init())
    }
}

fn install(number: i32) -> Result<()> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a zeroed sigaction is valid; the handler has the signature of SA_SIGINFO.
    unsafe {
        let place = action.as_mut_ptr();
        (*place).sa_sigaction = crashed as *const () as libc::sighandler_t;
        (*place).sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // A fault within the handler ends the process at once, whichever it is (the kernel does not let it wait).
        libc::sigemptyset(&raw mut (*place).sa_mask);
        for other in SIGNALS {
            libc::sigaddset(&raw mut (*place).sa_mask, other);
        }
        super::check(libc::sigaction(number, place, std::ptr::null_mut())).map(drop)
    }
}

extern "C" fn crashed(number: libc::c_int, info: *const libc::siginfo_t, _: *const libc::c_void) {
    let Some(record) = RECORD.get() else { return };
    if !signal::is_anothers() {
        if IS_BEGUN.swap(true, AcqRel) {
            wait_for_the_other();
        } else {
            let limit = Limit::start();
            signal::keeping_errno(|| record.write(number, info));
            limit.end();
            IS_DONE.store(true, Release);
        }
    }
    let previous = SIGNALS.iter().zip(&record.previous).find(|(other, _)| **other == number);
    if let Some((_, Some(previous))) = previous {
        // SAFETY: what sigaction has given before.
        unsafe { libc::sigaction(number, previous, std::ptr::null_mut()) };
    }
    // SAFETY: the kernel hands over a siginfo.
    let is_sent = unsafe { (*info).si_code } <= 0;
    if is_sent {
        // It comes again when this handler returns. A fault repeats itself, at its own place.
        process::signal_thread(process::thread_id(), number);
    }
}

/// Kills the process (timer_create(2)) unless it is ended. System calls alone: the C library's functions take memory.
struct Limit(Option<libc::c_int>);

impl Limit {
    fn start() -> Limit {
        let mut event = MaybeUninit::<libc::sigevent>::zeroed();
        let mut id: libc::c_int = 0;
        // SAFETY: a zeroed sigevent and a zeroed itimerspec are valid; the pointers are those of live values.
        unsafe {
            (*event.as_mut_ptr()).sigev_notify = libc::SIGEV_SIGNAL;
            (*event.as_mut_ptr()).sigev_signo = libc::SIGKILL;
            if libc::syscall(libc::SYS_timer_create, libc::CLOCK_MONOTONIC, event.as_ptr(), &raw mut id) != 0
            {
                return Limit(None);
            }
            let mut time = MaybeUninit::<libc::itimerspec>::zeroed();
            (*time.as_mut_ptr()).it_value.tv_sec = LIMIT_S;
            let nowhere = std::ptr::null_mut::<libc::itimerspec>();
            libc::syscall(libc::SYS_timer_settime, id, 0, time.as_ptr(), nowhere);
        }
        Limit(Some(id))
    }

    fn end(self) {
        if let Some(id) = self.0 {
            // SAFETY: no pointers.
            unsafe { libc::syscall(libc::SYS_timer_delete, id) };
        }
    }
}

fn wait_for_the_other() {
    let pause = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    for _ in 0..PATIENCE_MS {
        if IS_DONE.load(Acquire) {
            return;
        }
        // SAFETY: a live timespec.
        unsafe { libc::nanosleep(&raw const pause, std::ptr::null_mut()) };
    }
}

impl Record {
    /// Runs inside a signal handler: async-signal-safe calls alone.
    fn write(&self, number: i32, info: *const libc::siginfo_t) {
        let (page, id) = self.page;
        if file_id(page) != id {
            return;
        }
        let mut line = Line::default();
        line.push(b"thread ").push_number(process::thread_id() as u64, 10);
        // SAFETY: the kernel hands over a siginfo; where it is of a fault it has an address.
        let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as u64) };
        if code > 0 && number != libc::SIGABRT {
            line.push(b" fault 0x").push_number(address, 16);
        }
        line.push(b"\n");
        put(page, line.bytes());
        self.write_python_stacks();
        put(page, b"\nnative stack:\n");
        write_native_stack(page);
    }

    /// Has faulthandler dump into the page.
    fn write_python_stacks(&self) {
        let ((page, _), (dumps, id)) = (self.page, self.dumps);
        if file_id(dumps) != id {
            return;
        }
        // SAFETY: no pointers; both are descriptors of the server.
        let saved = unsafe { libc::fcntl(dumps, libc::F_DUPFD_CLOEXEC, 0) };
        // SAFETY: as above.
        unsafe { libc::dup3(page, dumps, libc::O_CLOEXEC) };
        signal::raise_dump();
        if saved >= 0 {
            // The handler that was there before may let the process go on.
            // SAFETY: as above; the duplicate is this function's own.
            unsafe {
                libc::dup3(saved, dumps, libc::O_CLOEXEC);
                libc::close(saved);
            }
        }
    }
}

/// Device and inode of an open file in one number; 0: it is not open.
fn file_id(fd: RawFd) -> u64 {
    let mut found = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: a zeroed stat is valid, and fstat(2) is async-signal-safe.
    unsafe {
        match libc::fstat(fd, found.as_mut_ptr()) {
            0 => found.assume_init().st_ino ^ found.assume_init().st_dev.rotate_left(48),
            _ => 0,
        }
    }
}

fn put(fd: RawFd, bytes: &[u8]) {
    // SAFETY: live bytes; write(2) is async-signal-safe.
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
}

#[cfg(target_env = "gnu")]
fn write_native_stack(fd: RawFd) {
    let mut calls = [std::ptr::null_mut(); MAX_DEPTH];
    // SAFETY: room for so many calls; both functions take no lock and no memory once the unwinder is loaded
    // (backtrace(3)).
    unsafe {
        let depth = libc::backtrace(calls.as_mut_ptr(), MAX_DEPTH as libc::c_int);
        libc::backtrace_symbols_fd(calls.as_ptr(), depth, fd);
    }
}

#[cfg(not(target_env = "gnu"))]
fn write_native_stack(fd: RawFd) {
    put(fd, b"(this C library shows none)\n");
}

/// A line that is put together without an allocation.
struct Line {
    bytes: [u8; 96],
    len: usize,
}

impl Default for Line {
    fn default() -> Line {
        Line { bytes: [0; 96], len: 0 }
    }
}

impl Line {
    fn push(&mut self, bytes: &[u8]) -> &mut Line {
        for &byte in bytes {
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = byte;
                self.len += 1;
            }
        }
        self
    }

    fn push_number(&mut self, number: u64, base: u64) -> &mut Line {
        if number >= base {
            self.push_number(number / base, base);
        }
        self.push(&b"0123456789abcdef"[(number % base) as usize..][..1])
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_without_memory() {
        let mut line = Line::default();
        line.push(b"thread ").push_number(1203, 10).push(b" fault 0x").push_number(0xbeef0, 16);
        assert_eq!(line.bytes(), b"thread 1203 fault 0xbeef0");
        line.push(&[b'x'; 200]).push_number(0, 10);
        assert_eq!(line.bytes().len(), 96);
    }

    #[test]
    fn a_descriptor_is_known_by_its_file() {
        let (one, other) = (File::open("/dev/null").unwrap(), File::open("/proc/self/stat").unwrap());
        assert_eq!(file_id(one.as_raw_fd()), file_id(File::open("/dev/null").unwrap().as_raw_fd()));
        assert_ne!(file_id(one.as_raw_fd()), file_id(other.as_raw_fd()));
        assert_eq!(file_id(-1), 0);
    }

    #[test]
    fn a_thread_is_guarded_once() {
        let stack = || {
            let mut found = MaybeUninit::<libc::stack_t>::zeroed();
            // SAFETY: the call fills it in.
            unsafe {
                libc::sigaltstack(std::ptr::null(), found.as_mut_ptr());
                found.assume_init()
            }
        };
        let guarded = std::thread::spawn(move || {
            guard_thread();
            let first = stack();
            guard_thread();
            (first.ss_size, std::ptr::eq(first.ss_sp, stack().ss_sp))
        });
        assert_eq!(guarded.join().unwrap(), (STACK, true));
    }
}

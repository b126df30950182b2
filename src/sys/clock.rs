//! Clocks that cost no system call (vDSO).

use std::ffi::CStr;
use std::mem::MaybeUninit;

fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut now = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: `now` is a valid place for a timespec; a zeroed one is valid should the call ever fail.
    unsafe {
        libc::clock_gettime(clock, now.as_mut_ptr());
        now.assume_init()
    }
}

fn micros(time: libc::timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}

/// Microseconds of the monotonic clock; every deadline is counted on it.
pub fn monotonic_us() -> u64 {
    micros(read(libc::CLOCK_MONOTONIC))
}

/// The CPU time of one thread of this process.
#[derive(Clone, Copy, Debug)]
pub struct CpuClock(libc::clockid_t);

impl CpuClock {
    /// `tid`: the kernel's number of the thread.
    pub fn of(tid: i32) -> CpuClock {
        // MAKE_THREAD_CPUCLOCK of the kernel's posix-timers.h, which pthread_getcpuclockid(3) uses: the number's
        // complement, the bit for a thread, and CPUCLOCK_SCHED.
        const THREAD_SCHED: libc::clockid_t = 4 | 2;
        CpuClock((!tid << 3) | THREAD_SCHED)
    }

    /// Microseconds; 0 when the thread has ended.
    pub fn read_us(self) -> u64 {
        micros(read(self.0))
    }
}

/// Microseconds since 1970.
pub fn wall_us() -> u64 {
    micros(read(libc::CLOCK_REALTIME))
}

/// Seconds since the epoch, for people. As exact as the kernel's tick, which is enough for a date.
pub fn wall_secs() -> i64 {
    read(libc::CLOCK_REALTIME_COARSE).tv_sec
}

/// The date of a log line as C's ctime() writes it (`Fri Nov 20 09:50:01 2026`), in local time.
pub fn ctime(secs: i64) -> String {
    format(secs, c"%a %b %e %H:%M:%S %Y")
}

/// A date by a format of strftime(3), in local time; empty when it is longer than any date.
pub fn format(secs: i64, format: &CStr) -> String {
    let mut parts = MaybeUninit::<libc::tm>::zeroed();
    let mut text = [0u8; 256];
    // SAFETY: both pointers are to places of the right type; strftime is given the buffer's length and returns
    // how much of it holds text; the format is NUL-terminated.
    let len = unsafe {
        libc::localtime_r(&secs, parts.as_mut_ptr());
        libc::strftime(text.as_mut_ptr().cast(), text.len(), format.as_ptr(), parts.assume_init_ref())
    };
    String::from_utf8_lossy(&text[..len]).into_owned()
}

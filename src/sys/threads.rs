//! What can be seen of another thread of the process.

use super::clock;
use super::io;
use std::fs::File;
use std::io::Result;
use std::os::fd::AsFd;

/// Enough of proc_pid_stat(5) for the third field: the second, the command, has at most 16 bytes and two parentheses.
const STAT_HEAD: usize = 64;

/// Looks at one thread. The file stays open, since opening it costs five times as much as reading it.
#[derive(Debug)]
pub struct ThreadProbe {
    stat: File,
    clock: clock::CpuClock,
}

impl ThreadProbe {
    /// `tid`: the kernel's number of the thread.
    pub fn of(tid: i32) -> Result<ThreadProbe> {
        let stat = File::open(format!("/proc/self/task/{tid}/stat"))?;
        Ok(ThreadProbe { stat, clock: clock::CpuClock::of(tid) })
    }

    /// Is the thread running, or would it run if it had a processor (proc_pid_stat(5), field 3)?
    pub fn is_runnable(&self) -> bool {
        let mut stat = Vec::with_capacity(STAT_HEAD);
        if io::read_at(self.stat.as_fd(), 0, &mut stat, STAT_HEAD).is_err() {
            return false;
        }
        // The command may hold anything; it ends with the last parenthesis.
        let end = stat.iter().rposition(|&c| c == b')');
        end.and_then(|end| stat.get(end + 2)) == Some(&b'R')
    }

    /// CPU time that the thread has had since it began.
    pub fn cpu_us(&self) -> u64 {
        self.clock.read_us()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process;
    use std::sync::mpsc;

    #[test]
    fn a_thread_that_waits_is_told_from_one_that_computes() {
        let me = ThreadProbe::of(process::thread_id()).unwrap();
        assert!(me.is_runnable());
        let (before, begun) = (me.cpu_us(), clock::monotonic_us());
        while me.cpu_us() < before + 2_000 {
            assert!(clock::monotonic_us() < begun + 60_000_000);
        }
        let (tell, told) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let waiting = std::thread::spawn(move || {
            tell.send(process::thread_id()).unwrap();
            let _ = ended.recv();
        });
        let other = ThreadProbe::of(told.recv().unwrap()).unwrap();
        while other.is_runnable() {
            process::yield_now();
        }
        let cpu = other.cpu_us();
        drop(end);
        waiting.join().unwrap();
        assert!(!other.is_runnable() && cpu < 1_000_000);
    }
}

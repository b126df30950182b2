//! Looks at the requests that a process runs: which of them compute, and how long they have.

use crate::policy::admission::{self, Admission, Machine, Running};
use crate::shm::scoreboard::{CoreSlot, Phase};
use crate::sys::clock;
use crate::sys::threads::ThreadProbe;
use crate::worker::context::Context;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::*};

pub struct Looks {
    cores: Box<[CoreLook]>,
    machine: Machine,
}

/// What the looks at one core have found.
#[derive(Debug)]
struct CoreLook {
    /// `None`: its thread cannot be looked at.
    probe: OnceLock<Option<ThreadProbe>>,
    /// The request of the last look, by its begin.
    request_us: AtomicU64,
    /// The CPU time of its thread when that request began.
    base_us: AtomicU64,
    /// The CPU time of its thread when that was last found waiting.
    waited_at_us: AtomicU64,
}

impl Looks {
    pub fn new(context: &Context) -> Looks {
        let processors = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        let machine = Machine {
            processes: context.settings.instance.processes.into(),
            processors,
            at_once: if context.parallel { processors } else { 1 },
        };
        Looks { cores: context.cores().map(|_| CoreLook::new()).collect(), machine }
    }

    /// May the process, which runs requests, begin another?
    pub fn admit(&self, context: &Context) -> Admission {
        let now = clock::monotonic_us();
        let cores = context.cores().zip(&self.cores).filter(|(core, _)| core.phase() != Phase::Idle);
        admission::admit(cores.map(|(core, look)| look.at(core, now, self.machine)), self.machine)
    }
}

impl CoreLook {
    fn new() -> CoreLook {
        CoreLook {
            probe: OnceLock::new(),
            request_us: AtomicU64::new(0),
            base_us: AtomicU64::new(0),
            waited_at_us: AtomicU64::new(u64::MAX),
        }
    }

    fn at(&self, core: CoreSlot, now_us: u64, machine: Machine) -> Running {
        let started_us = core.started_us().load(Relaxed);
        // What it has had at least, if all processes want a processor and get their turn.
        let processes = machine.processes.max(machine.processors).max(1);
        let share_us = now_us.saturating_sub(started_us) * machine.processors / processes;
        let probe = self.probe.get_or_init(|| ThreadProbe::of(core.tid().load(Relaxed) as i32).ok());
        let Some(probe) = probe else { return Running { computes: true, cpu_us: share_us } };
        let cpu_us = probe.cpu_us();
        if self.request_us.swap(started_us, Relaxed) != started_us {
            self.base_us.store(cpu_us.saturating_sub(share_us), Relaxed);
        }
        let had_us = cpu_us.saturating_sub(self.base_us.load(Relaxed));
        Running { computes: self.computes(probe, cpu_us), cpu_us: had_us }
    }

    /// A thread that waited, and has had no CPU time since, waits on. To know that costs a tenth of a read in /proc, which
    /// matters where many threads wait for a database.
    fn computes(&self, probe: &ThreadProbe, cpu_us: u64) -> bool {
        if self.waited_at_us.load(Relaxed) == cpu_us {
            return false;
        }
        let is_runnable = probe.is_runnable();
        if !is_runnable {
            self.waited_at_us.store(cpu_us, Relaxed);
        }
        is_runnable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process;
    use std::sync::mpsc;

    #[test]
    fn a_thread_that_waited_is_seen_when_it_computes() {
        let (go, goes) = mpsc::channel::<()>();
        let (tid, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            tid.send(process::thread_id()).unwrap();
            goes.recv().unwrap();
            while goes.try_recv().is_err() {}
        });
        let (look, probe) = (CoreLook::new(), ThreadProbe::of(told.recv().unwrap()).unwrap());
        let computes = || look.computes(&probe, probe.cpu_us());
        while computes() {
            process::yield_now();
        }
        assert!(!computes() && look.waited_at_us.load(Relaxed) == probe.cpu_us());
        go.send(()).unwrap();
        while !computes() {
            process::yield_now();
        }
        go.send(()).unwrap();
        thread.join().unwrap();
    }
}

//! Looks at the requests that a process runs: which of them compute, and how long they have.

use crate::policy::admission::{self, Admission, Machine, Running};
use crate::shm::scoreboard::{CoreSlot, Phase};
use crate::sys::clock;
use crate::sys::threads::ThreadProbe;
use crate::worker::context::Context;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};

/// For how long a thread that was found waiting is taken to wait on, and how many of the others one look asks: with many
/// of them it would cost too much.
const WAITS_ON_US: u64 = 2_000;
const MAX_ASKED: u32 = 4;

pub struct Looks {
    cores: Box<[CoreLook]>,
    machine: Machine,
    /// The last look has found that no request computed.
    all_waited: AtomicBool,
}

/// What the looks at one core have found.
#[derive(Debug, Default)]
struct CoreLook {
    probe: OnceLock<ThreadProbe>,
    /// The request of the last look, by its begin.
    request_us: AtomicU64,
    /// The CPU time of its thread when that request began.
    base_us: AtomicU64,
    /// When its thread was found waiting, and the CPU time that it had had then; 0: it was not.
    waits_us: AtomicU64,
    waits_cpu_us: AtomicU64,
}

impl Looks {
    pub fn new(context: &Context) -> Looks {
        let processors = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        let machine = Machine {
            processes: context.settings.instance.processes.into(),
            processors,
            at_once: if context.parallel { processors } else { 1 },
        };
        let cores = context.cores().map(|_| CoreLook::default()).collect();
        Looks { cores, machine, all_waited: AtomicBool::new(false) }
    }

    /// Do requests here mostly wait? Then it is worth a look whether one that has just begun does.
    pub fn expects_waits(&self) -> bool {
        self.all_waited.load(Relaxed)
    }

    /// May the process, which runs requests, begin another? `has_just_begun`: one of them; that it computes says little.
    pub fn admit(&self, context: &Context, has_just_begun: bool) -> Admission {
        let now = clock::monotonic_us();
        let (mut asked, mut waiting, mut computing) = (0, 0, 0);
        let cores = context.cores().zip(&self.cores).filter(|(core, _)| core.phase() != Phase::Idle);
        let running = cores.map(|(core, look)| {
            let found = look.at(core, now, self.machine, &mut asked);
            *(if found.computes { &mut computing } else { &mut waiting }) += 1;
            found
        });
        let admission = admission::admit(running, self.machine);
        let all_wait = waiting > 0 && computing == 0;
        if all_wait || !has_just_begun {
            self.all_waited.store(all_wait, Relaxed);
        }
        admission
    }
}

impl CoreLook {
    fn at(&self, core: CoreSlot, now_us: u64, machine: Machine, asked: &mut u32) -> Running {
        let started_us = core.started_us().load(Relaxed);
        let is_known = self.request_us.swap(started_us, Relaxed) == started_us;
        if is_known && self.is_taken_to_wait(now_us, asked) {
            return Running { computes: false, cpu_us: 0 };
        }
        // What it has had at least, if all processes want a processor and get their turn.
        let processes = machine.processes.max(machine.processors).max(1);
        let share_us = now_us.saturating_sub(started_us) * machine.processors / processes;
        let Some(probe) = self.probe(core) else { return Running { computes: true, cpu_us: share_us } };
        let cpu_us = probe.cpu_us();
        if !is_known {
            self.base_us.store(cpu_us.saturating_sub(share_us), Relaxed);
        }
        let had_us = cpu_us.saturating_sub(self.base_us.load(Relaxed));
        Running { computes: self.computes(probe, cpu_us, now_us, is_known), cpu_us: had_us }
    }

    /// `None`: there is no descriptor for it now.
    fn probe(&self, core: CoreSlot) -> Option<&ThreadProbe> {
        if self.probe.get().is_none() {
            let _ = self.probe.set(ThreadProbe::of(core.tid().load(Relaxed) as i32).ok()?);
        }
        self.probe.get()
    }

    fn is_taken_to_wait(&self, now_us: u64, asked: &mut u32) -> bool {
        let waits_us = self.waits_us.load(Relaxed);
        if waits_us == 0 {
            return false;
        }
        *asked += u32::from(now_us.saturating_sub(waits_us) >= WAITS_ON_US);
        now_us.saturating_sub(waits_us) < WAITS_ON_US || *asked > MAX_ASKED
    }

    /// A thread that waited and has had no CPU time since waits on.
    fn computes(&self, probe: &ThreadProbe, cpu_us: u64, now_us: u64, is_known: bool) -> bool {
        let waits_on = is_known && self.waits_cpu_us.load(Relaxed) == cpu_us;
        if !waits_on && probe.is_runnable() {
            self.waits_us.store(0, Relaxed);
            return true;
        }
        self.waits_cpu_us.store(cpu_us, Relaxed);
        self.waits_us.store(now_us, Relaxed);
        false
    }
}

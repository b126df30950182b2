//! The sampler of a worker (`/profile`): a thread that is there only while a profile is taken. So many times a second it
//! looks at the scoreboard, and where a request runs it attaches to Python and notes what the threads do.
//!
//! It sees them where they give up the GIL: in calls that wait, and in computations wherever the interpreter switches
//! threads (5 ms after it was asked, unless the application has changed the switch interval). A call into C that holds the
//! GIL is seen when it returns, and then counts for all the time that it took.

use super::ffi;
use super::samples::Samples;
use crate::base::reason::reason;
use crate::log;
use crate::shm::scoreboard::{CoreSlot, Phase};
use crate::sys::spool::Page;
use crate::sys::{clock, signal};
use crate::worker::shared::Shared;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::time::{Duration, Instant};

/// Threads that run no requests are looked at each so many samples.
const OTHERS_EVERY: u64 = 10;
const STACK: usize = 512 * 1024;
const SECOND_US: u64 = 1_000_000;

/// How long a worker that has served its last request waits for its profile, and the longest sleep of the sampler.
const PATIENCE: Duration = Duration::from_millis(500);
const NAP: Duration = Duration::from_millis(50);

static IS_RUNNING: AtomicBool = AtomicBool::new(false);
/// The worker leaves.
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// When the signal comes the sampler is started, in the main thread, as soon as that runs Python code or waits. To be called
/// there. Not `signal`, which each worker would import for itself.
pub fn arm(py: Python<'_>, shared: &Arc<Shared>) -> PyResult<()> {
    let (shared, base) = (shared.clone(), depth(py)?);
    let start = move |_: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| start(&shared, base);
    let handler = PyCFunction::new_closure(py, None, None, start)?;
    py.import("_signal")?.call_method1("signal", (signal::profile(), handler)).map(drop)
}

/// How many calls of Python code the calling thread is in.
fn depth(py: Python<'_>) -> PyResult<usize> {
    let mut frame = Some(py.import("sys")?.call_method0("_getframe")?);
    let mut depth = 0;
    while let Some(inner) = frame {
        depth += 1;
        frame = ffi::caller_of(&inner);
    }
    Ok(depth)
}

fn start(shared: &Arc<Shared>, base: usize) {
    if IS_RUNNING.swap(true, AcqRel) {
        return;
    }
    let sampling = shared.clone();
    let builder = std::thread::Builder::new().name("rwsgi profile".to_owned()).stack_size(STACK);
    if let Err(error) = builder.spawn(move || run(&sampling, base)) {
        IS_RUNNING.store(false, Release);
        log::say(&format!("worker {}: cannot start a profile: {}", shared.context.id, reason(error)));
    }
}

/// Takes profiles as long as one is wanted: a new one may be asked for while the last one ends.
fn run(shared: &Shared, base: usize) {
    let _ = signal::block_all_but(signal::orphaned());
    let slot = shared.context.slot;
    let mut last = 0;
    loop {
        let number = slot.profile().load(Acquire);
        if number != last {
            last = number;
            take(shared, base, number);
            continue;
        }
        IS_RUNNING.store(false, SeqCst);
        // One that was asked for meanwhile has found this thread running.
        if slot.profile().load(SeqCst) == last || IS_RUNNING.swap(true, SeqCst) {
            return;
        }
    }
}

/// Before the process ends: what has been found until now is left for the master.
pub fn finish() {
    IS_OVER.store(true, SeqCst);
    let until = Instant::now() + PATIENCE;
    while IS_RUNNING.load(SeqCst) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn take(shared: &Shared, base: usize, number: u64) {
    let mut sampler = Sampler::new(shared, base);
    let text = Python::attach(|py| sampler.sample_until_over(py));
    if !shared.lifeline.is_assigned() {
        return;
    }
    let context = &shared.context;
    if let Err(error) = shared.spool.write(context.slot_index, Page::Profile, text.as_bytes()) {
        log::say(&format!("worker {}: cannot leave its profile: {}", context.id, reason(error)));
    }
    context.slot.profile_done().store(number, Release);
    shared.lifeline.tell_master();
}

struct Sampler<'a> {
    shared: &'a Shared,
    /// Calls that the main thread is in where it runs no request.
    base: usize,
    period: u64,
    until: u64,
    /// The time of the next sample, and how many there were since the other threads were looked at.
    due: u64,
    unseen: u64,
    samples: Samples,
}

impl Sampler<'_> {
    fn new(shared: &Shared, base: usize) -> Sampler<'_> {
        let context = &shared.context;
        let period = SECOND_US / context.slot.profile_hz().load(Relaxed).clamp(1, 1_000);
        Sampler {
            shared,
            base,
            period,
            until: context.slot.profile_until_us().load(Relaxed),
            // The workers take turns. It may be long until this thread has the GIL for the first time.
            due: clock::monotonic_us() + period * (u64::from(context.id) % 8) / 8,
            unseen: 0,
            samples: Samples::default(),
        }
    }

    fn sample_until_over(&mut self, py: Python<'_>) -> String {
        while py.detach(|| self.wait()) {
            let ticks = self.pass();
            if self.look(py, ticks).is_err() {
                self.samples.lose(ticks);
            }
        }
        self.samples.folded(py)
    }

    /// Waits until there is something to see. `false`: the profile is over.
    fn wait(&mut self) -> bool {
        while self.due < self.until && !IS_OVER.load(SeqCst) && self.shared.lifeline.is_assigned() {
            let early = Duration::from_micros(self.due.saturating_sub(clock::monotonic_us()));
            std::thread::sleep(early.min(NAP));
            if early > NAP {
                continue;
            }
            if self.unseen + 1 >= OTHERS_EVERY || self.shared.context.cores().any(is_busy) {
                return true;
            }
            self.pass();
        }
        false
    }

    /// How many samples fall on this one: between two of them the GIL may have been held for long.
    fn pass(&mut self) -> u64 {
        let ticks = 1 + clock::monotonic_us().min(self.until).saturating_sub(self.due) / self.period;
        self.due += ticks * self.period;
        self.unseen += ticks;
        ticks
    }

    fn look(&mut self, py: Python<'_>, ticks: u64) -> PyResult<()> {
        let frames = py.import(intern!(py, "sys"))?.call_method0(intern!(py, "_current_frames"))?;
        let frames = frames.cast_into::<PyDict>()?;
        let cores = &self.shared.context;
        for (index, core) in cores.cores().enumerate().filter(|&(_, core)| is_busy(core)) {
            // The main thread's outermost calls are the server's own.
            let base = if index == 0 { self.base } else { 0 };
            // A request that has begun since then is not that old.
            let age = clock::monotonic_us().saturating_sub(core.started_us().load(Relaxed));
            let frame = frames.get_item(core.ident().load(Relaxed))?;
            self.samples.add_request(frame, base, ticks.min(1 + age / self.period));
        }
        if self.unseen >= OTHERS_EVERY {
            let unseen = std::mem::take(&mut self.unseen);
            for (ident, frame) in frames {
                let ident: usize = ident.extract()?;
                if !cores.cores().any(|core| core.ident().load(Relaxed) == ident as u64) {
                    self.samples.add_other(frame, ident, unseen);
                }
            }
        }
        Ok(())
    }
}

fn is_busy(core: CoreSlot) -> bool {
    core.phase() != Phase::Idle
}

//! The sampler of a worker (`/profile`): a thread that is there only while a profile is taken. So many times a second it
//! attaches to Python and notes what the threads do.
//!
//! It sees them where they give up the GIL: in calls that wait, and in computations wherever the interpreter switches
//! threads (5 ms after it was asked, unless the application has changed the switch interval). A call into C that holds the
//! GIL is seen when it returns, and then counts for all the time that it took.

use super::ffi;
use crate::base::reason::reason;
use crate::log;
use crate::shm::scoreboard::{Command, Phase};
use crate::sys::spool::{self, Page};
use crate::sys::{clock, signal};
use crate::worker::shared::Shared;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::time::Duration;

/// More different stacks are counted together.
const MAX_STACKS: usize = 4_096;
/// Calls of one stack, from the innermost on.
const MAX_DEPTH: usize = 500;
/// Bytes of the text that the master reads.
const MAX_TEXT: usize = spool::MAX_PROFILE;
const STACK: usize = 512 * 1024;
const SECOND_US: u64 = 1_000_000;

/// The roots of all stacks.
const REQUESTS: &str = "requests";
const OTHERS: &str = "other threads";

static IS_RUNNING: AtomicBool = AtomicBool::new(false);

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

fn take(shared: &Shared, base: usize, number: u64) {
    // It may be long until this thread has the GIL for the first time.
    let begun = clock::monotonic_us();
    let text = Python::attach(|py| sample_until_over(py, shared, base, begun));
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

fn sample_until_over(py: Python<'_>, shared: &Shared, base: usize, begun: u64) -> String {
    let slot = shared.context.slot;
    let period = SECOND_US / slot.profile_hz().load(Relaxed).clamp(1, 1_000);
    let until = slot.profile_until_us().load(Relaxed);
    let mut samples = Samples { base, ..Samples::default() };
    let mut due = begun;
    while due < until && matches!(shared.lifeline.command(), Command::Serve | Command::Pause) {
        py.detach(|| sleep_until(due));
        // How many samples fall on this one: between two of them the GIL may have been held for long.
        let ticks = 1 + clock::monotonic_us().min(until).saturating_sub(due) / period;
        samples.take(py, shared, ticks).unwrap_or_else(|_| samples.lost += ticks);
        due += ticks * period;
    }
    samples.folded(py)
}

fn sleep_until(due: u64) {
    std::thread::sleep(Duration::from_micros(due.saturating_sub(clock::monotonic_us())));
}

/// How often each stack was found. A stack is the number of its root, then its code objects from the innermost call on.
#[derive(Default)]
struct Samples {
    /// Calls that the main thread is in where it runs no request.
    base: usize,
    stacks: HashMap<Box<[usize]>, u64>,
    /// The code objects, which are kept: their addresses stand for them.
    codes: HashMap<usize, Py<PyAny>>,
    /// Roots of threads that run no requests: their numbers, 0 being that of requests.
    others: Vec<(u64, String)>,
    /// Of stacks beyond those that are told apart.
    lost: u64,
    stack: Vec<usize>,
}

impl Samples {
    fn take(&mut self, py: Python<'_>, shared: &Shared, ticks: u64) -> PyResult<()> {
        let frames = py.import(intern!(py, "sys"))?.call_method0(intern!(py, "_current_frames"))?;
        let frames = frames.cast_into::<PyDict>()?;
        let mut idents = Vec::with_capacity(shared.context.scoreboard.threads());
        for (index, core) in shared.context.cores().enumerate() {
            let ident = core.ident().load(Relaxed);
            idents.push(ident);
            if core.phase() != Phase::Idle {
                let base = if index == 0 { self.base } else { 0 };
                self.add(0, frames.get_item(ident)?, base, ticks);
            }
        }
        for (ident, frame) in frames {
            let ident = ident.extract()?;
            if !idents.contains(&ident) {
                let root = self.root_of(py, ident);
                self.add(root, Some(frame), 0, ticks);
            }
        }
        Ok(())
    }

    /// Counts a stack without its `base` outermost calls.
    fn add(&mut self, root: usize, frame: Option<Bound<'_, PyAny>>, base: usize, ticks: u64) {
        self.stack.clear();
        self.stack.push(root);
        let mut next = frame;
        while let Some(frame) = next.take_if(|_| self.stack.len() <= MAX_DEPTH + base) {
            let number = self.number_of(ffi::code_of(&frame));
            self.stack.push(number);
            next = ffi::caller_of(&frame);
        }
        let len = self.stack.len().saturating_sub(base).max(1);
        self.stack.truncate(len);
        if let Some(count) = self.stacks.get_mut(&self.stack[..]) {
            *count += ticks;
        } else if self.stacks.len() < MAX_STACKS {
            self.stacks.insert(self.stack.as_slice().into(), ticks);
        } else {
            self.lost += ticks;
        }
    }

    fn number_of(&mut self, code: Bound<'_, PyAny>) -> usize {
        let number = code.as_ptr() as usize;
        self.codes.entry(number).or_insert_with(|| code.unbind());
        number
    }

    fn root_of(&mut self, py: Python<'_>, ident: u64) -> usize {
        let known = self.others.iter().position(|(other, _)| *other == ident);
        1 + known.unwrap_or_else(|| {
            self.others.push((ident, thread_name(py, ident).unwrap_or_else(|| format!("{ident:#x}"))));
            self.others.len() - 1
        })
    }

    /// A line for each stack: its calls from the outermost on, and how often it was found.
    fn folded(&self, py: Python<'_>) -> String {
        let paths = search_path(py);
        let names: HashMap<usize, String> =
            self.codes.iter().map(|(&number, code)| (number, call_name(code.bind(py), &paths))).collect();
        py.detach(|| self.lines(&names))
    }

    fn lines(&self, names: &HashMap<usize, String>) -> String {
        let mut stacks: Vec<_> = self.stacks.iter().collect();
        stacks.sort_unstable_by(|one, other| other.1.cmp(one.1));
        let (mut text, mut lost) = (String::new(), self.lost);
        for (stack, count) in stacks {
            let line = line(stack, &self.others, names);
            if text.len() + line.len() + 64 > MAX_TEXT {
                lost += count;
            } else {
                let _ = writeln!(text, "{line} {count}");
            }
        }
        if lost > 0 {
            let _ = writeln!(text, "(other) {lost}");
        }
        text
    }
}

/// The calls of a stack from the outermost on.
fn line(stack: &[usize], others: &[(u64, String)], names: &HashMap<usize, String>) -> String {
    let mut line = match stack[0].checked_sub(1) {
        None => REQUESTS.to_owned(),
        Some(other) => format!("{OTHERS};{}", clean(&others[other].1)),
    };
    for number in stack[1..].iter().rev() {
        line.push(';');
        line.push_str(names.get(number).map_or("?", |name| name));
    }
    if stack.len() == 1 {
        // The request is being read, or its answer is sent, by the server itself.
        line.push_str(";(rwsgi)");
    }
    line
}

/// As `threading` knows it, where the application has imported that.
fn thread_name(py: Python<'_>, ident: u64) -> Option<String> {
    let modules = py.import("sys").ok()?.getattr("modules").ok()?;
    let threading = modules.get_item("threading").ok()?;
    let thread = threading.getattr("_active").ok()?.get_item(ident).ok()?;
    thread.getattr("_name").ok()?.extract().ok()
}

fn search_path(py: Python<'_>) -> Vec<String> {
    let path = py.import("sys").and_then(|sys| sys.getattr("path")?.extract::<Vec<String>>());
    let mut path = path.unwrap_or_default();
    path.retain(|folder| folder.len() > 1);
    path.sort_unstable_by_key(|folder| std::cmp::Reverse(folder.len()));
    path
}

/// `view (site/views.py:12)`: where the function begins, below the folder that modules are imported from.
fn call_name(code: &Bound<'_, PyAny>, paths: &[String]) -> String {
    let text = |name: &str| code.getattr(name).and_then(|text| text.extract::<String>()).ok();
    let function = text("co_qualname").or_else(|| text("co_name")).unwrap_or_default();
    let file = text("co_filename").unwrap_or_default();
    let below = |folder: &String| file.strip_prefix(folder.as_str())?.strip_prefix('/');
    let file = paths.iter().find_map(below).unwrap_or(&file);
    let line: u32 = code.getattr("co_firstlineno").and_then(|line| line.extract()).unwrap_or(0);
    clean(&format!("{function} ({file}:{line})"))
}

/// A name that does not end a call or a line.
fn clean(name: &str) -> String {
    name.replace(';', ":").replace(['\n', '\r'], " ")
}

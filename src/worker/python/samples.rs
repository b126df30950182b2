//! What a profile has found: a tree of calls, each with how often it was the innermost one.

use super::ffi;
use crate::sys::spool::MAX_PROFILE;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::collections::HashMap;
use std::fmt::Write;

/// Of all stacks together. What does not fit is counted as one.
const MAX_CALLS: usize = 50_000;
/// Calls of one stack, from the innermost on.
const MAX_DEPTH: usize = 500;

/// The roots of all stacks.
const REQUESTS: &str = "requests";
const OTHERS: &str = "other threads";

/// The place of a call in the tree.
type Place = u32;
/// The caller of the roots.
const OUTSIDE: Place = Place::MAX;
/// The root of requests; those of other threads have their numbers.
const REQUEST: usize = 0;

struct Call {
    caller: Place,
    /// The address of a code object, or a root.
    number: usize,
    /// How often it was the innermost one.
    count: u64,
}

#[derive(Default)]
pub struct Samples {
    calls: Vec<Call>,
    places: HashMap<(Place, usize), Place>,
    /// The code objects, which are kept: their addresses stand for them.
    codes: HashMap<usize, Py<PyAny>>,
    /// Threads that run no requests: what they are called.
    threads: HashMap<usize, String>,
    /// Of stacks beyond those that are told apart.
    lost: u64,
    /// The stack that is looked at, from the innermost call on.
    stack: Vec<Py<PyAny>>,
}

impl Samples {
    /// Counts the stack of a request, without its `base` outermost calls.
    pub fn add_request(&mut self, frame: Option<Bound<'_, PyAny>>, base: usize, ticks: u64) {
        self.walk(frame, base);
        self.count(REQUEST, ticks);
    }

    /// Counts the stack of a thread that runs no requests.
    pub fn add_other(&mut self, frame: Bound<'_, PyAny>, ident: usize, ticks: u64) {
        let py = frame.py();
        if self.threads.len() < MAX_CALLS {
            let name = || thread_name(py, ident).unwrap_or_else(|| format!("{ident:#x}"));
            self.threads.entry(ident).or_insert_with(name);
        }
        self.walk(Some(frame), 0);
        self.count(ident, ticks);
    }

    /// Of these it is not known what was run.
    pub fn lose(&mut self, ticks: u64) {
        self.lost += ticks;
    }

    fn walk(&mut self, frame: Option<Bound<'_, PyAny>>, base: usize) {
        let mut next = frame;
        while let Some(frame) = next.take_if(|_| self.stack.len() < MAX_DEPTH + base) {
            self.stack.push(ffi::code_of(&frame).unbind());
            next = ffi::caller_of(&frame);
        }
        self.stack.truncate(self.stack.len().saturating_sub(base));
    }

    fn count(&mut self, root: usize, ticks: u64) {
        let mut place = self.place_of(OUTSIDE, root);
        while let Some(code) = self.stack.pop() {
            let number = code.as_ptr() as usize;
            let known = self.calls.len();
            place = place.and_then(|caller| self.place_of(caller, number));
            if self.calls.len() > known {
                self.codes.entry(number).or_insert(code);
            }
        }
        match place {
            Some(place) => self.calls[place as usize].count += ticks,
            None => self.lost += ticks,
        }
    }

    /// The place of a call, a new one if need be; `None`: there are too many.
    fn place_of(&mut self, caller: Place, number: usize) -> Option<Place> {
        if let Some(place) = self.places.get(&(caller, number)) {
            return Some(*place);
        }
        let place = (self.calls.len() < MAX_CALLS).then_some(self.calls.len() as Place)?;
        self.calls.push(Call { caller, number, count: 0 });
        self.places.insert((caller, number), place);
        Some(place)
    }

    /// A line for each stack: its calls from the outermost on, and how often it was found.
    pub fn folded(&self, py: Python<'_>) -> String {
        let paths = search_path(py);
        let names: HashMap<usize, String> =
            self.codes.iter().map(|(&number, code)| (number, call_name(code.bind(py), &paths))).collect();
        py.detach(|| self.lines(&names))
    }

    fn lines(&self, names: &HashMap<usize, String>) -> String {
        let mut found: Vec<_> = self.calls.iter().filter(|call| call.count > 0).collect();
        found.sort_by_key(|call| std::cmp::Reverse(call.count));
        let (mut text, mut lost) = (String::new(), self.lost);
        let mut left = found.into_iter();
        for call in left.by_ref() {
            let line = self.line(call, names);
            if text.len() + line.len() + 64 > MAX_PROFILE {
                lost += call.count;
                break;
            }
            let _ = writeln!(text, "{line} {}", call.count);
        }
        lost += left.map(|call| call.count).sum::<u64>();
        if lost > 0 {
            let _ = writeln!(text, "(other) {lost}");
        }
        text
    }

    /// The calls of a stack from the outermost on.
    fn line(&self, innermost: &Call, names: &HashMap<usize, String>) -> String {
        let mut calls = vec![];
        let mut next = innermost;
        while let Some(caller) = self.calls.get(next.caller as usize) {
            calls.push(names.get(&next.number).map_or("?", |name| name));
            next = caller;
        }
        let mut line = match self.threads.get(&next.number) {
            _ if next.number == REQUEST => REQUESTS.to_owned(),
            Some(name) => format!("{OTHERS};{}", clean(name)),
            None => format!("{OTHERS};{:#x}", next.number),
        };
        if calls.is_empty() {
            // The request is being read, or its answer is sent, by the server itself.
            calls.push("(rwsgi)");
        }
        for call in calls.iter().rev() {
            line.push(';');
            line.push_str(call);
        }
        line
    }
}

/// As `threading` knows it, where the application has imported that.
fn thread_name(py: Python<'_>, ident: usize) -> Option<String> {
    let modules = py.import("sys").ok()?.getattr("modules").ok()?;
    let threading = modules.get_item("threading").ok()?;
    let thread = threading.getattr("_active").ok()?.get_item(ident).ok()?;
    text_of(thread.getattr("_name").ok()?)
}

/// File names need not be UTF-8.
fn text_of(text: Bound<'_, PyAny>) -> Option<String> {
    Some(text.cast_into::<PyString>().ok()?.to_string_lossy().into_owned())
}

fn search_path(py: Python<'_>) -> Vec<String> {
    let path = py.import("sys").and_then(|sys| sys.getattr("path")?.try_iter());
    // The application may have put anything there.
    let mut path: Vec<String> = path.into_iter().flatten().flatten().filter_map(text_of).collect();
    path.retain(|folder| folder.len() > 1);
    path.sort_unstable_by_key(|folder| std::cmp::Reverse(folder.len()));
    path
}

/// `view (site/views.py:12)`: where the function begins, below the folder that modules are imported from.
fn call_name(code: &Bound<'_, PyAny>, paths: &[String]) -> String {
    let text = |name: &str| code.getattr(name).ok().and_then(text_of);
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

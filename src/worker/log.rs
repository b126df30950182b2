//! A worker's request lines: gathered in shared memory, written many at a time.

use crate::shm::lines::LineBuffer;
use crate::sys::owned_files::Place;
use crate::sys::{clock, io};
use std::ffi::CString;
use std::io::Result;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

/// Under load a line waits at most this long.
const LONGEST_US: u64 = 100_000;
/// With nothing to do, lines wait this long for company.
pub const IDLE: Duration = Duration::from_millis(10);
/// Write before the buffer is full.
const MUCH: usize = 48 * 1024;

struct State {
    buffer: LineBuffer,
    /// When the oldest line came.
    since_us: u64,
    /// The date of the second it was made for.
    date: (i64, String),
}

pub struct Log {
    state: Mutex<State>,
    whole: bool,
}

impl Log {
    pub fn new(buffer: LineBuffer) -> Log {
        // A file opened for appending keeps any write in one piece; a pipe does so only up to PIPE_BUF.
        let whole = io::regular_size(io::stderr()).is_some();
        let state = State { buffer, since_us: 0, date: (0, String::new()) };
        Log { state: Mutex::new(state), whole }
    }

    /// Appends one line, which `write` is given the date to make.
    pub fn push(&self, now_us: u64, line: &mut Vec<u8>, write: impl FnOnce(&str, &mut Vec<u8>)) {
        let Ok(mut state) = self.state.lock() else { return };
        let now = clock::wall_secs();
        if state.date.0 != now {
            state.date = (now, clock::ctime(now));
        }
        line.clear();
        write(&state.date.1, line);
        if state.buffer.is_empty() {
            state.since_us = now_us;
        }
        if !state.buffer.push(line) {
            let _ = state.buffer.flush(io::stderr(), self.whole);
            state.buffer.push(line);
        }
        if state.buffer.len() > MUCH || now_us.saturating_sub(state.since_us) > LONGEST_US {
            let _ = state.buffer.flush(io::stderr(), self.whole);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.state.lock().is_ok_and(|state| state.buffer.is_empty())
    }

    pub fn flush(&self) {
        if let Ok(state) = self.state.lock()
            && !state.buffer.is_empty()
        {
            let _ = state.buffer.flush(io::stderr(), self.whole);
        }
    }
}

/// Points output and errors at a file, which is made if need be.
pub fn open(path: &Path, truncate: bool) -> Result<()> {
    io::redirect_output(&Place::find(path)?.open_log(truncate)?)
}

/// How the date of the server's own lines is written (`log-date`).
static DATE_FORMAT: RwLock<Option<CString>> = RwLock::new(None);

/// A strftime format; none, or an empty one, stands for the usual date.
pub fn set_date_format(format: Option<&str>) {
    let format = format.filter(|text| !text.is_empty()).and_then(|text| CString::new(text).ok());
    *DATE_FORMAT.write().unwrap_or_else(PoisonError::into_inner) = format;
}

fn date() -> String {
    let now = clock::wall_secs();
    match &*DATE_FORMAT.read().unwrap_or_else(PoisonError::into_inner) {
        Some(format) => clock::format(now, format),
        None => clock::ctime(now),
    }
}

/// One line of the server's own, with the date that uWSGI puts in front of such lines.
pub fn say(text: &str) {
    let _ = io::write_all_blocking(io::stderr(), dated(text).as_bytes());
}

/// A text as a line of the log.
pub fn dated(text: &str) -> String {
    format!("{} - {}\n", date(), text.trim_end())
}

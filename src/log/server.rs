//! The server's own lines.

use super::{escape, writer};
use crate::sys::{clock, process};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::ffi::CString;
use std::panic::PanicHookInfo;
use std::sync::{PoisonError, RwLock};

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

/// One entry of the server's own, with the date that uWSGI puts in front of such lines.
pub fn say(text: &str) {
    let entry = dated(text);
    // In a child that the application has forked the writer may be held by a thread that is not there.
    match process::is_copy() {
        true => writer::write_unbuffered(entry.as_bytes()),
        false => writer::with(|writer| writer.say(entry.as_bytes())),
    }
}

/// The same for what is said about an alarm, which raises none.
pub fn say_of_alarm(text: &str) {
    writer::with(|writer| writer.say_of_alarm(dated(text).as_bytes()));
}

/// A text as an entry of the log.
pub fn dated(text: &str) -> String {
    let mut entry = date();
    entry.push_str(" - ");
    escape::push_entry(&mut entry, text);
    entry.push('\n');
    entry
}

/// A panic is said in the log, too: the standard hook would wait for its reader.
pub fn catch_panics() {
    std::panic::set_hook(Box::new(say_panic));
}

fn say_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let mut text = format!("thread '{}' {panic}", thread.name().unwrap_or("?"));
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        text.push_str(&format!("\n{trace}"));
    }
    let entry = dated(&text);
    let is_said = !process::is_copy() && writer::try_with(|writer| writer.say(entry.as_bytes())).is_some();
    if !is_said {
        writer::write_unbuffered(entry.as_bytes());
    }
}

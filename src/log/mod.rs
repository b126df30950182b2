//! Layer 4: the log. Every process of the tree writes to it: entries of the server's own, and a line for each request.
//! No process waits for the reader of the log.
#![forbid(unsafe_code)]

pub mod access;
pub mod buffers;
mod escape;
pub mod format;
pub mod lines;
mod server;
pub mod throttle;
mod writer;

use crate::base::log_health::LogHealth;
use crate::sys::io;
use crate::sys::output::Output;
use crate::sys::owned_files::Place;
use buffers::LineBuffer;
use lines::LineAlarms;
use std::io::Result;
use std::path::Path;
use std::time::Duration;

pub use escape::printable;
pub use server::{dated, say, say_of_alarm, set_date_format};
pub use writer::IDLE;

/// How long the end of a process waits for a reader that is slow.
const LAST_PAUSE: Duration = Duration::from_millis(100);

/// Readies the log of a server, before anything else opens a descriptor and before privileges are dropped.
pub fn start() {
    io::open_standard_streams();
    server::catch_panics();
    writer::with(|writer| writer.set_output(Output::of_stderr()));
}

/// Names this process, a child of the one that has started the log. Its lines wait in this buffer, which the master can
/// read.
pub fn enter(name: &str, buffer: LineBuffer) {
    writer::with(|writer| writer.enter(name, buffer));
}

/// From now on entries of this process, and of those that it forks, are held against these rules.
pub fn set_line_alarms(alarms: Option<LineAlarms>) {
    writer::with(|writer| writer.set_line_alarms(alarms));
}

/// Takes over what a process that is dead has not written.
pub fn inherit(buffer: &LineBuffer) {
    writer::with(|writer| writer.inherit(buffer));
}

/// Writes what waits, as far as it is taken.
pub fn flush() {
    writer::with(|writer| writer.flush());
}

/// How long until [`flush`] makes sense; `None`: nothing waits.
pub fn pause() -> Option<Duration> {
    writer::with(|writer| writer.pause())
}

/// How well the log takes what this process writes.
pub fn health(now_us: u64) -> LogHealth {
    writer::with(|writer| writer.health(now_us))
}

/// The end of the process.
pub fn close() {
    writer::with(|writer| writer.flush_within(LAST_PAUSE));
}

/// Points output and errors at a file, which is made if need be.
pub fn open(path: &Path, truncate: bool) -> Result<()> {
    io::redirect_output(&Place::find(path)?.open_log(truncate)?)?;
    writer::with(|writer| writer.set_output(Output::of_stderr()));
    Ok(())
}

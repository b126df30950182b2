//! The request lines of a worker: gathered, and written many at a time.

use super::writer;
use std::time::Duration;

/// The request log of this process.
#[derive(Debug, Default)]
pub struct Log;

impl Log {
    /// Appends one line, which `write` is given the date to make.
    pub fn push(&self, now_us: u64, line: &mut Vec<u8>, write: impl FnOnce(&str, &mut Vec<u8>)) {
        writer::with(|writer| {
            line.clear();
            write(writer.date(), line);
            writer.push(now_us, line);
        });
    }

    /// How long a thread with nothing else to do waits before it calls [`Log::flush`]; `None`: there is nothing to write.
    pub fn pause(&self) -> Option<Duration> {
        writer::with(|writer| writer.pause())
    }

    pub fn flush(&self) {
        super::flush();
    }
}

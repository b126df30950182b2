//! One process's log: a buffer of lines, and where they go. Nothing here waits for a reader. What is not taken waits in
//! the buffer; what has no room there is dropped and counted, and the count is said as soon as there is room again.

use super::buffers::{LineBuffer, MAX_LINE};
use super::lines::LineAlarms;
use super::throttle::Throttle;
use crate::base::log_health::LogHealth;
use crate::base::reason::reason;
use crate::sys::output::Output;
use crate::sys::{clock, process};
use std::io::{Error, ErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An idle worker writes its request lines after so long.
pub const IDLE: Duration = Duration::from_millis(10);
/// Under load a line waits at most this long.
const MAX_AGE_US: u64 = 100_000;
/// Written before the buffer is full.
const MANY: usize = 48 * 1024;
/// How long the next try is put off while nothing is taken: twice as long each time.
const MIN_PAUSE_US: u64 = 10_000;
const MAX_PAUSE_US: u64 = 1_000_000;
/// While the buffer is full it is tried more often, since each line that comes is lost.
const FULL_PAUSE_US: u64 = 1_000;
/// A write to a file that takes so long is told of. One to anything else comes back at once.
const SLOW_WRITE_US: u64 = 1_000_000;

pub struct Writer {
    output: Output,
    /// `None`: there was no memory for it.
    buffer: Option<LineBuffer>,
    /// The buffer of a process that has no place in shared memory.
    own: Option<LineBuffer>,
    /// Who says that lines were dropped.
    name: String,
    /// The number of forks before this process: another number means that it is a child of the process that made this.
    forks: u32,
    /// When the oldest line came.
    since_us: u64,
    tried_us: u64,
    /// Zero as long as everything is taken.
    pause_us: u64,
    /// Why nothing is taken.
    why: String,
    slow_writes: Throttle,
    /// The date of the second it was made for.
    date: (i64, String),
    line_alarms: Option<LineAlarms>,
}

static WRITER: Mutex<Option<Writer>> = Mutex::new(None);

/// The process's writer. Not for a child that the application has forked: a thread that does not exist there may hold
/// it.
pub fn with<T>(act: impl FnOnce(&mut Writer) -> T) -> T {
    act(ready(&mut WRITER.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// The same for a caller that may have interrupted the holder of the writer; `None`: it has.
pub fn try_with<T>(act: impl FnOnce(&mut Writer) -> T) -> Option<T> {
    WRITER.try_lock().ok().map(|mut guard| act(ready(&mut guard)))
}

fn ready<'a>(guard: &'a mut MutexGuard<'_, Option<Writer>>) -> &'a mut Writer {
    let writer = guard.get_or_insert_with(Writer::new);
    if writer.forks != process::forks() {
        writer.begin_child();
    }
    writer
}

/// Writes what is taken at once, and forgets the rest.
pub fn write_unbuffered(text: &[u8]) {
    let _ = Output::of_stderr().write(text);
}

impl Writer {
    fn new() -> Writer {
        let own = LineBuffer::private().ok();
        Writer {
            output: Output::of_stderr(),
            buffer: own,
            own,
            name: "master".to_owned(),
            forks: process::forks(),
            since_us: 0,
            tried_us: 0,
            pause_us: 0,
            why: String::new(),
            slow_writes: Throttle::default(),
            date: (0, String::new()),
            line_alarms: None,
        }
    }

    /// What the parent has not written yet is for the parent to write.
    fn begin_child(&mut self) {
        self.forks = process::forks();
        self.pause_us = 0;
        self.own.iter().for_each(LineBuffer::clear);
        self.buffer = self.own;
    }

    /// The process has this name, and this buffer in shared memory.
    pub fn enter(&mut self, name: &str, buffer: LineBuffer) {
        name.clone_into(&mut self.name);
        self.buffer = Some(buffer);
    }

    /// Takes over what a dead process has left in its buffer.
    pub fn inherit(&mut self, other: &LineBuffer) {
        self.append(&other.take());
        if let (Some(buffer), Some(dropped)) = (&self.buffer, other.take_dropped()) {
            buffer.tell_dropped(dropped.lines, dropped.since);
        }
        self.flush();
    }

    /// How well the log takes what this process writes.
    pub fn health(&self, now_us: u64) -> LogHealth {
        self.buffer.map_or(LogHealth::default(), |buffer| buffer.health(now_us))
    }

    /// The error stream is another one now.
    pub fn set_output(&mut self, output: Output) {
        self.output = output;
        self.pause_us = 0;
    }

    pub fn set_line_alarms(&mut self, alarms: Option<LineAlarms>) {
        self.line_alarms = alarms;
    }

    /// Appends an entry and writes it at once, if anything is taken.
    pub fn say(&mut self, text: &[u8]) {
        self.look_for_alarms(text);
        self.say_of_alarm(text);
    }

    pub fn say_of_alarm(&mut self, text: &[u8]) {
        self.append(text);
        self.flush();
    }

    /// Appends one request line, and writes when there are many or the oldest has waited for long.
    pub fn push(&mut self, now_us: u64, line: &[u8]) {
        if self.is_empty() {
            self.since_us = now_us;
        }
        self.look_for_alarms(line);
        self.append(line);
        let is_due = self.len() > MANY || now_us.saturating_sub(self.since_us) > MAX_AGE_US;
        if is_due && now_us >= self.tried_us + self.pause_us {
            self.write_out(now_us);
        }
    }

    /// Today's date, made once a second.
    pub fn date(&mut self) -> &str {
        let now = clock::wall_secs();
        if self.date.0 != now {
            self.date = (now, clock::ctime(now));
        }
        &self.date.1
    }

    fn len(&self) -> usize {
        self.buffer.map_or(0, |buffer| buffer.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When to try again; `None`: nothing waits.
    pub fn pause(&self) -> Option<Duration> {
        if self.is_empty() {
            return None;
        }
        if self.pause_us == 0 {
            return Some(IDLE);
        }
        let left = (self.tried_us + self.pause_us).saturating_sub(clock::monotonic_us());
        Some(Duration::from_micros(left.max(1000)))
    }

    /// Writes what waits, unless that was tried a moment ago.
    pub fn flush(&mut self) {
        let now = clock::monotonic_us();
        let has_news = self.buffer.is_some_and(|buffer| !buffer.is_empty() || buffer.has_dropped());
        if has_news && now >= self.tried_us + self.pause_us {
            self.write_out(now);
        }
    }

    /// The last try: a reader that is merely slow gets this long.
    pub fn flush_within(&mut self, time: Duration) {
        let until = clock::monotonic_us() + time.as_micros() as u64;
        loop {
            let now = clock::monotonic_us();
            self.write_out(now);
            let is_waiting = !self.is_empty() && self.why.is_empty() && now < until;
            if !is_waiting || !self.output.wait(Duration::from_micros(until - now)) {
                return;
            }
        }
    }

    fn look_for_alarms(&mut self, entry: &[u8]) {
        if let Some(alarms) = &mut self.line_alarms {
            alarms.look_at(entry);
        }
    }

    fn append(&mut self, text: &[u8]) {
        if self.append_whole(text) {
            return;
        }
        let mut dropped = 0;
        for line in text.split_inclusive(|&c| c == b'\n') {
            let is_kept = match line.get(..MAX_LINE) {
                Some(start) => self.append_whole(&[start, b"...\n"].concat()),
                None => self.append_whole(line),
            };
            dropped += u64::from(!is_kept);
        }
        if let Some(buffer) = &self.buffer {
            buffer.note_dropped(dropped, clock::wall_secs());
        }
    }

    fn append_whole(&mut self, text: &[u8]) -> bool {
        let Some(buffer) = self.buffer else { return self.output.write(text).is_ok() };
        if !buffer.has_room(text.len()) {
            let now = clock::monotonic_us();
            if now >= self.tried_us + self.pause_us.min(FULL_PAUSE_US) {
                self.write_out(now);
            }
        }
        // Lines that came later than a dropped one would hide the gap.
        buffer.push(text)
    }

    fn write_out(&mut self, now_us: u64) {
        let Some(buffer) = self.buffer else { return };
        self.tried_us = now_us;
        let before = buffer.len();
        buffer.begin_write(clock::monotonic_us());
        let mut result = buffer.write_out(&self.output);
        let is_moving = buffer.len() < before;
        if result.is_ok() && buffer.has_dropped() {
            self.tell_of_dropped(buffer);
            result = buffer.write_out(&self.output);
        }
        self.note_result(result, is_moving);
        let ended_us = clock::monotonic_us();
        self.note_time(buffer, buffer.end_write(ended_us), ended_us);
    }

    /// O_NONBLOCK means nothing to a file (open(2)): a write waits for the disk.
    fn note_time(&self, buffer: LineBuffer, took_us: u64, now_us: u64) {
        if took_us >= SLOW_WRITE_US && self.slow_writes.count(1, now_us).is_some() {
            let (name, seconds) = (&self.name, took_us as f64 / 1e6);
            let text = format!(
                "{name}: a write to the log took {seconds:.1} s, and requests waited for it: the disk under the log is \
                 slow (said once a minute)"
            );
            buffer.push(super::dated(&text).as_bytes());
        }
    }

    fn note_result(&mut self, result: Result<(), Error>, is_moving: bool) {
        let Err(error) = result else {
            self.pause_us = 0;
            self.why.clear();
            return;
        };
        let next_us = if is_moving { MIN_PAUSE_US } else { 2 * self.pause_us };
        self.pause_us = next_us.clamp(MIN_PAUSE_US, MAX_PAUSE_US);
        self.why = if error.kind() == ErrorKind::WouldBlock { String::new() } else { reason(error) };
    }

    fn tell_of_dropped(&mut self, buffer: LineBuffer) {
        let Some(dropped) = buffer.take_dropped() else { return };
        let (lines, since) = (dropped.lines, clock::format(dropped.since, c"%H:%M:%S"));
        let why = match self.why.as_str() {
            "" => "nobody read the log".to_owned(),
            reason => format!("the log could not be written ({reason})"),
        };
        let name = &self.name;
        let text = super::dated(&format!("{name}: {lines} log lines were dropped since {since}: {why}"));
        buffer.push(text.as_bytes());
    }
}

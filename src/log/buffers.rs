//! Log lines that are not written yet. Those of a worker lie in shared memory, so that the master can write what a worker
//! leaves behind when it is killed.

use crate::base::log_health::LogHealth;
use crate::sys::output::{ATOMIC, Output};
use crate::sys::shm::{Bytes, Mapping};
use std::io::{Error, Result};
use std::sync::atomic::{AtomicU64, Ordering::*};

/// For the lines of a worker.
const ROOM: usize = 64 * 1024;
/// For the lines of the master and of a process that loads applications: stack dumps and tracebacks of any size.
const OWN_ROOM: usize = 1024 * 1024;
/// Bytes in front of the text, for the words.
const HEAD: usize = 128;
/// A longer line is cut.
pub const MAX_LINE: usize = 32 * 1024;

/// The line buffers of all slots.
#[derive(Clone, Copy)]
pub struct LogBuffers {
    mapping: Mapping,
    slots: usize,
}

impl LogBuffers {
    pub fn new(slots: usize) -> Result<LogBuffers> {
        Mapping::new(slots * (HEAD + ROOM)).map(|mapping| LogBuffers { mapping, slots })
    }

    pub fn slot(&self, slot: usize) -> LineBuffer {
        LineBuffer::at(&self.mapping, slot * (HEAD + ROOM), ROOM)
    }

    /// That of all slots together.
    pub fn health(&self, now_us: u64) -> LogHealth {
        (0..self.slots).map(|slot| self.slot(slot).health(now_us)).fold(LogHealth::default(), LogHealth::with)
    }
}

/// Lines that had no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    pub lines: u64,
    /// When the first of them came, in seconds since 1970.
    pub since: i64,
}

/// One process's buffer. One thread at a time appends or writes out: of the process, under a lock, or the master once the
/// process is dead.
#[derive(Clone, Copy)]
pub struct LineBuffer {
    /// The text that is not written yet lies between these two places.
    start: &'static AtomicU64,
    end: &'static AtomicU64,
    dropped: &'static AtomicU64,
    dropped_since: &'static AtomicU64,
    /// Of all processes that have had the buffer.
    dropped_ever: &'static AtomicU64,
    /// Of all processes, too: time in writes that have come back.
    write_us: &'static AtomicU64,
    /// When the write began that goes on; 0: none does.
    writing_since_us: &'static AtomicU64,
    text: Bytes,
    room: usize,
}

impl LineBuffer {
    fn at(mapping: &Mapping, at: usize, room: usize) -> LineBuffer {
        let [start, end, dropped, dropped_since, dropped_ever, write_us, writing_since_us] =
            mapping.words_of(at);
        let text = mapping.bytes(at + HEAD, room);
        LineBuffer {
            start,
            end,
            dropped,
            dropped_since,
            dropped_ever,
            write_us,
            writing_since_us,
            text,
            room,
        }
    }

    /// A buffer in this process's own memory. After a fork the child has a copy of it.
    pub fn private() -> Result<LineBuffer> {
        Mapping::private(HEAD + OWN_ROOM).map(|mapping| LineBuffer::at(&mapping, 0, OWN_ROOM))
    }

    fn range(&self) -> (usize, usize) {
        let end = (self.end.load(Acquire) as usize).min(self.room);
        ((self.start.load(Acquire) as usize).min(end), end)
    }

    fn set_range(&self, start: usize, end: usize) {
        self.start.store(start as u64, Release);
        self.end.store(end as u64, Release);
    }

    pub fn len(&self) -> usize {
        let (start, end) = self.range();
        end - start
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn has_room(&self, bytes: usize) -> bool {
        bytes <= self.room - self.len()
    }

    /// Appends a text whole, or returns `false` when there is no room for it.
    pub fn push(&self, text: &[u8]) -> bool {
        if !self.has_room(text.len()) {
            return false;
        }
        let (start, end) = self.range();
        if text.len() > self.room - end {
            self.text.write(0, &self.text.read(start, end));
            self.set_range(0, end - start);
        }
        let end = self.range().1;
        self.text.write(end, text);
        self.end.store((end + text.len()) as u64, Release);
        true
    }

    /// Writes out as much as is taken at once, and keeps the rest.
    pub fn write_out(&self, output: &Output) -> Result<()> {
        loop {
            let (start, end) = self.range();
            if start == end {
                self.set_range(0, 0);
                return Ok(());
            }
            let to = if output.is_file() { end } else { start + self.piece(start, end) };
            match self.text.write_out(start, to, output)? {
                0 => return Err(Error::from(std::io::ErrorKind::WriteZero)),
                wrote => self.start.store((start + wrote) as u64, Release),
            }
        }
    }

    /// The length of the longest run of whole lines that a pipe takes in one piece; of a longer line, all of it.
    fn piece(&self, start: usize, end: usize) -> usize {
        let len = end - start;
        if len <= ATOMIC {
            return len;
        }
        let is_end = |&c: &u8| c == b'\n';
        if let Some(last) = self.text.read(start, start + ATOMIC).iter().rposition(is_end) {
            return last + 1;
        }
        self.text.read(start + ATOMIC, end).iter().position(is_end).map_or(len, |first| ATOMIC + first + 1)
    }

    pub fn note_dropped(&self, lines: u64, now: i64) {
        self.dropped_ever.fetch_add(lines, Relaxed);
        self.tell_dropped(lines, now);
    }

    /// They were dropped here, or in the buffer of a process that is dead: this one says so.
    pub fn tell_dropped(&self, lines: u64, now: i64) {
        if lines > 0 && self.dropped.fetch_add(lines, AcqRel) == 0 {
            self.dropped_since.store(now as u64, Release);
        }
    }

    /// What writes to a disk takes the time that the disk takes.
    pub fn begin_write(&self, now_us: u64) {
        self.writing_since_us.store(now_us, Release);
    }

    /// How long it took.
    pub fn end_write(&self, now_us: u64) -> u64 {
        let took_us = now_us.saturating_sub(self.writing_since_us.swap(0, AcqRel));
        self.write_us.fetch_add(took_us, Relaxed);
        took_us
    }

    pub fn health(&self, now_us: u64) -> LogHealth {
        let since_us = self.writing_since_us.load(Acquire);
        LogHealth {
            dropped_lines: self.dropped_ever.load(Relaxed),
            write_us: self.write_us.load(Relaxed),
            stalled_us: if since_us == 0 { 0 } else { now_us.saturating_sub(since_us) },
        }
    }

    pub fn has_dropped(&self) -> bool {
        self.dropped.load(Acquire) > 0
    }

    pub fn take_dropped(&self) -> Option<Dropped> {
        let lines = self.dropped.swap(0, AcqRel);
        (lines > 0).then(|| Dropped { lines, since: self.dropped_since.load(Acquire) as i64 })
    }

    /// Takes out what is not written.
    pub fn take(&self) -> Vec<u8> {
        let (start, end) = self.range();
        let text = self.text.read(start, end);
        self.set_range(0, 0);
        // Whoever was killed in a write does not go on with it.
        self.writing_since_us.store(0, Release);
        text
    }

    /// Forgets everything: it is another process's, which still has it.
    pub fn clear(&self) {
        self.set_range(0, 0);
        self.dropped.store(0, Release);
        self.writing_since_us.store(0, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::io;
    use std::os::fd::{AsFd, OwnedFd};

    fn pipe() -> (OwnedFd, Output) {
        let (reading, writing) = io::pipe(true).unwrap();
        io::widen_pipe(writing.as_fd(), 4096);
        (reading, Output::Reopened(writing))
    }

    fn read(reading: &OwnedFd) -> Vec<u8> {
        let mut got = vec![0; 65536];
        let len = io::read(reading.as_fd(), &mut got).unwrap();
        got.truncate(len);
        got
    }

    fn line(fill: u8) -> Vec<u8> {
        [&[fill; 999][..], b"\n"].concat()
    }

    #[test]
    fn a_full_pipe_gets_whole_lines_and_the_rest_later() {
        let buffer = LogBuffers::new(2).unwrap().slot(1);
        let (reading, output) = pipe();
        let all: Vec<u8> = (b'a'..b'j').flat_map(line).collect();
        (b'a'..b'j').for_each(|fill| assert!(buffer.push(&line(fill))));
        let mut got = Vec::new();
        while buffer.write_out(&output).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock) {
            let part = read(&reading);
            assert_eq!(part.len() % 1000, 0);
            got.extend(part);
        }
        got.extend(read(&reading));
        assert!(buffer.is_empty());
        assert_eq!(got, all);
    }

    #[test]
    fn pieces_end_with_a_line() {
        let buffer = LogBuffers::new(1).unwrap().slot(0);
        for len in [3000, 3000, 5000, 1] {
            assert!(buffer.push(&[vec![b'x'; len], vec![b'\n']].concat()));
        }
        let (_, end) = buffer.range();
        assert_eq!(buffer.piece(0, end), 3001);
        assert_eq!(buffer.piece(3001, end), 3001);
        assert_eq!(buffer.piece(6002, end), 5001);
        assert_eq!(buffer.piece(11003, end), 2);
    }

    #[test]
    fn room_is_used_again_once_the_front_is_written() {
        let buffer = LogBuffers::new(1).unwrap().slot(0);
        while buffer.push(&line(b'x')) {}
        let (reading, output) = pipe();
        assert!(buffer.write_out(&output).is_err());
        assert_eq!(read(&reading).len(), 4000);
        assert!((0..4).all(|_| buffer.push(&line(b'y'))));
        assert!(!buffer.push(&line(b'z')));
        let left = buffer.take();
        assert!(left.starts_with(&line(b'x')) && left.ends_with(&line(b'y')));
        assert!(buffer.is_empty());
    }

    #[test]
    fn what_is_dropped_is_counted_from_the_first_on() {
        let buffer = LogBuffers::new(1).unwrap().slot(0);
        assert_eq!(buffer.take_dropped(), None);
        buffer.note_dropped(2, 100);
        buffer.note_dropped(3, 200);
        assert_eq!(buffer.take_dropped(), Some(Dropped { lines: 5, since: 100 }));
        assert_eq!(buffer.take_dropped(), None);
        buffer.tell_dropped(7, 300);
        assert_eq!(buffer.health(0).dropped_lines, 5);
    }

    #[test]
    fn writes_take_their_time() {
        let buffers = LogBuffers::new(2).unwrap();
        let [one, other] = [buffers.slot(0), buffers.slot(1)];
        one.begin_write(100);
        assert_eq!(one.end_write(350), 250);
        one.begin_write(1000);
        other.begin_write(1400);
        assert_eq!(buffers.health(1500), LogHealth { dropped_lines: 0, write_us: 250, stalled_us: 500 });
        // Its process was killed.
        one.take();
        assert_eq!(buffers.health(1500).stalled_us, 100);
    }
}

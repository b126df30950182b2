//! A worker's log lines that are not written yet. They lie in shared memory, so that the master can write out what a
//! worker leaves behind when it is killed.

use crate::sys::shm::{Bytes, Mapping};
use std::io::Result;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering::*};

const ROOM: usize = 64 * 1024;
/// Bytes in front of the text: the word that says how much of it is there.
const HEAD: usize = 128;
/// A pipe takes this much without mixing it with another process's text (PIPE_BUF on Linux).
const ATOMIC: usize = 4096;

/// The line buffers of all slots.
#[derive(Clone, Copy)]
pub struct Lines {
    mapping: Mapping,
}

impl Lines {
    pub fn new(slots: usize) -> Result<Lines> {
        Mapping::new(slots * (HEAD + ROOM)).map(|mapping| Lines { mapping })
    }

    pub fn slot(&self, slot: usize) -> LineBuffer {
        let at = slot * (HEAD + ROOM);
        LineBuffer { len: &self.mapping.words(at, 1)[0], text: self.mapping.bytes(at + HEAD, ROOM) }
    }
}

/// One worker's buffer. One thread at a time appends or flushes: the worker under its own lock, or the master once
/// the worker is dead.
#[derive(Clone, Copy)]
pub struct LineBuffer {
    len: &'static AtomicU64,
    text: Bytes,
}

impl LineBuffer {
    pub fn len(&self) -> usize {
        (self.len.load(Acquire) as usize).min(ROOM)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a line whole, or returns `false` when there is no room for it.
    pub fn push(&self, line: &[u8]) -> bool {
        let len = self.len();
        if line.len() > ROOM - len {
            return false;
        }
        self.text.write(len, line);
        self.len.store((len + line.len()) as u64, Release);
        true
    }

    /// Writes everything out and forgets it. `whole` says that the descriptor takes any length as one piece (a file
    /// opened for appending); otherwise pieces end with a line and are short enough for a pipe to keep together.
    pub fn flush(&self, fd: BorrowedFd<'_>, whole: bool) -> Result<()> {
        let len = self.len();
        let mut result = Ok(());
        if whole {
            result = self.text.write_out(0, len, fd);
        } else {
            let copy = self.text.read(0, len);
            let mut from = 0;
            while from < len && result.is_ok() {
                let to = piece(&copy, from);
                result = self.text.write_out(from, to, fd);
                from = to;
            }
        }
        // What cannot be written now is dropped: a log that is gone must not stop the server.
        self.len.store(0, Release);
        result
    }
}

/// The end of the longest run of whole lines from `from` that a pipe takes in one piece.
fn piece(text: &[u8], from: usize) -> usize {
    let most = text.len().min(from + ATOMIC);
    if most == text.len() {
        return most;
    }
    match text[from..most].iter().rposition(|&c| c == b'\n') {
        Some(end) => from + end + 1,
        None => text[most..].iter().position(|&c| c == b'\n').map_or(text.len(), |end| most + end + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::io;
    use std::os::fd::AsFd;

    #[test]
    fn lines_come_out_whole_and_once() {
        let buffer = Lines::new(2).unwrap().slot(1);
        let (reading, writing) = io::pipe(true).unwrap();
        let line = [&[b'x'; 999][..], b"\n"].concat();
        for _ in 0..9 {
            assert!(buffer.push(&line));
        }
        buffer.flush(writing.as_fd(), false).unwrap();
        assert!(buffer.is_empty());
        let mut got = vec![0; 65536];
        assert_eq!(io::read(reading.as_fd(), &mut got).unwrap(), 9000);
    }

    #[test]
    fn pieces_end_with_a_line() {
        let text = [vec![b'a'; 3000], vec![b'\n'], vec![b'b'; 3000], vec![b'\n']].concat();
        assert_eq!(piece(&text, 0), 3001);
        assert_eq!(piece(&text, 3001), 6002);
    }

    #[test]
    fn a_full_buffer_says_so() {
        let buffer = Lines::new(1).unwrap().slot(0);
        assert!(buffer.push(&vec![b'x'; ROOM]));
        assert!(!buffer.push(b"y"));
    }
}

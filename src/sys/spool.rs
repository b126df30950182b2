//! A file in memory in which each worker has a place of its own: for what it leaves to the master, be it at the end of a
//! task or of its life. Nobody waits for anybody, the master reads as much as it wants, and what was not written costs
//! nothing.

use super::check;
use std::fs::File;
use std::io::{Result, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// What a worker leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The record of a crash.
    Crash,
    /// The stacks that a profile has found.
    Profile,
}

/// Longer than any record: whoever writes it cannot be held to a length.
const PAGE: u64 = 16 << 20;
const PAGES: u64 = 2;

/// Bytes of a profile at most.
pub const MAX_PROFILE: usize = 1 << 20;

#[derive(Debug)]
pub struct Spool(File);

impl Spool {
    pub fn new() -> Result<Spool> {
        // SAFETY: a string that ends with NUL; the result is checked.
        let fd = check(unsafe { libc::memfd_create(c"rwsgi spool".as_ptr(), libc::MFD_CLOEXEC) })?;
        // SAFETY: just made, and nobody else's.
        Ok(Spool(File::from(unsafe { OwnedFd::from_raw_fd(fd) })))
    }

    fn place(slot: usize, page: Page) -> u64 {
        (slot as u64 * PAGES + page as u64) * PAGE
    }

    /// A descriptor whose position is the beginning of a page: for those who can only write(2).
    pub fn writer(&self, slot: usize, page: Page) -> Result<File> {
        // Not a duplicate, which would share the position with those of all other processes.
        let mut own = File::options().write(true).open(format!("/proc/self/fd/{}", self.0.as_raw_fd()))?;
        own.seek(SeekFrom::Start(Spool::place(slot, page)))?;
        Ok(own)
    }

    /// Writes a page. What it held before may be longer: the end of a text that nobody has read.
    pub fn write(&self, slot: usize, page: Page, text: &[u8]) -> Result<()> {
        self.clear(slot, page);
        self.writer(slot, page)?.write_all(&text[..text.len().min(PAGE as usize)])
    }

    /// What stands in a page, at most so many bytes of it.
    pub fn read(&self, slot: usize, page: Page, most: usize) -> Vec<u8> {
        let mut text = vec![0; most.min(PAGE as usize)];
        let mut len = 0;
        while len < text.len() {
            match self.0.read_at(&mut text[len..], Spool::place(slot, page) + len as u64) {
                Ok(got @ 1..) => len += got,
                _ => break,
            }
        }
        text.truncate(len);
        let end = text.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        text.truncate(end);
        text
    }

    /// Empties a page; its memory is free again.
    pub fn clear(&self, slot: usize, page: Page) {
        let (start, mode) =
            (Spool::place(slot, page), libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE);
        // SAFETY: no pointers. It fails where there is nothing to clear.
        unsafe { libc::fallocate(self.0.as_raw_fd(), mode, start as libc::off_t, PAGE as libc::off_t) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_has_its_own_pages() {
        let spool = Spool::new().unwrap();
        assert_eq!(spool.read(0, Page::Crash, 100), b"");
        spool.write(1, Page::Profile, b"one").unwrap();
        spool.write(2, Page::Crash, b"two and more").unwrap();
        let mut crash = spool.writer(0, Page::Crash).unwrap();
        crash.write_all(b"a").unwrap();
        crash.write_all(b"b\0").unwrap();
        assert_eq!(spool.read(0, Page::Crash, 100), b"ab");
        assert_eq!(spool.read(1, Page::Profile, 100), b"one");
        assert_eq!(spool.read(2, Page::Crash, 3), b"two");
        // Nothing is left of what was there before.
        spool.write(2, Page::Crash, b"3").unwrap();
        assert_eq!(spool.read(2, Page::Crash, 100), b"3");
        spool.clear(2, Page::Crash);
        assert_eq!(
            (&spool.read(2, Page::Crash, 100)[..], &spool.read(0, Page::Crash, 9)[..]),
            (&b""[..], &b"ab"[..])
        );
    }
}

//! Anonymous shared memory: words that every process of the tree sees, and bytes with one writer.

use std::io::{Error, Result};
use std::sync::atomic::AtomicU64;

/// A mapping that lives as long as the process tree; it is never unmapped.
#[derive(Clone, Copy)]
pub struct Mapping {
    start: *mut u8,
    len: usize,
}

// SAFETY: the memory is shared between processes anyway; access goes through atomics or through `Bytes`, whose users
// follow its rule.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` zeroed bytes. Pages that are never touched cost nothing.
    pub fn new(len: usize) -> Result<Mapping> {
        Mapping::map(len, libc::MAP_SHARED)
    }

    /// The same for this process alone: a child has a copy.
    pub fn private(len: usize) -> Result<Mapping> {
        Mapping::map(len, libc::MAP_PRIVATE)
    }

    fn map(len: usize, kind: i32) -> Result<Mapping> {
        // SAFETY: a fresh anonymous mapping; no address of ours is passed in.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                kind | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        Ok(Mapping { start: start.cast(), len })
    }

    /// Where it begins.
    pub(super) fn start(&self) -> *mut libc::c_void {
        self.start.cast()
    }

    /// `count` words from the byte `offset`, which is a multiple of 8. Panics when they do not fit: a layout error.
    pub fn words(&self, offset: usize, count: usize) -> &'static [AtomicU64] {
        assert!(offset.is_multiple_of(8) && offset + count * 8 <= self.len);
        // SAFETY: in bounds, aligned, zeroed at first, never unmapped, and only ever seen as atomics.
        unsafe { std::slice::from_raw_parts(self.start.add(offset).cast(), count) }
    }

    /// The same for a number of words that is known when this is compiled.
    pub fn words_of<const N: usize>(&self, offset: usize) -> [&'static AtomicU64; N] {
        let words = self.words(offset, N);
        std::array::from_fn(|index| &words[index])
    }

    /// `len` bytes from `offset`. Panics when they do not fit: a layout error.
    pub fn bytes(&self, offset: usize, len: usize) -> Bytes {
        assert!(offset + len <= self.len);
        // SAFETY: in bounds.
        Bytes { start: unsafe { self.start.add(offset) }, len }
    }
}

/// Shared bytes. The rule: one thread writes at a time, and readers look only at what was published before, through
/// an atomic, or after the writer has died.
#[derive(Clone, Copy)]
pub struct Bytes {
    start: *mut u8,
    len: usize,
}

// SAFETY: see the rule above; the memory outlives every thread.
unsafe impl Send for Bytes {}
// SAFETY: as above.
unsafe impl Sync for Bytes {}

impl Bytes {
    /// Copies `data` to `at`; what does not fit is left out, the return value says how much was copied.
    pub fn write(&self, at: usize, data: &[u8]) -> usize {
        let room = self.len.saturating_sub(at).min(data.len());
        if room > 0 {
            // SAFETY: `at + room` is within the mapping; `data` cannot overlap memory that no slice ever shows.
            unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), self.start.add(at), room) };
        }
        room
    }

    /// Copies out the bytes `from..to`, clipped to the mapping.
    pub fn read(&self, from: usize, to: usize) -> Vec<u8> {
        let to = to.min(self.len);
        let mut copy = vec![0; to.saturating_sub(from)];
        if !copy.is_empty() {
            // SAFETY: the source range is within the mapping and the target is as long.
            unsafe { std::ptr::copy_nonoverlapping(self.start.add(from), copy.as_mut_ptr(), copy.len()) };
        }
        copy
    }

    /// Writes of the bytes `from..to` what is taken at once, without a copy.
    pub fn write_out(&self, from: usize, to: usize, output: &super::output::Output) -> Result<usize> {
        let to = to.min(self.len);
        if from >= to {
            return Ok(0);
        }
        // SAFETY: within the mapping; by the rule of this type no process writes these bytes meanwhile.
        let published = unsafe { std::slice::from_raw_parts(self.start.add(from), to - from) };
        output.write(published)
    }
}

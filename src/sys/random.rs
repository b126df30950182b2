//! Random bytes of the kernel.

use super::{check_len, retry};
use std::fmt;
use std::io::{ErrorKind, Result};

/// Fills `bytes` from getrandom(2).
fn fill(mut bytes: &mut [u8]) -> Result<()> {
    while !bytes.is_empty() {
        // SAFETY: pointer and length are those of a live slice.
        let got = retry(|| check_len(unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) }))?;
        if got == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[got..];
    }
    Ok(())
}

/// How many are fetched at once: a system call for a dozen ids.
const FETCHED: usize = 512;

/// Random bytes that were fetched in advance, each given out once. A copy would give them out again: it is made in the
/// process that uses it, and is not for children that this one forks.
pub struct Pool {
    bytes: [u8; FETCHED],
    left: usize,
}

impl Default for Pool {
    fn default() -> Pool {
        Pool { bytes: [0; FETCHED], left: 0 }
    }
}

/// Shows nothing of what is yet to be given out.
impl fmt::Debug for Pool {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Pool").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Pool {
    /// `None`: the kernel gives none (a sandbox forbids the call).
    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        const { assert!(N <= FETCHED) };
        if self.left < N {
            fill(&mut self.bytes).ok()?;
            self.left = FETCHED;
        }
        self.left -= N;
        self.bytes[self.left..].first_chunk().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_bytes_are_given_out_twice() {
        let mut pool = Pool::default();
        let taken: HashSet<[u8; 24]> = (0..1000).map(|_| pool.take().unwrap()).collect();
        assert_eq!(taken.len(), 1000);
        assert!(!taken.contains(&[0; 24]));
        assert!(!format!("{pool:?}").contains("bytes"));
    }
}

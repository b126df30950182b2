//! The connected clients of this process, known by the numbers of their sockets, so that what the application forks
//! holds none of them: a connection ends only when no process has it open any more (close(2)), and a child that lives
//! on would keep the end of an answer from its client, and the worker's epoll watching what the worker has closed
//! (epoll(7)).
//!
//! A bit for each number, changed with one atomic operation when a connection comes and goes. Another thread may fork
//! between that and the system call; such a connection is found by its address ([`super::accepted`]).

use super::listeners;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Numbers beyond are not known here: more than the limit to which the server raises itself (RLIMIT_NOFILE).
const MAX_NUMBER: usize = 1 << 20;

static CONNECTED: [AtomicU64; MAX_NUMBER / 64] = [const { AtomicU64::new(0) }; MAX_NUMBER / 64];

fn bit_of(socket: BorrowedFd<'_>) -> Option<(&'static AtomicU64, u64)> {
    let number = socket.as_raw_fd() as usize;
    CONNECTED.get(number / 64).map(|word| (word, 1 << (number % 64)))
}

/// A client's socket is open from now on.
#[inline]
pub fn add(socket: BorrowedFd<'_>) {
    if let Some((word, bit)) = bit_of(socket) {
        word.fetch_or(bit, Relaxed);
    }
}

/// The socket is about to be closed.
#[inline]
pub fn remove(socket: BorrowedFd<'_>) {
    if let Some((word, bit)) = bit_of(socket) {
        word.fetch_and(!bit, Relaxed);
    }
}

/// Closes them in this process alone, in the way of [`listeners::close_all`]. For the child handler of a fork: atomics
/// and dup3.
pub(super) fn close_all() {
    for (index, word) in CONNECTED.iter().enumerate() {
        // Only read: pages that were never written to stay unmapped.
        let mut bits = word.load(Relaxed);
        if bits != 0 {
            word.store(0, Relaxed);
        }
        while bits != 0 {
            listeners::replace((index * 64) as i32 + bits.trailing_zeros() as i32);
            bits &= bits - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_bit_for_each_socket() {
        let (one, _other) = UnixStream::pair().unwrap();
        let is_set = || bit_of(one.as_fd()).is_some_and(|(word, bit)| word.load(Relaxed) & bit != 0);
        add(one.as_fd());
        assert!(is_set());
        remove(one.as_fd());
        assert!(!is_set());
    }
}

//! eventfd(2): a thread waits, and another thread or a signal handler wakes it.

use super::{check, epoll, io};
use std::io::Result;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// How long a thread looks away from one that is closed.
const CLOSED: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    pub fn new() -> Result<EventFd> {
        // SAFETY: no pointers; the descriptor that comes back is ours alone.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) })?;
        // SAFETY: just opened, with no other owner.
        Ok(EventFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Ends the wait of now, or else the next one. For signal handlers, too: one write(2), which is async-signal-safe
    /// and would wait only behind 2^64 - 2 others.
    pub fn notify(&self) -> bool {
        notify_number(self.number())
    }

    /// By which a signal handler knows it.
    pub(super) fn number(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// Waits for [`EventFd::notify`], or for a moment when that is not possible: the application may have closed it.
    pub fn wait(&self) {
        if io::read(self.0.as_fd(), &mut [0; 8]).is_err() {
            epoll::sleep(CLOSED);
        }
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The same by its number. `false`: it is none.
pub(super) fn notify_number(number: i32) -> bool {
    let one = 1u64.to_ne_bytes();
    // SAFETY: eight bytes of a live array; a number that is not open answers EBADF.
    unsafe { libc::write(number, one.as_ptr().cast(), one.len()) == 8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_whenever_the_notice_came() {
        let event = EventFd::new().unwrap();
        for _ in 0..3 {
            assert!(event.notify() && event.notify());
            // Both at once.
            event.wait();
            std::thread::scope(|scope| {
                let waits = scope.spawn(|| event.wait());
                event.notify();
                waits.join().unwrap();
            });
        }
    }
}

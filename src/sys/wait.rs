//! Waiting for one socket, by its number, and being woken while one waits.

use super::{check, clock};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// How a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The socket is ready, or broken: the next attempt shows which.
    Ready,
    /// Another thread has called [`Waker::wake`].
    Woken,
    TimedOut,
}

/// Wakes every thread that waits with it, those that are about to wait too. It wakes once: afterwards take a new one.
#[derive(Debug)]
pub struct Waker(OwnedFd);

impl Waker {
    pub fn new() -> Result<Waker> {
        // SAFETY: no pointers; the descriptor that comes back is ours alone.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: just opened, with no other owner.
        Ok(Waker(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: pointer and length are those of a live array.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }
}

/// What a wait is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    pub read: bool,
    pub write: bool,
}

/// Waits until `socket` is ready, `waker` is woken or the time is up. Signals do not prolong the wait.
///
/// The number may be closed and taken by another file meanwhile: nothing is read or written here, and the thread
/// that closes the socket calls `wake` first.
pub fn wait(
    socket: Option<RawFd>,
    interest: Interest,
    waker: Option<&Waker>,
    timeout: Duration,
) -> Result<Ended> {
    let mut events = 0;
    if interest.read {
        events |= libc::POLLIN | libc::POLLRDHUP;
    }
    if interest.write {
        events |= libc::POLLOUT;
    }
    // poll(2): a negative number is passed over.
    let mut polled = [
        libc::pollfd { fd: socket.unwrap_or(-1), events, revents: 0 },
        libc::pollfd { fd: waker.map_or(-1, |waker| waker.0.as_raw_fd()), events: libc::POLLIN, revents: 0 },
    ];
    let until = Deadline::after(timeout);
    loop {
        // SAFETY: two pollfds, and the count says two.
        match check(unsafe { libc::poll(polled.as_mut_ptr(), 2, until.millis_left()) }) {
            Ok(0) => return Ok(Ended::TimedOut),
            Ok(_) if polled[1].revents != 0 => return Ok(Ended::Woken),
            Ok(_) => return Ok(Ended::Ready),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// When a wait is over, however often signals interrupt it.
pub(super) struct Deadline(u64);

impl Deadline {
    pub(super) fn after(timeout: Duration) -> Deadline {
        let micros = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX);
        Deadline(if micros == 0 { 0 } else { clock::monotonic_us().saturating_add(micros) })
    }

    /// For poll(2), rounded up.
    pub(super) fn millis_left(&self) -> i32 {
        if self.0 == 0 {
            return 0;
        }
        self.0.saturating_sub(clock::monotonic_us()).div_ceil(1000).min(i32::MAX as u64) as i32
    }
}

/// What the other end of a connection has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Open,
    /// It sends no more. TCP does not show whether it still reads.
    HalfClosed,
    Gone,
}

/// Looks, without waiting and without taking anything from the socket.
pub fn peer(socket: RawFd) -> Result<Peer> {
    let mut polled = libc::pollfd { fd: socket, events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: one pollfd, and the count says one.
    if unsafe { libc::poll(&mut polled, 1, 0) } < 0 {
        return Err(Error::last_os_error());
    }
    Ok(if polled.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0 {
        Peer::Gone
    } else if polled.revents & libc::POLLRDHUP != 0 {
        Peer::HalfClosed
    } else {
        Peer::Open
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    const READ: Interest = Interest { read: true, write: false };
    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn a_wait_ends_for_each_reason() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (fd, waker) = (Some(ours.as_raw_fd()), Waker::new().unwrap());
        assert_eq!(wait(fd, READ, Some(&waker), MOMENT).unwrap(), Ended::TimedOut);
        theirs.write_all(b"x").unwrap();
        assert_eq!(wait(fd, READ, Some(&waker), MOMENT).unwrap(), Ended::Ready);
        waker.wake();
        for _ in 0..2 {
            assert_eq!(wait(None, READ, Some(&waker), MOMENT).unwrap(), Ended::Woken);
        }
    }

    #[test]
    fn a_peer_on_a_unix_socket_is_seen() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert_eq!(peer(ours.as_raw_fd()).unwrap(), Peer::Open);
        theirs.shutdown(Shutdown::Write).unwrap();
        assert_eq!(peer(ours.as_raw_fd()).unwrap(), Peer::HalfClosed);
        drop(theirs);
        assert_eq!(peer(ours.as_raw_fd()).unwrap(), Peer::Gone);
    }

    #[test]
    fn a_peer_over_tcp_that_has_closed_seems_half_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let ours = listener.accept().unwrap().0;
        assert_eq!(peer(ours.as_raw_fd()).unwrap(), Peer::Open);
        drop(theirs);
        assert_eq!(peer(ours.as_raw_fd()).unwrap(), Peer::HalfClosed);
    }
}

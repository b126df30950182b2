//! The listening sockets of this process, known by their numbers, so that a signal handler and a fork can close them.
//!
//! Closing means that a placeholder takes the descriptor's place (dup2(2)): the number stays open, so that nobody who still
//! uses it ever meets another file, and the kernel closes the listening socket when no process has it any more.

use super::check;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::*};

/// More addresses than any configuration has.
const MAX_LISTENERS: usize = 256;

static NUMBERS: [AtomicI32; MAX_LISTENERS] = [const { AtomicI32::new(-1) }; MAX_LISTENERS];
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// A socket that listens nowhere and is connected to nobody.
static PLACEHOLDER: AtomicI32 = AtomicI32::new(-1);

/// Makes these the listeners that [`close_all`] closes. Once in a process, before it forks.
///
/// # Errors
/// More listeners than there is room for, or no descriptor is left for the placeholder.
pub fn register<'a>(listeners: impl Iterator<Item = BorrowedFd<'a>>) -> Result<()> {
    let mut count = 0;
    for listener in listeners {
        let place =
            NUMBERS.get(count).ok_or_else(|| Error::new(ErrorKind::InvalidInput, "too many listeners"))?;
        place.store(listener.as_raw_fd(), Relaxed);
        count += 1;
    }
    if PLACEHOLDER.load(Relaxed) < 0 {
        PLACEHOLDER.store(super::socket::unconnected()?.into_raw_fd(), Relaxed);
    }
    COUNT.store(count, Release);
    Ok(())
}

/// Closes the listeners in this process alone. For signal handlers, too: dup2 is async-signal-safe (signal-safety(7)).
pub fn close_all() {
    let placeholder = PLACEHOLDER.load(Relaxed);
    if placeholder < 0 {
        return;
    }
    for number in &NUMBERS[..COUNT.swap(0, AcqRel)] {
        // SAFETY: no pointers; both numbers are open in this process since `register`.
        let _ = check(unsafe { libc::dup3(placeholder, number.load(Relaxed), libc::O_CLOEXEC) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    #[test]
    fn who_connects_to_a_closed_listener_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        register([listener.as_fd()].into_iter()).unwrap();
        TcpStream::connect(address).unwrap();
        close_all();
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        // The number is not free for another file.
        assert!(listener.accept().is_err());
    }
}

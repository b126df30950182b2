//! The listening sockets of this process, known by their numbers, so that a signal handler and a fork can close them.
//!
//! Closing means that a placeholder takes the descriptor's place (dup2(2)): the number stays open, so that nobody who
//! still uses it ever meets another file, and the kernel closes the listening socket when no process has it any more.

use super::{check, socket, socket_name};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering::*};

/// More addresses than any configuration has.
const MAX_LISTENERS: usize = 256;

struct Known {
    number: AtomicI32,
    /// What [`socket_name::names_of`] says of it first; 0: nothing.
    name: AtomicU64,
    /// Somebody else may go on listening there when the server is gone.
    is_shared: AtomicBool,
}

static KNOWN: [Known; MAX_LISTENERS] = [const {
    Known { number: AtomicI32::new(-1), name: AtomicU64::new(0), is_shared: AtomicBool::new(false) }
}; MAX_LISTENERS];
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// A socket that neither listens nor is connected.
static PLACEHOLDER: AtomicI32 = AtomicI32::new(-1);

/// Makes these the listeners of this process, each with the word whether another server may have it, too. Before the
/// process forks.
///
/// # Errors
/// More listeners than there is room for, or no descriptor is left for the placeholder.
pub fn register<'a>(listeners: impl Iterator<Item = (BorrowedFd<'a>, bool)>) -> Result<()> {
    let mut count = 0;
    for (listener, is_shared) in listeners {
        let full = || Error::new(ErrorKind::InvalidInput, "too many listeners");
        let place = KNOWN.get(count).ok_or_else(full)?;
        place.number.store(listener.as_raw_fd(), Relaxed);
        place.name.store(socket_name::names_of(listener).map_or(0, |names| names[0]), Relaxed);
        place.is_shared.store(is_shared, Relaxed);
        count += 1;
    }
    if PLACEHOLDER.load(Relaxed) < 0 {
        PLACEHOLDER.store(socket::unconnected()?.into_raw_fd(), Relaxed);
    }
    COUNT.store(count, Release);
    Ok(())
}

/// Has the listeners that are the server's alone accept no new connections. For signal handlers, too: it takes system
/// calls and nothing else.
pub fn refuse_new() {
    for known in KNOWN[..COUNT.load(Acquire)].iter().filter(|known| !known.is_shared.load(Relaxed)) {
        // SAFETY: open in this process since `register`, and borrowed for this call alone.
        let listener = unsafe { BorrowedFd::borrow_raw(known.number.load(Relaxed)) };
        // Where the kernel has no filter new connections come in until the listener is closed.
        let _ = socket::refuse_new(listener);
    }
}

/// Closes the listeners in this process alone. For signal handlers, too: dup2 is async-signal-safe (signal-safety(7)).
pub fn close_all() {
    for known in &KNOWN[..COUNT.swap(0, AcqRel)] {
        replace(known.number.load(Relaxed));
    }
}

/// Is one of these the name of a listener?
pub(super) fn has_name(names: [u64; 2]) -> bool {
    KNOWN[..COUNT.load(Acquire)].iter().any(|known| names.contains(&known.name.load(Relaxed)))
}

/// The sockets are closed in the usual way from now on, and their numbers may become those of other files.
pub fn unregister() {
    COUNT.store(0, Release);
}

/// Puts the placeholder in the place of an open socket of this process.
pub(super) fn replace(number: RawFd) {
    let placeholder = PLACEHOLDER.load(Relaxed);
    if placeholder >= 0 {
        // SAFETY: no pointers; the placeholder is open since `register`, and the caller knows the number to be a
        // socket.
        let _ = check(unsafe { libc::dup3(placeholder, number, libc::O_CLOEXEC) });
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
        register([(listener.as_fd(), false)].into_iter()).unwrap();
        let early = TcpStream::connect(address).unwrap();
        refuse_new();
        // Who was there before is still to be accepted.
        assert_eq!(listener.accept().unwrap().1, early.local_addr().unwrap());
        close_all();
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        // The number is not free for another file.
        assert!(listener.accept().is_err());
    }
}

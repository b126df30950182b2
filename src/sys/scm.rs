//! Descriptors that go from one process to another over a unix socket (SCM_RIGHTS, unix(7)).

use super::{check_len, retry};
use std::io::{Error, ErrorKind, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Room for the control message of one descriptor, aligned as its head has to be.
type Control = [u64; 4];

/// What this process has sent.
static SENT: AtomicU32 = AtomicU32::new(0);

/// A number that no other message has: it stands in front of the bytes.
fn next_number() -> u64 {
    u64::from(process::id()) << 32 | u64::from(SENT.fetch_add(1, Relaxed))
}

fn head_of(parts: &mut [libc::iovec; 2], control: &mut Control) -> libc::msghdr {
    // SAFETY: a zeroed msghdr is valid.
    let mut head = unsafe { MaybeUninit::<libc::msghdr>::zeroed().assume_init() };
    head.msg_iov = parts.as_mut_ptr();
    head.msg_iovlen = parts.len() as _;
    head.msg_control = control.as_mut_ptr().cast();
    head.msg_controllen = size_of::<Control>() as _;
    head
}

/// Sends bytes with a descriptor, without waiting. The receiver gets one of its own.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fd: BorrowedFd<'_>) -> Result<()> {
    let mut number = next_number();
    let mut parts = [
        libc::iovec { iov_base: (&raw mut number).cast(), iov_len: size_of::<u64>() },
        libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() },
    ];
    let mut control: Control = [0; 4];
    let mut head = head_of(&mut parts, &mut control);
    // SAFETY: `head` points to live places; there is room for the one control message that is written; sendmsg only
    // reads.
    unsafe {
        head.msg_controllen = libc::CMSG_SPACE(size_of::<RawFd>() as u32) as _;
        let first = libc::CMSG_FIRSTHDR(&head);
        (*first).cmsg_level = libc::SOL_SOCKET;
        (*first).cmsg_type = libc::SCM_RIGHTS;
        (*first).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
        libc::CMSG_DATA(first).cast::<RawFd>().write_unaligned(fd.as_raw_fd());
        retry(|| {
            check_len(libc::sendmsg(socket.as_raw_fd(), &head, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL))
        })?;
    }
    Ok(())
}

/// Receives a message with its descriptor, without waiting.
///
/// A message whose descriptor finds no number in this process is lost with it (unix(7)), and another thread may take the
/// last number at any time. So the message is looked at first: that gives a descriptor of the same file, which stays
/// when the message itself comes without one. Threads of one process receive from a socket one after another.
///
/// # Errors
/// EMFILE: no number is left, and the message is where it was. `InvalidData`: the message has no descriptor, or more
/// than the one that belongs to it; all of them are closed again.
pub fn receive(socket: BorrowedFd<'_>, bytes: &mut Vec<u8>, most: usize) -> Result<OwnedFd> {
    let seen = Received::from(socket, bytes, most, libc::MSG_PEEK)?;
    if seen.is_cut && seen.descriptors.is_empty() {
        return Err(Error::from_raw_os_error(libc::EMFILE));
    }
    let taken = Received::from(socket, bytes, most, 0)?;
    let is_same = taken.number == seen.number;
    let found = taken.only_descriptor().or_else(|| seen.only_descriptor().filter(|_| is_same));
    found.ok_or_else(|| Error::from(ErrorKind::InvalidData))
}

struct Received {
    number: u64,
    descriptors: Vec<OwnedFd>,
    /// Something of it found no room, and is closed by the kernel.
    is_cut: bool,
}

impl Received {
    fn from(socket: BorrowedFd<'_>, bytes: &mut Vec<u8>, most: usize, flags: i32) -> Result<Received> {
        bytes.clear();
        bytes.reserve(most);
        let mut number = 0u64;
        let mut parts = [
            libc::iovec { iov_base: (&raw mut number).cast(), iov_len: size_of::<u64>() },
            libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: most },
        ];
        let mut control: Control = [0; 4];
        let mut head = head_of(&mut parts, &mut control);
        let flags = flags | libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        // SAFETY: the number and `most` bytes of capacity are ours to write, and as many as recvmsg returns are
        // initialized; it has just filled the head.
        unsafe {
            let got = retry(|| check_len(libc::recvmsg(socket.as_raw_fd(), &mut head, flags)))?;
            bytes.set_len(got.saturating_sub(size_of::<u64>()));
            let is_cut = head.msg_flags & (libc::MSG_CTRUNC | libc::MSG_TRUNC) != 0;
            Ok(Received { number, descriptors: take_descriptors(&head), is_cut })
        }
    }

    fn only_descriptor(mut self) -> Option<OwnedFd> {
        let descriptor = self.descriptors.pop();
        descriptor.filter(|_| !self.is_cut && self.descriptors.is_empty())
    }
}

/// Every descriptor that a message has brought: a process that sends several fills the room that is there for
/// alignment.
///
/// SAFETY: `head` is that of a message that was received, with its control data in place, and this is done but once.
unsafe fn take_descriptors(head: &libc::msghdr) -> Vec<OwnedFd> {
    let mut found = Vec::new();
    // SAFETY: the kernel writes whole control messages; each descriptor in them is new and has no other owner.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(head);
        while let Some(message) = next.as_ref() {
            if message.cmsg_level == libc::SOL_SOCKET && message.cmsg_type == libc::SCM_RIGHTS {
                let (whole, head) = (message.cmsg_len, libc::CMSG_LEN(0));
                let length = whole as u32 - head;
                let data = libc::CMSG_DATA(message).cast::<RawFd>();
                found.extend(
                    (0..length as usize / size_of::<RawFd>())
                        .map(|at| OwnedFd::from_raw_fd(data.add(at).read_unaligned())),
                );
            }
            next = libc::CMSG_NXTHDR(head, message);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::io;
    use std::os::fd::AsFd;

    #[test]
    fn a_descriptor_comes_out_at_the_other_end() {
        let (one, other) = io::packet_pair().unwrap();
        let (reading, writing) = io::pipe(true).unwrap();
        send(one.as_fd(), b"take this", writing.as_fd()).unwrap();
        drop(writing);
        let mut bytes = Vec::new();
        let came = receive(other.as_fd(), &mut bytes, 100).unwrap();
        assert_eq!(bytes, b"take this");
        io::write_now(came.as_fd(), b"x").unwrap();
        assert_eq!(io::read(reading.as_fd(), &mut [0; 4]).unwrap(), 1);
        let empty = receive(other.as_fd(), &mut bytes, 100).unwrap_err();
        assert_eq!(empty.kind(), ErrorKind::WouldBlock);
    }

    /// As a process would that wants this one to run out of descriptors.
    fn send_many(socket: BorrowedFd<'_>, fd: BorrowedFd<'_>, count: usize) {
        let mut control = [0u64; 32];
        let mut part = libc::iovec { iov_base: b"x".as_ptr().cast_mut().cast(), iov_len: 1 };
        // SAFETY: a zeroed head is valid, and there is room for the one control message; sendmsg only reads.
        unsafe {
            let mut head = MaybeUninit::<libc::msghdr>::zeroed().assume_init();
            (head.msg_iov, head.msg_iovlen) = (&mut part, 1);
            head.msg_control = control.as_mut_ptr().cast();
            head.msg_controllen = libc::CMSG_SPACE((count * size_of::<RawFd>()) as u32) as _;
            let first = libc::CMSG_FIRSTHDR(&head);
            (*first).cmsg_level = libc::SOL_SOCKET;
            (*first).cmsg_type = libc::SCM_RIGHTS;
            (*first).cmsg_len = libc::CMSG_LEN((count * size_of::<RawFd>()) as u32) as _;
            for at in 0..count {
                libc::CMSG_DATA(first).cast::<RawFd>().add(at).write_unaligned(fd.as_raw_fd());
            }
            check_len(libc::sendmsg(socket.as_raw_fd(), &head, 0)).unwrap();
        }
    }

    #[test]
    fn no_descriptor_of_a_bad_message_stays_open() {
        for count in [2, 4, 5, 40] {
            let (one, other) = io::packet_pair().unwrap();
            let (reading, writing) = io::pipe(false).unwrap();
            send_many(one.as_fd(), writing.as_fd(), count);
            drop(writing);
            let refused = receive(other.as_fd(), &mut Vec::new(), 10).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidData);
            // The end of the pipe: no process holds its writing end any more.
            assert_eq!(io::read(reading.as_fd(), &mut [0; 4]).unwrap(), 0, "{count}");
        }
    }

    #[test]
    fn a_message_without_a_descriptor() {
        let (one, other) = io::packet_pair().unwrap();
        io::send(one.as_fd(), b"x without a number").unwrap();
        let refused = receive(other.as_fd(), &mut Vec::new(), 10).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidData);
    }
}

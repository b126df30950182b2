//! Descriptors that go from one process to another over a unix socket (SCM_RIGHTS, unix(7)).

use super::{check_len, retry};
use std::io::{Error, ErrorKind, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Room for the control message of one descriptor, aligned as its head has to be.
type Control = [u64; 4];

fn message(part: &mut libc::iovec, control: &mut Control) -> libc::msghdr {
    // SAFETY: a zeroed msghdr is valid.
    let mut head = unsafe { MaybeUninit::<libc::msghdr>::zeroed().assume_init() };
    head.msg_iov = part;
    head.msg_iovlen = 1;
    head.msg_control = control.as_mut_ptr().cast();
    head.msg_controllen = size_of::<Control>() as _;
    head
}

/// Sends bytes with a descriptor, without waiting. The receiver gets one of its own.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fd: BorrowedFd<'_>) -> Result<()> {
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control: Control = [0; 4];
    let mut head = message(&mut part, &mut control);
    // SAFETY: `head` points to live places; there is room for the one control message that is written; sendmsg only reads.
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
pub fn receive(socket: BorrowedFd<'_>, bytes: &mut Vec<u8>, most: usize) -> Result<OwnedFd> {
    bytes.clear();
    bytes.reserve(most);
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: most };
    let mut control: Control = [0; 4];
    let mut head = message(&mut part, &mut control);
    // SAFETY: `most` bytes of capacity are ours to write, and as many as recvmsg returns are initialized. A descriptor in a
    // whole control message is new and owned by nobody else.
    let received = unsafe {
        let got = retry(|| {
            let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
            check_len(libc::recvmsg(socket.as_raw_fd(), &mut head, flags))
        })?;
        bytes.set_len(got);
        let first = libc::CMSG_FIRSTHDR(&head);
        let is_one = !first.is_null()
            && (*first).cmsg_level == libc::SOL_SOCKET
            && (*first).cmsg_type == libc::SCM_RIGHTS;
        is_one.then(|| OwnedFd::from_raw_fd(libc::CMSG_DATA(first).cast::<RawFd>().read_unaligned()))
    };
    received.ok_or_else(|| Error::from(ErrorKind::InvalidData))
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
}

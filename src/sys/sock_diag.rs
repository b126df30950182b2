//! Asking the kernel about sockets over netlink (sock_diag(7)). It answers in the call that asks, so nobody waits.

use super::{check, io};
use std::io::{ErrorKind, Result};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

/// linux/sock_diag.h: the kind of a request, and of a message of the answer that describes a socket.
pub(super) const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// struct nlmsghdr (netlink(7)).
pub(super) const HEAD_LEN: usize = 16;

/// Sends a request and reads the first message of the answer, as much as has room.
///
/// # Errors
/// The kernel does not tell: it has no sock_diag, or a sandbox forbids netlink sockets.
pub(super) fn ask(request: &[u8], answer: &mut [u8]) -> Result<usize> {
    let socket = open()?;
    io::send(socket.as_fd(), request)?;
    io::recv_slice(socket.as_fd(), answer)
}

fn open() -> Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers; the descriptor that comes back is ours alone.
    unsafe {
        let fd = check(libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_SOCK_DIAG))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// A request of so many bytes: its head, and zeroes.
pub(super) fn request<const LEN: usize>(flags: i32) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[..4].copy_from_slice(&(LEN as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&((libc::NLM_F_REQUEST | flags) as u16).to_ne_bytes());
    bytes
}

/// The kind of a message, and its first word behind the head: of an error or an end, what was wrong.
pub(super) fn kind_of(message: &[u8]) -> Result<(u16, i32)> {
    let kind = message.get(4..6).and_then(|bytes| bytes.try_into().ok());
    let word = message.get(HEAD_LEN..HEAD_LEN + 4).and_then(|bytes| bytes.try_into().ok());
    match (kind, word) {
        (Some(kind), Some(word)) => Ok((u16::from_ne_bytes(kind), i32::from_ne_bytes(word))),
        _ => Err(ErrorKind::UnexpectedEof.into()),
    }
}

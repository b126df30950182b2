//! The own address of a socket as a number, by which accepted connections are known.

use super::{check, socket::get_option};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Names a socket's own address: as it is, and without the host. A listener's first name is one of those of each connection
/// that was accepted there: the second where it listens on every address. `None`: no socket, or it has no address.
pub(super) fn names_of(socket: BorrowedFd<'_>) -> Option<[u64; 2]> {
    let mut address = [0u8; size_of::<libc::sockaddr_storage>()];
    let mut len = address.len() as libc::socklen_t;
    // SAFETY: an address of any family fits, its size is given, and the kernel copies it as bytes.
    check(unsafe { libc::getsockname(socket.as_raw_fd(), address.as_mut_ptr().cast(), &mut len) }).ok()?;
    // Family and port, or family and path, and where the host stands (ip(7), ipv6(7), unix(7)).
    let (service, host) = match i32::from(u16::from_ne_bytes([address[0], address[1]])) {
        libc::AF_INET => (&address[..4], &address[4..8]),
        libc::AF_INET6 => (&address[..4], &address[8..24]),
        libc::AF_UNIX if len > 2 => (address.get(..len as usize)?, &address[..0]),
        _ => return None,
    };
    let name = hash(FNV_OFFSET, service.iter().copied());
    Some([hash(name, host.iter().copied()), hash(name, host.iter().map(|_| 0))])
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a.
fn hash(from: u64, bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(from, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Has this socket a peer, of a protocol with connections?
pub(super) fn is_connected_stream(socket: BorrowedFd<'_>) -> bool {
    let mut address = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: an address of any family fits, and its size is given.
    let peer = check(unsafe { libc::getpeername(socket.as_raw_fd(), address.as_mut_ptr().cast(), &mut len) });
    peer.is_ok()
        && get_option(socket, libc::SOL_SOCKET, libc::SO_TYPE).is_ok_and(|kind| kind == libc::SOCK_STREAM)
}

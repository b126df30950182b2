//! Listening sockets and what is accepted from them.

use super::{check, retry};
pub use libc::{EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC};
use std::io::{Error, ErrorKind, Result};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixListener;
use std::ptr::null_mut;
use std::time::Duration;

fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> Result<()> {
    // SAFETY: the value is a live int and its size is given.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })
    .map(drop)
}

pub(super) fn get_option(fd: BorrowedFd<'_>, level: i32, name: i32) -> Result<i32> {
    let mut value: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the value is a live int and its size is given.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &mut len) })?;
    Ok(value)
}

pub(super) fn set_backlog(fd: BorrowedFd<'_>, backlog: u32) -> Result<()> {
    // SAFETY: no pointers. A second listen() only changes the backlog.
    check(unsafe { libc::listen(fd.as_raw_fd(), backlog.min(i32::MAX as u32) as i32) }).map(drop)
}

/// A socket that neither listens nor is connected, close-on-exec.
pub fn unconnected() -> Result<OwnedFd> {
    // SAFETY: no pointers; the descriptor that comes back is ours alone.
    unsafe {
        Ok(OwnedFd::from_raw_fd(check(libc::socket(
            libc::AF_UNIX,
            libc::SOCK_STREAM | libc::SOCK_CLOEXEC,
            0,
        ))?))
    }
}

pub fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: no pointers.
    unsafe {
        let flags = check(libc::fcntl(fd.as_raw_fd(), libc::F_GETFL))?;
        check(libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK)).map(drop)
    }
}

/// Makes accept() on a listener wait, at most for `limit`. Waiting there takes one system call a connection where epoll
/// takes two, and the kernel serves the processes that wait in turn.
pub fn set_waiting(fd: BorrowedFd<'_>, limit: Duration) -> Result<()> {
    let limit = libc::timeval {
        tv_sec: limit.as_secs() as libc::time_t,
        tv_usec: limit.subsec_micros() as libc::suseconds_t,
    };
    // SAFETY: fcntl takes numbers; the option's value is a live timeval and its size is given.
    unsafe {
        let flags = check(libc::fcntl(fd.as_raw_fd(), libc::F_GETFL))?;
        check(libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags & !libc::O_NONBLOCK))?;
        check(libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVTIMEO,
            (&raw const limit).cast(),
            size_of::<libc::timeval>() as libc::socklen_t,
        ))
        .map(drop)
    }
}

pub fn set_close_on_exec(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) }).map(drop)
}

/// Options that a TCP socket needs before it is bound.
#[derive(Clone, Copy, Debug, Default)]
pub struct Binding {
    /// Other sockets may be bound to the same port (SO_REUSEPORT).
    pub reuse_port: bool,
    /// The address need not be configured on this machine yet (IP_FREEBIND).
    pub free: bool,
}

/// Binds one TCP address and listens.
pub fn listen_tcp(address: SocketAddr, backlog: u32, binding: Binding) -> Result<OwnedFd> {
    let fd = new_tcp(address.is_ipv4())?;
    set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    if binding.reuse_port {
        set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    }
    if binding.free {
        set_option(fd.as_fd(), libc::IPPROTO_IP, libc::IP_FREEBIND, 1)?;
    }
    bind(fd.as_fd(), address)?;
    set_backlog(fd.as_fd(), backlog)?;
    Ok(fd)
}

/// A TCP socket that does not block and does not survive an exec.
fn new_tcp(v4: bool) -> Result<OwnedFd> {
    let family = if v4 { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers; the new descriptor is ours alone.
    unsafe { Ok(OwnedFd::from_raw_fd(check(libc::socket(family, kind, 0))?)) }
}

fn bind(fd: BorrowedFd<'_>, address: SocketAddr) -> Result<()> {
    let (place, len) = raw_address(address);
    // SAFETY: an address of that length.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const place).cast(), len) }).map(drop)
}

/// A connection on its way: nothing is waited for. It can be written to when it is there or has failed.
pub fn connect_tcp(address: SocketAddr) -> Result<TcpStream> {
    let fd = new_tcp(address.is_ipv4())?;
    let (place, len) = raw_address(address);
    // SAFETY: an address of that length.
    match check(unsafe { libc::connect(fd.as_raw_fd(), (&raw const place).cast(), len) }) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(TcpStream::from(fd)),
    }
}

fn raw_address(address: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    let mut place = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    // SAFETY: a zeroed storage is valid and has room for either kind of address, which is written as its own type.
    unsafe {
        let len = match address {
            SocketAddr::V4(address) => {
                let place = &mut *place.as_mut_ptr().cast::<libc::sockaddr_in>();
                place.sin_family = libc::AF_INET as libc::sa_family_t;
                place.sin_port = address.port().to_be();
                place.sin_addr.s_addr = u32::from(*address.ip()).to_be();
                size_of::<libc::sockaddr_in>()
            }
            SocketAddr::V6(address) => {
                let place = &mut *place.as_mut_ptr().cast::<libc::sockaddr_in6>();
                place.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                place.sin6_port = address.port().to_be();
                place.sin6_addr.s6_addr = address.ip().octets();
                place.sin6_scope_id = address.scope_id();
                size_of::<libc::sockaddr_in6>()
            }
        };
        (place.assume_init(), len as libc::socklen_t)
    }
}

/// The kernel probes connections on which nothing comes; accepted sockets inherit it, as the two below.
pub fn keep_alive(fd: BorrowedFd<'_>) -> Result<()> {
    set_option(fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)
}

/// Bytes of the buffer for sending; the kernel doubles the number for its own needs.
pub fn send_buffer(fd: BorrowedFd<'_>, bytes: usize) -> Result<()> {
    set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, bytes.min(i32::MAX as usize) as i32)
}

/// Bytes of the buffer for receiving.
pub fn receive_buffer(fd: BorrowedFd<'_>, bytes: usize) -> Result<()> {
    set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes.min(i32::MAX as usize) as i32)
}

/// So many connections may bring data with their first packet.
pub fn fast_open(fd: BorrowedFd<'_>, waiting: u32) -> Result<()> {
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, waiting.min(i32::MAX as u32) as i32)
}

/// Completes a connection for accept() only when its first bytes are there: one wake-up a request. Only for peers
/// that speak first.
pub fn defer_accept(fd: BorrowedFd<'_>, limit: Duration) -> Result<()> {
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, limit.as_secs().max(1) as i32)
}

/// Sends small answers at once on every connection accepted from this socket (they inherit it).
pub fn no_delay(fd: BorrowedFd<'_>) -> Result<()> {
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)
}

/// Binds a name in Linux's abstract space.
pub fn listen_abstract(name: &[u8], backlog: u32) -> Result<OwnedFd> {
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
    let listener = UnixListener::bind_addr(&address)?;
    set_backlog(listener.as_fd(), backlog)?;
    set_nonblocking(listener.as_fd())?;
    Ok(listener.into())
}

/// Has a listener accept no new connections; those that wait in its backlog stay. A unix socket refuses connects at
/// once. A TCP socket drops SYN segments, so that a handshake that has begun can end and no new one begins: a client's
/// SYN is lost, and its next one is refused, when the listener is closed.
///
/// # Errors
/// The kernel takes no filter; the listener is as it was.
pub fn refuse_new(listener: BorrowedFd<'_>) -> Result<()> {
    match get_option(listener, libc::SOL_SOCKET, libc::SO_DOMAIN)? {
        libc::AF_UNIX => shutdown(listener, libc::SHUT_RD),
        _ => drop_syns(listener),
    }
}

/// Ends a listener for every process that has it. What waits in the backlog of a TCP socket is reset.
pub fn end_listening(listener: BorrowedFd<'_>) -> Result<()> {
    shutdown(listener, libc::SHUT_RDWR)
}

fn shutdown(fd: BorrowedFd<'_>, how: i32) -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::shutdown(fd.as_raw_fd(), how) }).map(drop)
}

/// A classic BPF program that sees a segment from its TCP header on (RFC 9293 §3.1: the flags are the byte at 13).
fn drop_syns(listener: BorrowedFd<'_>) -> Result<()> {
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const SYN_OR_ACK: u32 = 0x12;
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, FLAGS),
        step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, SYN_OR_ACK),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, SYN),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the value is a live sock_fprog whose length is that of its program, and its size is given.
    check(unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    })
    .map(drop)
}

/// Checks that an inherited descriptor is a listening stream socket and readies it.
pub fn take_listener(fd: BorrowedFd<'_>) -> Result<()> {
    if get_option(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN)? != 1 {
        return Err(Error::new(ErrorKind::InvalidInput, "not a listening socket"));
    }
    set_nonblocking(fd)?;
    set_close_on_exec(fd)
}

/// The address a socket is bound to, for people: `127.0.0.1:8000`, a path, `@name`.
pub fn local_name(fd: BorrowedFd<'_>) -> Option<String> {
    let mut place = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: room for any address, its size given; a zeroed storage is valid.
    let storage = unsafe {
        check(libc::getsockname(fd.as_raw_fd(), place.as_mut_ptr().cast(), &mut len)).ok()?;
        place.assume_init()
    };
    if i32::from(storage.ss_family) == libc::AF_UNIX {
        return unix_name(&storage, len as usize);
    }
    socket_address(&storage).map(|address| address.to_string())
}

fn unix_name(storage: &libc::sockaddr_storage, len: usize) -> Option<String> {
    // SAFETY: AF_UNIX addresses are sockaddr_un, which is smaller than the storage.
    let address = unsafe { &*(storage as *const libc::sockaddr_storage).cast::<libc::sockaddr_un>() };
    let taken = len.checked_sub(std::mem::offset_of!(libc::sockaddr_un, sun_path))?;
    let path: Vec<u8> = address.sun_path.iter().take(taken).map(|&c| c as u8).collect();
    match path.split_first()? {
        (0, name) => Some(format!("@{}", String::from_utf8_lossy(name))),
        _ => Some(String::from_utf8_lossy(path.split(|&c| c == 0).next()?).into_owned()),
    }
}

fn socket_address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says sockaddr_in, which is smaller than the storage.
            let address = unsafe { *(storage as *const libc::sockaddr_storage).cast::<libc::sockaddr_in>() };
            let ip = u32::from_be(address.sin_addr.s_addr).into();
            Some(SocketAddr::new(IpAddr::V4(ip), u16::from_be(address.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says sockaddr_in6, which is smaller than the storage.
            let address = unsafe { *(storage as *const libc::sockaddr_storage).cast::<libc::sockaddr_in6>() };
            let ip = std::net::Ipv6Addr::from(address.sin6_addr.s6_addr);
            Some(SocketAddr::new(ip.to_canonical(), u16::from_be(address.sin6_port)))
        }
        _ => None,
    }
}

/// Of an accepted connection. sendfile has no flag of its own not to wait.
const ACCEPTED: i32 = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;

/// Takes one waiting connection: close-on-exec, non-blocking.
pub fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd> {
    retry(|| {
        // SAFETY: null pointers ask for no address.
        unsafe { accept4(listener, null_mut(), null_mut()) }
    })
    .map(accepted)
}

/// accept4(2) as the kernel has it: the C library's is a cancellation point (see io.rs).
unsafe fn accept4(
    listener: BorrowedFd<'_>,
    address: *mut libc::sockaddr,
    length: *mut libc::socklen_t,
) -> Result<i32> {
    // SAFETY: the caller guarantees room for an address of that length.
    let fd =
        unsafe { libc::syscall(libc::SYS_accept4, listener.as_raw_fd(), address, length, ACCEPTED) } as i32;
    check(fd)
}

/// Owns a socket that was just accepted. An application that has closed its standard streams
/// must not print or log to a client.
fn accepted(fd: i32) -> OwnedFd {
    // SAFETY: new, and ours alone.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    if fd > 2 { socket } else { away_from_standard_streams(socket) }
}

#[cold]
fn away_from_standard_streams(socket: OwnedFd) -> OwnedFd {
    // The copy gets a number above 2.
    let moved = socket.try_clone();
    match moved {
        Ok(moved) => {
            drop(socket);
            super::io::open_standard_streams();
            moved
        }
        Err(_) => socket,
    }
}

/// Waits for a connection on a listener that was readied by [`set_waiting`]: `Interrupted` when a signal came,
/// `WouldBlock` when the time is up.
pub fn wait_accept(listener: BorrowedFd<'_>) -> Result<OwnedFd> {
    // SAFETY: null pointers ask for no address.
    unsafe { accept4(listener, null_mut(), null_mut()) }.map(accepted)
}

/// Takes one waiting connection and its peer's address (`None` on unix sockets).
pub fn accept_from(listener: BorrowedFd<'_>) -> Result<(OwnedFd, Option<SocketAddr>)> {
    let mut place = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    let fd = retry(|| {
        // SAFETY: room for any address, and its size.
        unsafe { accept4(listener, place.as_mut_ptr().cast(), &mut len) }
    })?;
    // SAFETY: a zeroed or filled storage is valid either way.
    let storage = unsafe { place.assume_init() };
    Ok((accepted(fd), socket_address(&storage)))
}

/// How full a listener's queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    pub waiting: u32,
    pub most: u32,
}

/// Connections that wait to be accepted; `None` on unix sockets: [`super::backlog`] asks for those.
pub fn backlog(listener: BorrowedFd<'_>) -> Option<Backlog> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: room for one tcp_info, its size given. Of a listener tcpi_unacked is the length of its queue, tcpi_sacked
    // the longest that it may have.
    unsafe {
        check(libc::getsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &mut len,
        ))
        .ok()?;
        let info = info.assume_init();
        Some(Backlog { waiting: info.tcpi_unacked, most: info.tcpi_sacked })
    }
}

//! The error stream, written to without ever waiting for its reader.

use super::{check, check_len, epoll, io, retry};
use std::io::{Error, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// A pipe takes this much at once, without mixing it with another process's text, or nothing (PIPE_BUF, pipe(7)).
pub const ATOMIC: usize = 4096;

/// What the error stream is, and so how it is written to.
#[derive(Debug)]
pub enum Output {
    /// A regular file, or a device that is no terminal: a write does not wait for a reader.
    File,
    /// A pipe or a terminal, through an open file description of this server's own: O_NONBLOCK belongs to the
    /// description, and the one that was inherited is shared with the shell and with the application.
    Reopened(OwnedFd),
    Socket,
    /// A pipe or a terminal of another user, which may not be opened again.
    Shared,
}

impl Output {
    /// To be called before privileges are dropped: afterwards the pipe may be another user's. Children inherit it.
    pub fn of_stderr() -> Output {
        let mut stat = MaybeUninit::<libc::stat>::zeroed();
        // SAFETY: `stat` is a place for one stat; it is read only when the call succeeded.
        let mode = unsafe {
            match libc::fstat(2, stat.as_mut_ptr()) {
                0 => stat.assume_init().st_mode,
                _ => return Output::File,
            }
        };
        // SAFETY: no pointers.
        let is_terminal = || unsafe { libc::isatty(2) == 1 };
        match mode & libc::S_IFMT {
            libc::S_IFSOCK => Output::Socket,
            libc::S_IFIFO => reopen(),
            libc::S_IFCHR if is_terminal() => reopen(),
            _ => Output::File,
        }
    }

    /// Does it take any number of bytes as one piece, as a file does that is opened for appending?
    pub fn is_file(&self) -> bool {
        matches!(self, Output::File)
    }

    /// Writes what is taken at once. An error of the kind `WouldBlock` says that the reader is behind.
    pub fn write(&self, bytes: &[u8]) -> Result<usize> {
        match self {
            Output::File => io::write_now(io::stderr(), bytes),
            Output::Reopened(own) => match io::write_now(own.as_fd(), bytes) {
                // The application has closed every descriptor but the first three.
                Err(error) if error.raw_os_error() == Some(libc::EBADF) => write_shared(bytes),
                result => result,
            },
            Output::Socket => io::send(io::stderr(), bytes),
            Output::Shared => write_shared(bytes),
        }
    }

    /// Waits until something may be taken again; `false` when the time is up.
    pub fn wait(&self, time: Duration) -> bool {
        let fd: BorrowedFd<'_> = match self {
            Output::Reopened(own) => own.as_fd(),
            _ => io::stderr(),
        };
        epoll::wait_one(fd, true, time).unwrap_or(false)
    }
}

fn reopen() -> Output {
    let flags = libc::O_WRONLY | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
    // SAFETY: a NUL-terminated path; the descriptor that comes back is ours alone.
    let opened = retry(|| unsafe {
        check(libc::open(c"/proc/self/fd/2".as_ptr(), flags)).map(|fd| OwnedFd::from_raw_fd(fd))
    });
    opened.map_or(Output::Shared, Output::Reopened)
}

/// One write that does not wait (RWF_NOWAIT; Linux 6.4 has it for pipes). Elsewhere the stream is asked whether it has
/// room: a pipe that has any takes a page, so the write waits only if another process fills that page in between.
fn write_shared(bytes: &[u8]) -> Result<usize> {
    match write_nowait(bytes) {
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL)) => {}
        result => return result,
    }
    if !epoll::wait_one(io::stderr(), true, Duration::ZERO)? {
        return Err(Error::from_raw_os_error(libc::EAGAIN));
    }
    io::write_now(io::stderr(), &bytes[..bytes.len().min(ATOMIC)])
}

/// pwritev2(2) by its number, since the function is not in every C library; the offset -1 stands for no offset.
fn write_nowait(bytes: &[u8]) -> Result<usize> {
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let (stream, none) = (io::stderr().as_raw_fd(), -1 as libc::c_long);
    retry(|| {
        // SAFETY: one part, a live slice that the call only reads.
        check_len(unsafe {
            libc::syscall(libc::SYS_pwritev2, stream, &raw const part, 1, none, none, libc::RWF_NOWAIT)
                as isize
        })
    })
}

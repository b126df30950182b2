//! Reading and writing descriptors. Nothing here blocks unless its name says so.

use super::{check, check_len, retry};
use std::fs::File;
use std::io::{IoSlice, Result, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{null, null_mut};

pub use libc::O_TMPFILE;

/// recv(2) as the kernel has it. The C library's is a cancellation point (pthreads(7)), for which it does as much again
/// around the system call in a process of several threads.
unsafe fn receive(fd: RawFd, to: *mut u8, room: usize, flags: i32) -> isize {
    let (address, length) = (null_mut::<libc::sockaddr>(), null_mut::<libc::socklen_t>());
    // SAFETY: the caller's to say that `room` bytes can be written; no address is wanted.
    unsafe { libc::syscall(libc::SYS_recvfrom, fd, to, room, flags, address, length) as isize }
}

/// send(2) in the same way.
unsafe fn transmit(fd: RawFd, from: *const u8, length: usize, flags: i32) -> isize {
    let address = null::<libc::sockaddr>();
    // SAFETY: the caller's to say that `length` bytes can be read; no address is given.
    unsafe { libc::syscall(libc::SYS_sendto, fd, from, length, flags, address, 0) as isize }
}

/// Receives into the spare capacity of `buffer`, at most `most` bytes. 0 means that the peer has closed its side.
pub fn recv(fd: BorrowedFd<'_>, buffer: &mut Vec<u8>, most: usize) -> Result<usize> {
    buffer.reserve(most.min(4096));
    let spare = buffer.spare_capacity_mut();
    let room = spare.len().min(most);
    let got = retry(|| {
        // SAFETY: `room` bytes of spare capacity are ours to write; recv initializes as many as it returns.
        check_len(unsafe { receive(fd.as_raw_fd(), spare.as_mut_ptr().cast(), room, libc::MSG_DONTWAIT) })
    })?;
    // SAFETY: the kernel has just initialized these bytes, which lie within the capacity.
    unsafe { buffer.set_len(buffer.len() + got) };
    Ok(got)
}

/// Receives into a slice.
pub fn recv_slice(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    retry(|| {
        // SAFETY: pointer and length are those of a live slice.
        check_len(unsafe {
            receive(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT)
        })
    })
}

/// Are there bytes to be received? They are left where they are.
pub fn has_bytes(fd: BorrowedFd<'_>) -> bool {
    let mut byte = 0u8;
    // SAFETY: one byte of a live variable.
    let got =
        unsafe { libc::recv(fd.as_raw_fd(), (&raw mut byte).cast(), 1, libc::MSG_PEEK | libc::MSG_DONTWAIT) };
    got > 0
}

/// Sends as much of a buffer as the socket takes; a closed peer is EPIPE, never a signal.
pub fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    send_flagged(fd, bytes, 0)
}

/// The same, where more follows at once: the kernel may wait for it to fill a segment.
pub fn send_with_more(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    send_flagged(fd, bytes, libc::MSG_MORE)
}

fn send_flagged(fd: BorrowedFd<'_>, bytes: &[u8], flag: i32) -> Result<usize> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | flag;
    retry(|| {
        // SAFETY: pointer and length are those of a live slice.
        check_len(unsafe { transmit(fd.as_raw_fd(), bytes.as_ptr(), bytes.len(), flags) })
    })
}

/// Sends two buffers in one call.
pub fn send_two(fd: BorrowedFd<'_>, first: &[u8], second: &[u8]) -> Result<usize> {
    let parts = [first, second]
        .map(|part| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() });
    let mut message = MaybeUninit::<libc::msghdr>::zeroed();
    retry(|| {
        // SAFETY: a zeroed msghdr is valid; its two parts are live slices that sendmsg only reads.
        check_len(unsafe {
            let head = message.as_mut_ptr();
            (*head).msg_iov = parts.as_ptr().cast_mut();
            (*head).msg_iovlen = parts.len() as _;
            libc::sendmsg(fd.as_raw_fd(), head, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
        })
    })
}

/// Sends many buffers in one call.
pub fn send_parts(fd: BorrowedFd<'_>, parts: &[IoSlice<'_>]) -> Result<usize> {
    let mut message = MaybeUninit::<libc::msghdr>::zeroed();
    retry(|| {
        // SAFETY: a zeroed msghdr is valid; an IoSlice has the layout of an iovec, and its bytes are live and only
        // read.
        check_len(unsafe {
            let head = message.as_mut_ptr();
            (*head).msg_iov = parts.as_ptr().cast_mut().cast();
            (*head).msg_iovlen = parts.len().min(libc::UIO_MAXIOV as usize) as _;
            libc::sendmsg(fd.as_raw_fd(), head, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
        })
    })
}

/// Sends to a descriptor by its number, as much as goes without waiting; for signal handlers (send is
/// async-signal-safe). The error for a number that is no socket is ignored.
pub fn send_raw(fd: RawFd, bytes: &[u8]) {
    // SAFETY: pointer and length are those of a live slice.
    unsafe {
        libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT);
        libc::shutdown(fd, libc::SHUT_WR);
    }
}

/// Writes a NUL byte to a pipe by its number; for signal handlers. `false`: it took none.
pub fn write_mark(fd: RawFd) -> bool {
    // SAFETY: one byte of a live array.
    unsafe { libc::write(fd, [0u8].as_ptr().cast(), 1) == 1 }
}

/// sendfile(2) from `offset`; returns how much went out.
pub fn sendfile(out: BorrowedFd<'_>, file: BorrowedFd<'_>, offset: u64, len: u64) -> Result<usize> {
    let mut at = offset as libc::off_t;
    retry(|| {
        // SAFETY: `at` is a live variable.
        check_len(unsafe {
            libc::sendfile(out.as_raw_fd(), file.as_raw_fd(), &mut at, len.min(1 << 30) as usize)
        })
    })
}

/// Reads from a place of a file into the spare capacity of `buffer`, at most `most` bytes; 0 at its end.
pub fn read_at(file: BorrowedFd<'_>, offset: u64, buffer: &mut Vec<u8>, most: usize) -> Result<usize> {
    buffer.reserve(most);
    let spare = buffer.spare_capacity_mut();
    let got = retry(|| {
        // SAFETY: `most` bytes of spare capacity are ours to write; pread initializes as many as it returns.
        check_len(unsafe {
            libc::pread(file.as_raw_fd(), spare.as_mut_ptr().cast(), most, offset as libc::off_t)
        })
    })?;
    // SAFETY: the kernel has just initialized these bytes, which lie within the capacity.
    unsafe { buffer.set_len(buffer.len() + got) };
    Ok(got)
}

/// The size of an open file, if its bytes are stored as many as the size says. Files of /proc and /sys are made as they
/// are read: they say 0, or a page, and have no blocks. Nor has a file that is all holes, which can be read as well.
pub fn stored_size(file: BorrowedFd<'_>) -> Option<u64> {
    let size = regular_size(file)?;
    let is_stored = if size == 0 {
        matches!(read_at(file, 0, &mut Vec::new(), 1), Ok(0))
    } else {
        let mut stat = MaybeUninit::<libc::stat>::zeroed();
        // SAFETY: `stat` is a place for one stat; it is read only when the call succeeded.
        unsafe { libc::fstat(file.as_raw_fd(), stat.as_mut_ptr()) == 0 && stat.assume_init().st_blocks > 0 }
    };
    is_stored.then_some(size)
}

/// Size and kind of an open file: `Some(size)` only for a regular one.
pub fn regular_size(file: BorrowedFd<'_>) -> Option<u64> {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `stat` is a place for one stat; it is read only when the call succeeded.
    unsafe {
        check(libc::fstat(file.as_raw_fd(), stat.as_mut_ptr())).ok()?;
        let stat = stat.assume_init();
        (stat.st_mode & libc::S_IFMT == libc::S_IFREG).then_some(stat.st_size as u64)
    }
}

/// Where the next read() of a file would begin.
pub fn position(file: BorrowedFd<'_>) -> Option<u64> {
    // SAFETY: no pointers.
    u64::try_from(unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_CUR) }).ok()
}

/// Closes for sending; the peer reads to the end of what was sent.
pub fn shutdown_send(fd: BorrowedFd<'_>) {
    // SAFETY: no pointers; a peer that is gone already is no news.
    unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_WR) };
}

/// Ends a wait for bytes on a socket, by its number, as if its peer had closed. A number that is no socket is left
/// alone.
pub fn shutdown_receive(fd: RawFd) {
    // SAFETY: no pointers.
    unsafe { libc::shutdown(fd, libc::SHUT_RD) };
}

/// Writes all of it, waiting where it must: for logs and files.
pub fn write_all_blocking(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        // SAFETY: pointer and length are those of a live slice.
        let wrote =
            retry(|| check_len(unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) }));
        match wrote {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                super::epoll::wait_one(fd, true, std::time::Duration::from_secs(1))?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads what is there from a pipe or eventfd.
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: pointer and length are those of a live slice.
    retry(|| check_len(unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) }))
}

/// Writes what a pipe takes without waiting (one made so).
pub fn write_now(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    // SAFETY: pointer and length are those of a live slice.
    retry(|| check_len(unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) }))
}

/// Lets a pipe hold this much, if the system allows it.
pub fn widen_pipe(fd: BorrowedFd<'_>, bytes: i32) {
    // SAFETY: no pointers; a refusal leaves the pipe as it was.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) };
}

/// A pipe, close-on-exec: (reading end, writing end).
pub fn pipe(nonblocking: bool) -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    let flags = libc::O_CLOEXEC | if nonblocking { libc::O_NONBLOCK } else { 0 };
    // SAFETY: room for two descriptors, which are ours alone afterwards.
    unsafe {
        check(libc::pipe2(ends.as_mut_ptr(), flags))?;
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

/// A file in memory with this content, to be read from its beginning (memfd_create(2)).
pub fn memory_file(content: &[u8]) -> Result<OwnedFd> {
    // SAFETY: a NUL-terminated name; the descriptor that comes back is ours alone.
    let mut file =
        unsafe { File::from_raw_fd(check(libc::memfd_create(c"alarm".as_ptr(), libc::MFD_CLOEXEC))?) };
    file.write_all(content)?;
    file.rewind()?;
    Ok(file.into())
}

/// Closes every descriptor from this number on when the process becomes another program.
pub fn close_on_exec_from(first: u32) {
    // SAFETY: no pointers, and nothing is closed now.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// Was this descriptor handed over by whoever started the program? Those that are opened here close on exec.
pub fn is_inherited(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: no pointers.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC == 0
}

/// Closes every descriptor from this number on, in a process that never comes to the end of their owners.
pub fn close_from(first: u32) {
    // SAFETY: no pointers; no code of this process uses one of these numbers again.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// A connected pair of packet sockets, close-on-exec.
pub fn packet_pair() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: room for two descriptors, which are ours alone afterwards.
    unsafe {
        check(libc::socketpair(
            libc::AF_UNIX,
            libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC,
            0,
            ends.as_mut_ptr(),
        ))?;
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

/// Takes over an inherited descriptor; `None` when there is none of that number.
pub fn adopt(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: fcntl without pointers tells whether the number is an open descriptor; who names it in the configuration
    // or the environment hands it over.
    unsafe { (libc::fcntl(fd, libc::F_GETFD) >= 0).then(|| OwnedFd::from_raw_fd(fd)) }
}

/// Is there a number left for another descriptor? Without one a descriptor that comes in a message is lost (unix(7)).
pub fn has_spare_number() -> bool {
    // SAFETY: no pointers; the copy is closed when it is dropped.
    let copy = unsafe { libc::fcntl(2, libc::F_DUPFD_CLOEXEC, 0) };
    // SAFETY: new, and ours alone.
    (copy >= 0).then(|| unsafe { OwnedFd::from_raw_fd(copy) }).is_some()
}

/// Closes descriptors of the parent's in a child that must not have them, and that never comes to the end of their
/// owners.
pub fn close(numbers: &[RawFd]) {
    numbers.iter().for_each(|&number| drop(adopt(number)));
}

/// The process's own error stream.
pub fn stderr() -> BorrowedFd<'static> {
    // SAFETY: open_standard_streams() has made sure that 2 is open, and nothing closes it.
    unsafe { BorrowedFd::borrow_raw(2) }
}

/// A descriptor that another language owns, for as long as its object lives; `None` when the number is not open.
pub fn numbered<'a>(fd: RawFd) -> Option<BorrowedFd<'a>> {
    // SAFETY: fcntl without pointers tells whether the number is open. Who closes it too early gets EBADF, or sends
    // another file of its own; memory is never at stake.
    unsafe { (libc::fcntl(fd, libc::F_GETFD) >= 0).then(|| BorrowedFd::borrow_raw(fd)) }
}

/// Makes sure that 0, 1 and 2 are open, so that no socket or log ever becomes one of them.
pub fn open_standard_streams() {
    loop {
        // SAFETY: a NUL-terminated path; what opens below 3 stays open on purpose.
        let fd = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        if !(0..=2).contains(&fd) {
            if fd > 2 {
                // SAFETY: ours, just opened.
                unsafe { libc::close(fd) };
            }
            return;
        }
    }
}

/// Points the output and error streams at a file.
pub fn redirect_output(file: &File) -> Result<()> {
    for stream in [1, 2] {
        // SAFETY: no pointers; dup2 replaces the stream in one step.
        check(unsafe { libc::dup2(file.as_raw_fd(), stream) })?;
    }
    Ok(())
}

/// Points the input stream at /dev/null.
pub fn drop_input() -> Result<()> {
    let null = File::open("/dev/null")?;
    // SAFETY: no pointers.
    check(unsafe { libc::dup2(null.as_fd().as_raw_fd(), 0) }).map(drop)
}

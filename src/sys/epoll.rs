//! epoll: one instance a worker, and those that all workers share.

use super::wait::Deadline;
use super::waiter::Waiter;
use super::{check, retry};
use std::io::Result;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::Duration;

pub const READ: u32 = libc::EPOLLIN as u32;
pub const WRITE: u32 = libc::EPOLLOUT as u32;
/// The peer has closed its side, or the descriptor is broken; always reported.
pub const HANGUP: u32 = (libc::EPOLLHUP | libc::EPOLLERR) as u32;
/// Reports once, then waits to be armed again.
pub const ONESHOT: u32 = libc::EPOLLONESHOT as u32;
/// Reports each change once, to one of the threads that wait.
pub const EDGE: u32 = libc::EPOLLET as u32;
/// Of all instances that watch a descriptor with this flag the kernel wakes one: the first, in the order in which they
/// were added, that has a thread waiting.
pub const EXCLUSIVE: u32 = libc::EPOLLEXCLUSIVE as u32;

/// What one wait brought.
pub struct Events {
    list: Vec<libc::epoll_event>,
    len: usize,
}

impl Events {
    pub fn with_capacity(capacity: usize) -> Events {
        Events { list: vec![libc::epoll_event { events: 0, u64: 0 }; capacity.max(1)], len: 0 }
    }

    /// `(token, flags)` of each event of the last wait.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.list[..self.len].iter().map(|event| (event.u64, event.events))
    }

    pub fn get(&self, index: usize) -> Option<(u64, u32)> {
        self.list[..self.len].get(index).map(|event| (event.u64, event.events))
    }
}

#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    pub fn new() -> Result<Epoll> {
        // SAFETY: no pointers; the descriptor that comes back is ours alone.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: just opened, with no other owner.
        Ok(Epoll(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    fn control(&self, op: i32, fd: RawFd, flags: u32, token: u64) -> Result<()> {
        let mut event = libc::epoll_event { events: flags, u64: token };
        // SAFETY: `event` lives across the call; the kernel copies it.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), op, fd, &mut event) }).map(drop)
    }

    pub fn add(&self, fd: impl AsFd, flags: u32, token: u64) -> Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd.as_fd().as_raw_fd(), flags, token)
    }

    pub fn modify(&self, fd: impl AsFd, flags: u32, token: u64) -> Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd.as_fd().as_raw_fd(), flags, token)
    }

    pub fn remove(&self, fd: impl AsFd) -> Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd.as_fd().as_raw_fd(), 0, 0)
    }

    /// Waits for events; `None` waits for ever. A signal ends the wait with `ErrorKind::Interrupted`.
    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> Result<()> {
        events.len = 0;
        events.len = self.wait_millis(events, timeout)? as usize;
        Ok(())
    }

    /// The same in the thread of a core: a wake signal that came since its last wait ends this one at once.
    pub fn wait_until_woken(
        &self,
        events: &mut Events,
        timeout: Option<Duration>,
        waiter: &Waiter,
    ) -> Result<()> {
        events.len = 0;
        let count = waiter.wait(timeout, |timeout, blind| match LACKS_PWAIT2.load(Relaxed) {
            false => self.wait_by_address(events, timeout, blind),
            true => self.wait_millis(events, Some(blind)),
        });
        events.len = count? as usize;
        Ok(())
    }

    fn wait_by_address(
        &self,
        events: &mut Events,
        timeout: *const AtomicI64,
        blind: Duration,
    ) -> Result<i32> {
        let (list, none) = (events.list.as_mut_ptr(), std::ptr::null::<libc::sigset_t>());
        // SAFETY: the list's whole length is initialized and passed along; the timeout is a live __kernel_timespec; a
        // null mask changes nothing.
        let result = check(unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.0.as_raw_fd(),
                list,
                events.list.len() as i32,
                timeout,
                none,
                0,
            )
        } as i32);
        match result {
            // EPERM is what older container runtimes answer for system calls that they do not know.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                LACKS_PWAIT2.store(true, Relaxed);
                self.wait_millis(events, Some(blind))
            }
            result => result,
        }
    }

    fn wait_millis(&self, events: &mut Events, timeout: Option<Duration>) -> Result<i32> {
        let millis = timeout.map_or(-1, |time| time.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32);
        let (list, length) = (events.list.as_mut_ptr(), events.list.len() as i32);
        // SAFETY: the list's whole length is initialized and passed along.
        check(unsafe { libc::epoll_wait(self.0.as_raw_fd(), list, length, millis) })
    }
}

/// The kernel has no epoll_pwait2 (before 5.11), or forbids it.
static LACKS_PWAIT2: AtomicBool = AtomicBool::new(false);

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Does nothing for a while: when the system is out of descriptors or memory and there is nothing to wait for.
pub fn sleep(time: Duration) {
    // SAFETY: no descriptors, and the count says none.
    unsafe { libc::poll(std::ptr::null_mut(), 0, time.as_millis().min(1000) as i32) };
}

/// Can a descriptor be read, as poll(2) has it with POLLIN? One that is only broken or hung up cannot.
pub fn is_readable(fd: impl AsFd) -> bool {
    let mut poll = libc::pollfd { fd: fd.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd, and the count says one.
    let ready = unsafe { libc::poll(&mut poll, 1, 0) };
    ready > 0 && poll.revents & libc::POLLIN != 0
}

/// Waits until one descriptor can be read (`write` = false) or written; `false` when the time is up, which no signal
/// prolongs.
pub fn wait_one(fd: impl AsFd, write: bool, timeout: Duration) -> Result<bool> {
    let events = if write { libc::POLLOUT } else { libc::POLLIN };
    let mut poll = libc::pollfd { fd: fd.as_fd().as_raw_fd(), events, revents: 0 };
    let until = Deadline::after(timeout);
    // SAFETY: one pollfd, and the count says one.
    retry(|| check(unsafe { libc::poll(&mut poll, 1, until.millis_left()) })).map(|ready| ready > 0)
}

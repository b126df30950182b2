//! The master's ends of the sockets to its zygotes.

use super::protocol::{ForkRequest, NOTICE_LEN, Notice};
use crate::master::sources::OTHER;
use crate::shm::scoreboard::Scoreboard;
use crate::sys::epoll::{self, Epoll};
use crate::sys::{io, process};
use std::io::Result;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

/// Line buffers of zygotes, behind those of the workers. By the time a number comes again its zygote is gone.
pub const LOG_SLOTS: usize = 4;

struct Link {
    pid: i32,
    /// Requests go out, notices come in. Closing it ends the zygote.
    socket: OwnedFd,
    /// Known once it is ready: it has given up root before it loads the application.
    uids: Option<[u32; 4]>,
}

pub struct Zygotes {
    epoll: Rc<Epoll>,
    links: Vec<Link>,
    started: usize,
}

impl Zygotes {
    pub fn new(epoll: Rc<Epoll>) -> Zygotes {
        Zygotes { epoll, links: Vec::new(), started: 0 }
    }

    /// Where the lines of the next zygote wait.
    pub fn next_log_slot(&mut self, scoreboard: Scoreboard) -> usize {
        self.started += 1;
        scoreboard.slots() + self.started % LOG_SLOTS
    }

    pub fn add(&mut self, pid: i32, socket: OwnedFd) {
        let _ = self.epoll.add(&socket, epoll::READ, OTHER);
        self.links.push(Link { pid, socket, uids: None });
    }

    /// Descriptors that children close.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.links.iter().map(|link| link.socket.as_raw_fd())
    }

    fn get(&self, pid: i32) -> Option<&Link> {
        self.links.iter().find(|link| link.pid == pid)
    }

    pub fn ask(&self, zygote: i32, request: ForkRequest) -> Result<()> {
        let link = self.get(zygote).ok_or(std::io::ErrorKind::NotConnected)?;
        io::send(link.socket.as_fd(), &request.to_bytes()).map(drop)
    }

    /// The messages of zygotes since the last call, with their senders; never waits.
    pub fn notices(&self) -> Vec<(i32, Notice)> {
        self.links
            .iter()
            .flat_map(|link| link.notices().into_iter().map(|notice| (link.pid, notice)))
            .collect()
    }

    /// It has loaded the application.
    pub fn set_ready(&mut self, zygote: i32) {
        if let Some(link) = self.links.iter_mut().find(|link| link.pid == zygote) {
            link.uids = process::relation(zygote).map(|relation| relation.uids);
        }
    }

    /// May the process with this pid be a worker that this zygote has forked?
    pub fn may_have_forked(&self, zygote: i32, pid: i32) -> bool {
        self.get(zygote).is_some_and(|link| link.may_have_forked(pid))
    }

    /// A zygote that gets no more requests ends.
    pub fn release(&mut self, zygote: i32) {
        if let Some(link) = self.get(zygote) {
            let _ = self.epoll.remove(&link.socket);
            io::shutdown_send(link.socket.as_fd());
        }
    }

    /// It has ended.
    pub fn remove(&mut self, zygote: i32) {
        if let Some(link) = self.get(zygote) {
            let _ = self.epoll.remove(&link.socket);
        }
        self.links.retain(|link| link.pid != zygote);
    }
}

impl Link {
    /// A worker is the master's child, or still that of the process between the two forks, and has given up root as the
    /// zygote has.
    fn may_have_forked(&self, pid: i32) -> bool {
        let is_near = |parent| {
            parent == process::pid()
                || process::relation(parent).is_some_and(|between| between.parent == self.pid)
        };
        process::relation(pid).is_some_and(|told| Some(told.uids) == self.uids && is_near(told.parent))
    }

    fn notices(&self) -> Vec<Notice> {
        let mut bytes = [0; NOTICE_LEN];
        let mut all = Vec::new();
        while let Ok(NOTICE_LEN) = io::recv_slice(self.socket.as_fd(), &mut bytes) {
            all.push(Notice::from_bytes(bytes));
        }
        all
    }
}

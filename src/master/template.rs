//! The template of a generation: a process that loads the application once and forks the workers that serve it.
//!
//! The master itself stays free of application code: whatever an import starts (threads, sockets, atexit handlers)
//! happens here, and a reload is a fresh import in a new template, while the old generation serves on.

use crate::base::reason::reason;
use crate::sys::{io, process, proctitle};
use crate::worker::host::Host;
use crate::worker::life::{self, EXIT_BROKEN};
use crate::worker::mounts::Mounts;
use crate::worker::{EXIT_DONE, EXIT_NO_APP, Setup, log, privileges};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// The master's handle of a template process.
#[derive(Debug)]
pub struct Template {
    pub pid: i32,
    pub generation: u64,
    /// Orders go out, news come in. Closing it ends the template.
    pub socket: OwnedFd,
    pub is_ready: bool,
    pub kill_at: Option<u64>,
}

/// What a template tells the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The application is loaded.
    Ready,
    /// The worker for this slot has this pid.
    Spawned { slot: usize, pid: i32 },
    /// The worker for this slot could not be forked.
    NotSpawned { slot: usize },
}

impl News {
    fn to_bytes(self) -> [u8; 8] {
        let (slot, pid) = match self {
            News::Ready => (u32::MAX, 0),
            News::Spawned { slot, pid } => (slot as u32, pid),
            News::NotSpawned { slot } => (slot as u32, -1),
        };
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&slot.to_le_bytes());
        bytes[4..].copy_from_slice(&pid.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; 8]) -> News {
        let [a, b, c, d, e, f, g, h] = bytes;
        let (slot, pid) = (u32::from_le_bytes([a, b, c, d]), i32::from_le_bytes([e, f, g, h]));
        match (slot, pid) {
            (u32::MAX, _) => News::Ready,
            (slot, -1) => News::NotSpawned { slot: slot as usize },
            (slot, pid) => News::Spawned { slot: slot as usize, pid },
        }
    }
}

impl Template {
    /// Asks for a worker with this number in this slot.
    pub fn order(&self, slot: usize, id: u32) -> std::io::Result<()> {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&(slot as u32).to_le_bytes());
        bytes[4..].copy_from_slice(&id.to_le_bytes());
        io::send(self.socket.as_fd(), &bytes).map(drop)
    }

    /// What it has told since the last look; never waits.
    pub fn news(&self) -> Vec<News> {
        let mut bytes = [0; 8];
        let mut all = Vec::new();
        while let Ok(8) = io::recv_slice(self.socket.as_fd(), &mut bytes) {
            all.push(News::from_bytes(bytes));
        }
        all
    }
}

fn tell(socket: BorrowedFd<'_>, news: News) {
    // The master is gone if it cannot be told; the next read says so.
    let _ = io::send(socket, &news.to_bytes());
}

/// The body of the template process; returns its exit status.
pub fn live(host: &mut dyn Host, setup: &Setup, socket: OwnedFd) -> i32 {
    if setup.settings.procnames.auto {
        proctitle::set("rwsgi template");
    }
    if let Err(error) = life::set_signals() {
        log::say(&format!("template: cannot set its signal handlers: {}", reason(error)));
        return EXIT_BROKEN;
    }
    if !privileges::leave_to_master(&setup.settings) {
        return EXIT_BROKEN;
    }
    let mounts = match host.load(&setup.settings) {
        Ok(points) => Mounts::new(points, &setup.settings),
        Err(_) if setup.settings.need_app => return EXIT_NO_APP,
        Err(_) => Mounts::default(),
    };
    warn_of_threads();
    host.settle();
    tell(socket.as_fd(), News::Ready);
    obey(host, setup, socket, &Arc::new(mounts))
}

/// Threads do not survive a fork, and a lock that one of them holds stays locked in every worker.
fn warn_of_threads() {
    let threads = process::thread_count();
    if threads > 1 {
        log::say(&format!(
            "the application started {} thread(s) while it was imported; they do not run in the workers. Start them after \
             the fork (os.register_at_fork), or set lazy-apps",
            threads - 1
        ));
    }
}

fn obey(host: &mut dyn Host, setup: &Setup, socket: OwnedFd, mounts: &Arc<Mounts>) -> i32 {
    let mut order = [0; 8];
    loop {
        match host.read(socket.as_fd(), &mut order) {
            Ok(8) => {}
            // The master has closed its end, or is gone.
            _ => return EXIT_DONE,
        }
        let [a, b, c, d, e, f, g, h] = order;
        let slot = u32::from_le_bytes([a, b, c, d]) as usize;
        let worker = Setup { slot, id: u32::from_le_bytes([e, f, g, h]), ..setup.clone() };
        let forked = process::fork_orphan(
            host.hooks(),
            |pid| tell(socket.as_fd(), News::Spawned { slot, pid }),
            || life::live(host, &worker, Some(mounts.clone())),
        );
        if let Err(error) = forked {
            log::say(&format!("template: cannot fork worker {}: {}", worker.id, reason(error)));
            tell(socket.as_fd(), News::NotSpawned { slot });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_survive_the_socket() {
        for news in [News::Ready, News::Spawned { slot: 7, pid: 4242 }, News::NotSpawned { slot: 3 }] {
            assert_eq!(News::from_bytes(news.to_bytes()), news);
        }
    }
}

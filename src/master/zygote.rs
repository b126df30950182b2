//! The zygote of a generation: a process that loads the application once and forks the workers that serve it.
//!
//! The master itself stays free of application code: whatever an import starts (threads, sockets, atexit handlers)
//! happens here, and a reload is a fresh import in a new zygote, while the old generation serves on.

use crate::base::reason::reason;
use crate::log;
use crate::process::exit::{EXIT_BROKEN, EXIT_DONE, EXIT_NO_APP};
use crate::process::{privileges, signals};
use crate::shm::scoreboard::{Assignment, Scoreboard};
use crate::sys::epoll::{self, Epoll, Events};
use crate::sys::{io, orphan, process, proctitle, signal};
use crate::worker::application::Application;
use crate::worker::lifeline;
use crate::worker::request::mounts::Mounts;
use crate::worker::run;
use crate::worker::setup::Setup;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// The master's handle of a zygote process.
#[derive(Debug)]
pub struct Zygote {
    pub pid: i32,
    pub generation: u64,
    /// Orders go out, news come in. Closing it ends the zygote.
    pub socket: OwnedFd,
    pub is_ready: bool,
    /// Known once it is ready: it has given up root before it loads the application.
    pub uids: Option<[u32; 4]>,
    pub kill_at: Option<u64>,
}

/// What a zygote tells the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The application is loaded.
    Ready,
    /// The worker with this assignment has this pid.
    Spawned { assignment: Assignment, pid: i32 },
    /// The worker with this assignment could not be forked.
    NotSpawned { assignment: Assignment },
}

/// An assignment and a number of 32 bits.
const NEWS_LEN: usize = 12;

impl News {
    fn to_bytes(self) -> [u8; NEWS_LEN] {
        let (assignment, pid) = match self {
            News::Ready => (Assignment::default(), 0),
            News::Spawned { assignment, pid } => (assignment, pid),
            News::NotSpawned { assignment } => (assignment, -1),
        };
        let mut bytes = [0; NEWS_LEN];
        bytes[..8].copy_from_slice(&assignment.to_bytes());
        bytes[8..].copy_from_slice(&pid.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; NEWS_LEN]) -> News {
        let [a, b, c, d, e, f, g, h, pid @ ..] = bytes;
        let assignment = Assignment::from_bytes([a, b, c, d, e, f, g, h]);
        match (assignment, i32::from_le_bytes(pid)) {
            (none, _) if none == Assignment::default() => News::Ready,
            (assignment, -1) => News::NotSpawned { assignment },
            (assignment, pid) => News::Spawned { assignment, pid },
        }
    }
}

/// What the master asks a zygote for: a worker with this number, in this slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Birth {
    pub slot: usize,
    pub id: u32,
    pub assignment: Assignment,
}

const BIRTH_LEN: usize = 16;

impl Birth {
    fn to_bytes(self) -> [u8; BIRTH_LEN] {
        let mut bytes = [0; BIRTH_LEN];
        bytes[..4].copy_from_slice(&(self.slot as u32).to_le_bytes());
        bytes[4..8].copy_from_slice(&self.id.to_le_bytes());
        bytes[8..].copy_from_slice(&self.assignment.to_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; BIRTH_LEN]) -> Birth {
        let [a, b, c, d, e, f, g, h, assignment @ ..] = bytes;
        Birth {
            slot: u32::from_le_bytes([a, b, c, d]) as usize,
            id: u32::from_le_bytes([e, f, g, h]),
            assignment: Assignment::from_bytes(assignment),
        }
    }
}

impl Zygote {
    pub fn order(&self, birth: Birth) -> std::io::Result<()> {
        io::send(self.socket.as_fd(), &birth.to_bytes()).map(drop)
    }

    /// May the process with this pid be a worker that this zygote has forked? A worker is the master's child, or still
    /// that of the process between the two forks, and has given up root as the zygote has.
    pub fn may_have_forked(&self, pid: i32) -> bool {
        let is_near = |parent| {
            parent == process::pid()
                || process::relation(parent).is_some_and(|between| between.parent == self.pid)
        };
        process::relation(pid).is_some_and(|told| Some(told.uids) == self.uids && is_near(told.parent))
    }

    /// What it has told since the last look; never waits.
    pub fn news(&self) -> Vec<News> {
        let mut bytes = [0; NEWS_LEN];
        let mut all = Vec::new();
        while let Ok(NEWS_LEN) = io::recv_slice(self.socket.as_fd(), &mut bytes) {
            all.push(News::from_bytes(bytes));
        }
        all
    }
}

/// Line buffers of zygotes, behind those of the workers. By the time a number comes again its zygote is gone.
pub const LOG_SLOTS: usize = 4;

/// Where the lines of a generation's zygote wait.
pub fn log_slot(scoreboard: Scoreboard, generation: u64) -> usize {
    scoreboard.slots() + generation as usize % LOG_SLOTS
}

fn tell(socket: BorrowedFd<'_>, news: News) {
    // The master is gone if it cannot be told; the next read says so.
    let _ = io::send(socket, &news.to_bytes());
}

/// The body of the zygote process; returns its exit status.
pub fn live(runtime: &mut dyn Application, setup: &Setup, socket: OwnedFd) -> i32 {
    log::enter("zygote", setup.lines.slot(setup.slot));
    if setup.settings.procnames.auto {
        proctitle::set("rwsgi zygote");
    }
    let status = load_and_fork(runtime, setup, socket);
    log::close();
    status
}

fn load_and_fork(runtime: &mut dyn Application, setup: &Setup, socket: OwnedFd) -> i32 {
    if let Err(error) = signals::set() {
        log::say(&format!("zygote: cannot set its signal handlers: {}", reason(error)));
        return EXIT_BROKEN;
    }
    if !privileges::leave_to_master(&setup.settings) {
        return EXIT_BROKEN;
    }
    // An import that never ends must not outlive the master.
    if orphan::end_with(setup.master, || lifeline::has_lost_its_master(setup)).is_err() {
        return EXIT_DONE;
    }
    let mounts = match runtime.load(&setup.settings) {
        Ok(points) => Mounts::new(points, &setup.settings),
        Err(_) if setup.settings.apps.need_app => return EXIT_NO_APP,
        Err(_) => Mounts::default(),
    };
    warn_of_threads();
    runtime.settle();
    tell(socket.as_fd(), News::Ready);
    obey(runtime, setup, socket, &Arc::new(mounts))
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

fn obey(runtime: &mut dyn Application, setup: &Setup, socket: OwnedFd, mounts: &Arc<Mounts>) -> i32 {
    let mut order = [0; BIRTH_LEN];
    loop {
        let _ = write_log(runtime, socket.as_fd());
        match runtime.read(socket.as_fd(), &mut order) {
            Ok(BIRTH_LEN) => {}
            // The master has closed its end, or is gone.
            _ => return EXIT_DONE,
        }
        let Birth { slot, id, assignment } = Birth::from_bytes(order);
        let worker = Setup { slot, id, assignment, ..setup.clone() };
        // A worker that inherited what the zygote was told (TERM, HUP) would ask for a successor, and that one, too.
        signal::take_noted();
        let forked = process::fork_orphan(
            runtime.hooks(),
            |pid| tell(socket.as_fd(), News::Spawned { assignment, pid }),
            || {
                // What is written there is believed to be the zygote's.
                io::close(&[socket.as_raw_fd()]);
                run::live(runtime, &worker, Some(mounts.clone()))
            },
        );
        if let Err(error) = forked {
            log::say(&format!("zygote: cannot fork worker {}: {}", worker.id, reason(error)));
            tell(socket.as_fd(), News::NotSpawned { assignment });
        }
    }
}

/// Writes what waits in the log, until the next order comes.
fn write_log(runtime: &dyn Application, socket: BorrowedFd<'_>) -> std::io::Result<()> {
    if log::pause().is_none() {
        return Ok(());
    }
    let (epoll, mut events) = (Epoll::new()?, Events::with_capacity(1));
    epoll.add(socket, epoll::READ, 0)?;
    while let Some(pause) = log::pause() {
        runtime.wait(&epoll, &mut events, Some(pause))?;
        if events.iter().next().is_some() {
            break;
        }
        log::flush();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_survive_the_socket() {
        let assignment = Assignment::from_bytes([7, 0, 0, 0, 0, 1, 0, 0]);
        for news in [News::Ready, News::Spawned { assignment, pid: 4242 }, News::NotSpawned { assignment }] {
            assert_eq!(News::from_bytes(news.to_bytes()), news);
        }
        let birth = Birth { slot: 300, id: 5, assignment };
        assert_eq!(Birth::from_bytes(birth.to_bytes()), birth);
    }
}

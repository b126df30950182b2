//! The server as all parts of the master may know it: what it is doing, and what its children get.

use super::accounts::Accounts;
use super::incident::{Incident, Incidents};
use crate::config::Settings;
use crate::shm::scoreboard::{Scoreboard, WorkerSlot};
use crate::supervise::Child;
use crate::worker::setup::Setup;
use std::cell::RefCell;
use std::time::Duration;

/// What the server is doing, for the log, for stats and for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The first generation is not complete yet.
    Starting,
    Serving,
    /// A new generation is on its way.
    Reloading,
    Stopping,
}

pub struct Server {
    /// What each child gets, the settings of the newest generation among it.
    pub setup: Setup,
    pub phase: Phase,
    pub is_paused: bool,
    /// The newest generation, complete or not.
    pub generation: u64,
    pub started_us: u64,
    /// The same on the clock of the wall, as it was then.
    pub started_wall_us: u64,
    /// Nobody keeps them borrowed beyond one call.
    pub accounts: RefCell<Accounts>,
    pub incidents: Incidents,
}

impl Server {
    pub fn settings(&self) -> &Settings {
        &self.setup.settings
    }

    pub fn scoreboard(&self) -> Scoreboard {
        self.setup.scoreboard
    }

    /// A worker's place on the scoreboard.
    pub fn slot(&self, worker: &Child) -> WorkerSlot {
        self.scoreboard().worker(worker.slot)
    }

    /// Something has gone wrong: the alarms that ask for it are raised in this turn of the loop, or the next.
    pub fn report(&self, incident: Incident) {
        self.incidents.add(incident);
    }

    /// What a worker has to finish what it has begun.
    pub fn mercy(&self) -> Duration {
        self.settings().supervise.worker_reload_mercy
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::log::buffers::LogBuffers;
    use crate::master::metrics;
    use crate::master::workers::scaling;
    use crate::shm::scoreboard::{Assignment, Stage};
    use crate::supervise::{Children, Role};
    use crate::sys::io;
    use crate::sys::spool::Spool;
    use crate::worker::accept::Accepting;
    use std::sync::Arc;

    /// A server whose generation 1 serves.
    pub fn serving(settings: Settings) -> Server {
        let slots = scaling::slots(&settings);
        let (alive, news) = io::pipe(true).unwrap();
        let news = Arc::new(news);
        let setup = Setup {
            scoreboard: Scoreboard::new(slots, 1).unwrap(),
            metrics: metrics::values(&settings).unwrap(),
            log_buffers: LogBuffers::new(slots).unwrap(),
            listeners: Arc::default(),
            accepting: Accepting::PrivateEpoll,
            mailboxes: Arc::default(),
            master: 0,
            alive: Arc::new(alive),
            dumps: news.clone(),
            spool: Arc::new(Spool::new().unwrap()),
            news,
            log_file: None,
            log_epoch: 0,
            slot: 0,
            id: 0,
            assignment: Assignment::default(),
            zygote_threads: 0,
            settings: Arc::new(settings),
        };
        Server {
            setup,
            phase: Phase::Serving,
            is_paused: false,
            generation: 1,
            started_us: 0,
            started_wall_us: 0,
            accounts: RefCell::default(),
            incidents: Incidents::default(),
        }
    }

    /// A worker of the newest generation that serves, without a process.
    pub fn add_worker(server: &Server, children: &mut Children, id: u32, slot: usize) {
        let assignment = server.scoreboard().next_assignment();
        server.scoreboard().assign(slot, id.into(), server.generation, assignment);
        server.scoreboard().worker(slot).set_stage(Stage::Ready);
        let mut child = Child { assignment, ..Child::new(Role::Worker, id, slot, server.generation) };
        child.set_ready();
        children.expect(child);
    }
}

//! What everybody does, for SIGUSR1.

use super::Master;
use super::child::Child;
use crate::log;
use crate::report::{ListenerStatus, Status, WorkerStatus, text};
use crate::shm::scoreboard::Snapshot;
use crate::sys::{clock, socket};
use crate::worker::application::Application;
use std::os::fd::AsFd;

impl<R: Application> Master<'_, R> {
    pub(super) fn log_status(&self) {
        log::say(&text::render(&self.status()));
    }

    fn status(&self) -> Status {
        let snapshot = self.scoreboard.snapshot();
        let listeners = self.base.listeners.iter().map(|listener| ListenerStatus {
            name: listener.name.clone(),
            waiting: socket::backlog(listener.fd.as_fd()).map(|queue| queue.waiting),
        });
        let mut children: Vec<_> = self.children.iter().collect();
        children.sort_by_key(|child| (child.id, child.generation));
        Status {
            phase: format!("{:?}", self.phase),
            is_paused: self.paused,
            generation: self.generation,
            started_us: self.started_us,
            now_us: clock::monotonic_us(),
            listeners: listeners.collect(),
            workers: children.into_iter().filter_map(|child| worker_status(child, &snapshot)).collect(),
        }
    }
}

fn worker_status(child: &Child, snapshot: &Snapshot) -> Option<WorkerStatus> {
    let on_scoreboard = snapshot.workers.iter().find(|worker| worker.slot == child.slot)?.clone();
    Some(WorkerStatus {
        name: child.name(),
        started_us: child.spawned_us,
        leaving: child.leaving.map(|why| format!("{why:?}").to_lowercase()),
        on_scoreboard,
    })
}

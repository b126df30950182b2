//! The status of master, zygotes and workers, for SIGUSR1.

use super::server::Server;
use crate::report::{ListenerStatus, Status, WorkerStatus};
use crate::shm::scoreboard::Snapshot;
use crate::supervise::{Child, Children, Role};
use crate::sys::{backlog, clock};
use std::os::fd::AsFd;

pub fn of(server: &Server, children: &Children) -> Status {
    let snapshot = server.scoreboard().snapshot();
    let listeners = server.setup.listeners.iter().map(|listener| ListenerStatus {
        name: listener.name.clone(),
        waiting: backlog::of(listener.fd.as_fd()).map(|queue| queue.waiting),
    });
    let mut workers: Vec<_> = children.of(Role::Worker).collect();
    workers.sort_by_key(|child| (child.id, child.generation));
    Status {
        phase: format!("{:?}", server.phase),
        is_paused: server.is_paused,
        generation: server.generation,
        started_us: server.started_us,
        now_us: clock::monotonic_us(),
        listeners: listeners.collect(),
        workers: workers.into_iter().filter_map(|child| worker(child, &snapshot)).collect(),
    }
}

fn worker(child: &Child, snapshot: &Snapshot) -> Option<WorkerStatus> {
    let on_scoreboard = snapshot.workers.iter().find(|worker| worker.slot == child.slot)?.clone();
    Some(WorkerStatus {
        name: child.name(),
        started_us: child.spawned_us,
        leaving: child.leaving().map(|why| format!("{why:?}").to_lowercase()),
        on_scoreboard,
    })
}

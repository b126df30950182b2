//! The status of master, zygotes and workers, for SIGUSR1.

use super::accounts::Account;
use super::server::Server;
use crate::report::{ListenerStatus, Status, Totals, WorkerStatus, WorkerTotals};
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
    let workers: Vec<_> = workers.into_iter().filter_map(|child| worker(child, &snapshot)).collect();
    Status {
        phase: format!("{:?}", server.phase),
        is_paused: server.is_paused,
        generation: server.generation,
        started_us: server.started_us,
        now_us: clock::monotonic_us(),
        listeners: listeners.collect(),
        totals: totals(server, &workers),
        workers,
    }
}

fn totals(server: &Server, live: &[WorkerStatus]) -> Totals {
    let accounts = server.accounts.borrow();
    Totals {
        workers: accounts.workers().map(|(id, account)| worker_totals(id, account, live)).collect(),
        ends: accounts.ends().to_vec(),
        recyclings: accounts.recyclings().to_vec(),
        reloads: accounts.reloads().to_vec(),
    }
}

/// Of the processes of one number that have ended, and of those that live.
fn worker_totals(id: u32, account: &Account, live: &[WorkerStatus]) -> WorkerTotals {
    let mine = live.iter().map(|worker| &worker.on_scoreboard).filter(|worker| worker.id == u64::from(id));
    let (mut counters, mut newest) = (account.ended.clone(), (0, account.average_us));
    for worker in mine {
        counters += &worker.counters;
        newest = newest.max((worker.generation, worker.average_us));
    }
    WorkerTotals {
        id,
        counters,
        spawns: account.spawns,
        last_spawn: account.last_spawn,
        harakiri: account.harakiri,
        average_us: newest.1,
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

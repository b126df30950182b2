//! The status of master, zygotes and workers, for SIGUSR1.

use super::accounts::Account;
use super::server::Server;
use super::workers::scaling;
use crate::config::Protocol;
use crate::config::Settings;
use crate::log;
use crate::net::listener::Bound;
use crate::report::json::Shown;
use crate::report::{
    InstanceStatus, ListenerStatus, MemoryStatus, MetricStatus, Status, Totals, WorkerStatus, WorkerTotals,
};
use crate::shm::scoreboard::Snapshot;
use crate::supervise::{Child, Children, Role};
use crate::sys::{backlog, clock, process, user};
use std::os::fd::AsFd;

pub fn of(server: &Server, children: &Children) -> Status {
    let snapshot = server.scoreboard().snapshot();
    let mut workers: Vec<_> = children.of(Role::Worker).collect();
    workers.sort_by_key(|child| (child.id, child.generation));
    let workers: Vec<_> = workers.into_iter().filter_map(|child| worker(child, &snapshot)).collect();
    Status {
        phase: format!("{:?}", server.phase),
        is_paused: server.is_paused,
        generation: server.generation,
        started_us: server.started_us,
        now_us: clock::monotonic_us(),
        instance: instance(server, snapshot.held),
        listeners: server.setup.listeners.iter().map(|bound| listener(server, bound)).collect(),
        totals: totals(server, &workers),
        metrics: metrics(server),
        workers,
    }
}

/// What the configuration wants to be shown of it.
pub fn shown(settings: &Settings) -> Shown {
    let stats = &settings.stats;
    Shown { minified: stats.minified, cores: !stats.no_cores, metrics: !stats.no_metrics }
}

/// As they were collected last.
pub fn metrics(server: &Server) -> Vec<MetricStatus> {
    let metrics = &server.setup.metrics;
    let shown = server.settings().has_metrics();
    let list = metrics.list().iter().enumerate().filter(|_| shown);
    list.map(|(at, metric)| MetricStatus {
        name: metric.name.clone(),
        oid: metric.oid.clone(),
        kind: metric.kind,
        value: metrics.get(at),
        is_settable: metric.is_settable,
    })
    .collect()
}

fn instance(server: &Server, held: u64) -> InstanceStatus {
    let settings = server.settings();
    let (uid, gid) = user::ids();
    let now_us = clock::monotonic_us();
    let cwd = std::env::current_dir().unwrap_or_default();
    InstanceStatus {
        pid: process::pid(),
        uid,
        gid,
        cwd: cwd.to_string_lossy().into_owned(),
        wall_us: clock::wall_us(),
        started_wall_us: server.started_wall_us,
        workers: scaling::target(settings),
        threads: server.scoreboard().threads(),
        apps: settings.apps.mounts.iter().map(|app| app.mountpoint.clone()).collect(),
        bounds_us: settings.instance.metrics_buckets.clone(),
        held,
        log: server.setup.log_buffers.health(now_us).with(log::health(now_us)),
    }
}

fn listener(server: &Server, bound: &Bound) -> ListenerStatus {
    let queue = backlog::of(bound.fd.as_fd());
    let is_tls = server.settings().listeners.get(bound.number).is_some_and(|listener| listener.tls.is_some());
    let protocol = match bound.protocol {
        Protocol::Uwsgi => "uwsgi",
        Protocol::Http if is_tls => "https",
        Protocol::Http => "http",
    };
    ListenerStatus {
        name: bound.name.clone(),
        number: bound.number,
        protocol,
        most: queue.map_or(0, |queue| queue.most),
        waiting: queue.map(|queue| queue.waiting),
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
        memory: MemoryStatus::default(),
        on_scoreboard,
    })
}

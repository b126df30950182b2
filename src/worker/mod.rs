//! Layer 5: a worker process. Everything but `python/` knows nothing of Python.

pub mod application;
pub mod body;
pub mod conn;
pub mod conns;
pub mod core;
pub mod handoff;
mod http;
pub mod intake;
pub mod life;
pub mod lifecycle;
mod listening;
#[cfg(feature = "python")]
pub mod python;
pub mod request;
mod request_memory;
pub mod rescue;
pub mod response;
mod sharing;
mod sleeper;
mod statics;
mod throttle;
mod toggle;
mod uwsgi;
mod waiting;

use crate::base::reason::reason;
use crate::config::{Protocol, Settings};
use crate::log;
use crate::net::client::Client;
use crate::net::tls::Service;
use crate::shm::scoreboard::{Assignment, Scoreboard, WorkerSlot};
use crate::sys::epoll::{self, Epoll};
use crate::sys::{process, signal, waiter};
use handoff::mailbox::Mailbox;
use std::io::Result;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};

/// A worker's way to say that it retired as told, or that it could not load the application.
pub const EXIT_DONE: i32 = 0;
/// uWSGI's code for an application that cannot be loaded.
pub const EXIT_NO_APP: i32 = 22;

/// A listening socket that the master has bound.
#[derive(Debug)]
pub struct Bound {
    pub fd: OwnedFd,
    pub protocol: Protocol,
    /// Made by whoever started the server, and perhaps held by it still.
    pub inherited: bool,
    /// Its place among the listeners of the settings, of which one may stand for several sockets.
    pub number: usize,
    /// Its requests are sent on to https at this port.
    pub to_https: Option<u16>,
    /// Its address, for messages.
    pub name: String,
    /// SERVER_PORT of the requests that come through it.
    pub port: String,
}

/// What a worker gets from the process that forks it.
#[derive(Clone)]
pub struct Setup {
    pub settings: Arc<Settings>,
    pub scoreboard: Scoreboard,
    pub lines: crate::log::lines::Lines,
    pub listeners: Arc<Vec<Bound>>,
    /// Empty when each worker watches the listeners itself.
    pub accept_queues: Arc<Vec<Epoll>>,
    /// Through which workers are given connections; empty when there are only uwsgi sockets.
    pub mailboxes: Arc<Vec<Mailbox>>,
    /// The master's pid.
    pub master: i32,
    /// Its other end is the master's alone: end of file means that the master is gone.
    pub alive: Arc<OwnedFd>,
    /// Workers wait in accept(): one thread, one listener, uwsgi.
    pub waits_in_accept: bool,
    /// A byte written here makes the master look at the scoreboard.
    pub news: Arc<OwnedFd>,
    /// Where stack dumps go.
    pub dumps: Arc<OwnedFd>,
    /// The file that the log goes to, unless it was handed over.
    pub log_file: Option<Arc<PathBuf>>,
    /// How often it had been opened anew when the process that forks was made.
    pub log_epoch: u64,
    pub slot: usize,
    /// The number people know the worker by, from 1.
    pub id: u32,
    pub assignment: Assignment,
}

/// What the threads of a worker share.
pub struct Shared {
    pub settings: Arc<Settings>,
    pub scoreboard: Scoreboard,
    pub slot: WorkerSlot,
    pub slot_index: usize,
    pub id: u32,
    pub pid: i32,
    pub listeners: Arc<Vec<Bound>>,
    /// For each listener, if TLS is spoken there.
    services: Vec<Option<Arc<Service>>>,
    pub accept_queues: Arc<Vec<Epoll>>,
    pub mailboxes: Arc<Vec<Mailbox>>,
    /// The master's pid.
    master: i32,
    /// When the master was last told of unread messages.
    told_us: AtomicU64,
    assignment: Assignment,
    pub(in crate::worker) leaving: lifecycle::Leaving,
    standby: handoff::standby::StandbyPoller,
    /// For each core its exchange, where another thread may have to answer in its place; empty elsewhere.
    exchanges: rescue::Exchanges,
    /// The worker's own epoll: connections, and the listeners too where there are no accept_queues.
    pub epoll: Epoll,
    /// Watches nothing but the master: for workers on pause.
    pub idle_epoll: Epoll,
    pub log: log::access::Log,
    pub conns: Mutex<conns::Conns>,
    /// How many of them can go on without the application.
    serviceable: Arc<AtomicUsize>,
    /// When waiting connections are looked over next.
    pub next_sweep_us: AtomicU64,
    /// Header lines of the answers that the server gives by itself.
    server_headers: Vec<u8>,
    /// Bytes of answers that wait for their clients.
    pub leftovers: Arc<AtomicUsize>,
    listening: listening::Listening,
    /// The only thread waits in accept() as long as it has nothing else to look after.
    pub waits_in_accept: bool,
    /// Threads of the process can run application code at the same time.
    pub parallel: bool,
    /// When a request was last begun or completed.
    pub progress_us: AtomicU64,
    /// How long to rest at the next look that finds the process computing.
    pub back_off_us: AtomicU64,
    /// The lines that threads of this process wait in, a bit each.
    queues_occupied: AtomicU64,
    /// Threads that are not needed in a line wait here.
    parked: Mutex<Vec<i32>>,
    /// The kernel's numbers of the worker's threads.
    threads: Mutex<Vec<i32>>,
    /// Where files are, if there are any.
    statics: Option<Box<statics::places::Statics>>,
    pub limit: Option<u64>,
    /// Clients that speak HTTP where TLS is spoken.
    not_tls: throttle::Throttle,
    /// Answers of the application that set a Transfer-Encoding.
    set_codings: throttle::Throttle,
    /// Requests that were given up for want of memory, and the lock of the thread that does so.
    shed: throttle::Throttle,
    shedding: parking_lot::Mutex<()>,
    news: Arc<OwnedFd>,
    log_file: Option<Arc<PathBuf>>,
    log_epoch: AtomicU64,
}

impl Shared {
    pub fn new(setup: &Setup, parallel: bool) -> Result<Arc<Shared>> {
        let slot = setup.scoreboard.worker(setup.slot);
        let (epoll, idle_epoll) = (Epoll::new()?, Epoll::new()?);
        if setup.accept_queues.is_empty() {
            intake::watch(&epoll, &setup.listeners, &setup.alive)?;
        }
        if let Some(mailbox) = setup.mailboxes.get(setup.slot) {
            epoll.add(&mailbox.taking, epoll::READ, intake::GIVEN)?;
        }
        intake::watch(&idle_epoll, &[], &setup.alive)?;
        waiter::prepare(setup.scoreboard.threads());
        let pid = process::pid();
        let settings = &setup.settings;
        let conns = conns::Conns::new(most_connections(settings), most_descriptors());
        let limit = crate::policy::recycle::limit(
            settings.recycle.max_requests,
            settings.recycle.max_requests_delta,
            setup.id,
            pid as u64,
        );
        let service = |bound: &Bound| Service::of(settings, bound.number);
        let services: Vec<_> = setup.listeners.iter().map(service).collect();
        let needs_rescue = settings.harakiri.timeout.is_some() && services.iter().any(Option::is_some);
        Ok(Arc::new(Shared {
            settings: settings.clone(),
            scoreboard: setup.scoreboard,
            slot,
            slot_index: setup.slot,
            id: setup.id,
            pid,
            services,
            exchanges: rescue::exchanges(if needs_rescue { setup.scoreboard.threads() } else { 0 }),
            listeners: setup.listeners.clone(),
            accept_queues: setup.accept_queues.clone(),
            mailboxes: setup.mailboxes.clone(),
            master: setup.master,
            told_us: AtomicU64::new(0),
            assignment: setup.assignment,
            leaving: lifecycle::Leaving::default(),
            standby: handoff::standby::StandbyPoller::new()?,
            epoll,
            idle_epoll,
            log: log::access::Log,
            serviceable: conns.serviceable(),
            conns: Mutex::new(conns),
            server_headers: request::probes::common_headers(settings),
            leftovers: Arc::default(),
            next_sweep_us: AtomicU64::new(0),
            listening: listening::Listening::default(),
            waits_in_accept: setup.waits_in_accept,
            parallel,
            back_off_us: AtomicU64::new(0),
            progress_us: AtomicU64::new(0),
            queues_occupied: AtomicU64::new(0),
            parked: Mutex::default(),
            threads: Mutex::default(),
            statics: statics::places::Statics::new(settings, setup.id).map(Box::new),
            limit,
            not_tls: throttle::Throttle::default(),
            set_codings: throttle::Throttle::default(),
            shed: throttle::Throttle::default(),
            shedding: parking_lot::Mutex::default(),
            news: setup.news.clone(),
            log_file: setup.log_file.clone(),
            log_epoch: AtomicU64::new(setup.log_epoch),
        }))
    }

    /// Does each worker watch the listeners itself?
    pub fn has_private_epoll(&self) -> bool {
        self.accept_queues.is_empty()
    }

    /// Makes the calling thread known, so that it can be woken.
    pub fn enlist(&self) {
        if let Ok(mut threads) = self.threads.lock() {
            threads.push(process::thread_id());
        }
    }

    pub fn cannot_start_core(&self, index: usize, error: &std::io::Error) {
        log::say(&format!("worker {}: cannot start core {index}: {}", self.id, reason(error)));
    }

    /// Wakes every waiting thread, so that each looks at its orders.
    pub fn wake_all(&self) {
        let me = process::thread_id();
        if let Ok(threads) = self.threads.lock() {
            for &tid in threads.iter().filter(|&&tid| tid != me) {
                process::signal_thread(tid, signal::wake());
            }
        }
    }

    /// An accepted socket as a client of its listener.
    fn client(&self, socket: OwnedFd, listener: usize) -> Client {
        Client::new(socket, self.services.get(listener).and_then(Option::as_ref))
    }

    /// The table of waiting connections. A thread that panicked with it left it whole: each step is one operation.
    pub fn conns(&self) -> std::sync::MutexGuard<'_, conns::Conns> {
        self.conns.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Opens the log's file anew if the master has done so since the last time.
    pub fn follow_log(&self) {
        let epoch = self.scoreboard.log_epoch().load(Acquire);
        if self.log_epoch.load(Relaxed) != epoch
            && self.log_epoch.swap(epoch, AcqRel) != epoch
            && let Some(path) = &self.log_file
        {
            self.log.flush();
            if let Err(error) = log::open(path, false) {
                log::say(&format!("worker {}: cannot open the log anew: {}", self.id, reason(error)));
            }
        }
    }

    /// Makes the master look at the scoreboard now rather than at its next tick.
    pub fn tell_master(&self) {
        // A full pipe has woken the master already.
        let _ = crate::sys::io::write_now(std::os::fd::AsFd::as_fd(&*self.news), b"n");
    }
}

/// Descriptors that a worker needs beside its connections, the application's own among them.
pub const SPARE_DESCRIPTORS: u64 = 128;

/// How many connections a worker may hold.
pub fn most_connections(settings: &Settings) -> usize {
    settings.http.connections.min(most_descriptors())
}

/// How many descriptors a worker may spend on connections and on the files that go with them.
fn most_descriptors() -> usize {
    let allowed = process::descriptor_limit().unwrap_or(1024).saturating_sub(SPARE_DESCRIPTORS);
    usize::try_from(allowed).unwrap_or(usize::MAX).max(16)
}

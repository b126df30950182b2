//! Everything that the master and its children share, made before the first fork.

use super::readiness::Readiness;
use crate::config::{Protocol, Settings};
use crate::log::buffers::LogBuffers;
use crate::master::action::SIGNALS;
use crate::master::configuration::Configuration;
use crate::master::incident::Incidents;
use crate::master::metrics;
use crate::master::run::Master;
use crate::master::server::{Phase, Server};
use crate::master::services::Services;
use crate::master::sources::Sources;
use crate::master::workers::scaling;
use crate::master::workers::zygote::links::LOG_SLOTS;
use crate::net::listener::{Bound, StatsListener};
use crate::shm::scoreboard::{Assignment, Scoreboard};
use crate::sys::spool::Spool;
use crate::sys::{clock, io, listeners, process, signal, socket};
use crate::worker::accept::{Accepting, MAX_ACCEPT_WAIT, queues};
use crate::worker::application::Application;
use crate::worker::handoff::mailbox;
use crate::worker::setup::Setup;
use std::cell::RefCell;
use std::io::Result;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

/// Pipes between the master and its children.
struct Pipes {
    /// Only the master holds `alive`: when it is closed, the workers know that the master has ended.
    alive_reading: OwnedFd,
    alive: OwnedFd,
    wake: OwnedFd,
    news: OwnedFd,
    dump_reading: OwnedFd,
    dump_writing: OwnedFd,
}

impl Pipes {
    fn new() -> Result<Pipes> {
        let (alive_reading, alive) = io::pipe(false)?;
        let (wake, news) = io::pipe(true)?;
        let (dump_reading, dump_writing) = io::pipe(true)?;
        io::widen_pipe(dump_writing.as_fd(), 1 << 20);
        Ok(Pipes { alive_reading, alive, wake, news, dump_reading, dump_writing })
    }
}

pub fn master<R: Application>(
    runtime: &mut R,
    settings: Arc<Settings>,
    (bound, stats): (Vec<Bound>, Vec<StatsListener>),
    log_file: Option<PathBuf>,
    configuration: Configuration,
    readiness: Readiness,
) -> Result<Master<'_, R>> {
    let slots = scaling::slots(&settings);
    let scoreboard = Scoreboard::with_listeners(slots, settings.instance.threads as usize, bound.len())?;
    let log_buffers = LogBuffers::new(slots + LOG_SLOTS)?;
    let metrics = metrics::values(&settings)?;
    let pipes = Pipes::new()?;
    process::adopt_orphans()?;
    signal::note_all(&SIGNALS, pipes.news.as_fd())?;
    signal::ignore(signal::SIGPIPE)?;
    let only_uwsgi = bound.iter().all(|listener| listener.protocol == Protocol::Uwsgi);
    let accepting = accepting(&settings, &bound, &pipes.alive_reading, only_uwsgi)?;
    // Even one process has a successor.
    let mailboxes = if only_uwsgi { Vec::new() } else { mailbox::make(slots)? };
    listeners::register(bound.iter().map(|bound| (bound.fd.as_fd(), bound.inherited)))?;
    let now = clock::monotonic_us();
    let sources = Sources::new(pipes.wake, pipes.alive)?;
    let services = Services::new(&settings, pipes.dump_reading, stats, metrics.clone(), now)?;
    services.watch(&sources.epoll)?;
    let setup = Setup {
        settings,
        scoreboard,
        metrics,
        log_buffers,
        listeners: Arc::new(bound),
        accepting,
        mailboxes: Arc::new(mailboxes),
        master: process::pid(),
        alive: Arc::new(pipes.alive_reading),
        news: Arc::new(pipes.news),
        dumps: Arc::new(pipes.dump_writing),
        spool: Arc::new(Spool::new()?),
        log_file: log_file.map(Arc::new),
        log_epoch: 0,
        slot: 0,
        id: 0,
        assignment: Assignment::default(),
        zygote_threads: 0,
    };
    let server = Server {
        setup,
        phase: Phase::Starting,
        is_paused: false,
        generation: 0,
        started_us: now,
        started_wall_us: clock::wall_us(),
        accounts: RefCell::default(),
        incidents: Incidents::default(),
    };
    Ok(Master::new(runtime, server, sources, services, configuration, readiness))
}

fn accepting(settings: &Settings, bound: &[Bound], alive: &OwnedFd, only_uwsgi: bool) -> Result<Accepting> {
    let threads = settings.instance.threads;
    if threads == 1 && bound.len() == 1 && only_uwsgi {
        socket::set_waiting(bound[0].fd.as_fd(), MAX_ACCEPT_WAIT)?;
        return Ok(Accepting::Blocking);
    }
    // With one process there is no other to leave a connection to.
    if threads > 1 && scaling::limit(settings) > 1 && only_uwsgi {
        return Ok(Accepting::SharedQueues(Arc::new(queues::make(threads, bound, alive)?)));
    }
    Ok(Accepting::PrivateEpoll)
}

//! The order of a server's life: logs, sockets, privileges, daemon, shared memory, generation, pid file; and its end.

use super::dump::Dumps;
use super::notify::Notifier;
use super::pidfile::{self, PidFile, When};
use super::reread::Reread;
use super::stopping::Closing;
use super::watch::Touches;
use super::{DUMP, Master, Phase, SIGNALS, WAKE, bind};
use crate::base::reason::reason;
use crate::config::{AppSource, ProcNames, Protocol, Settings};
use crate::log;
use crate::log::lines::Lines;
use crate::net::listener::Bound;
use crate::policy::backoff::Backoff;
use crate::process::privileges::{self, Identity};
use crate::process::title;
use crate::shm::scoreboard::{Assignment, Scoreboard};
use crate::sys::epoll::{self, Epoll};
use crate::sys::owned_files::Owner;
use crate::sys::process::Resource;
use crate::sys::{clock, io, listeners, process, proctitle, signal, socket};
use crate::worker::accept::{Accepting, MAX_ACCEPT_WAIT, queues};
use crate::worker::application::Application;
use crate::worker::handoff::mailbox;
use crate::worker::setup::{SPARE_DESCRIPTORS, Setup, most_connections};
use std::io::{Error, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Exit status for a server that could not be set up as configured.
pub const EXIT_SETUP: i32 = 1;

/// Runs a server from its settings to its end; returns the exit status. What goes wrong is in the log.
pub fn serve<R: Application>(runtime: &mut R, settings: Settings, reread: Reread) -> i32 {
    let status = run(runtime, settings, reread);
    log::close();
    status
}

fn run<R: Application>(runtime: &mut R, settings: Settings, reread: Reread) -> i32 {
    match prepare(&settings) {
        Ok(prepared) if settings.instance.daemonize.is_some() => {
            daemonize(runtime, settings, prepared, reread)
        }
        Ok(prepared) => live(runtime, settings, prepared, reread, None),
        Err(message) => {
            log::say(&message);
            EXIT_SETUP
        }
    }
}

struct Prepared {
    sockets: bind::Sockets,
    pidfiles: Vec<PidFile>,
    log_file: Option<PathBuf>,
}

/// Everything that may fail for reasons of the configuration, before anything is started.
fn prepare(settings: &Settings) -> std::result::Result<Prepared, String> {
    if let Some(mask) = settings.instance.umask {
        process::set_umask(mask);
    }
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let mut log_file =
        settings.instance.logto.as_ref().or(settings.instance.daemonize.as_ref()).map(absolute);
    log_to(log_file.as_deref(), settings)?;
    let (identity, socket_owner) = (Identity::of(settings)?, privileges::socket_owner(settings)?);
    set_limits(settings);
    let second_log = settings.instance.logto2.as_ref().map(absolute);
    let mut pidfiles = pidfile::before_chdir(settings);
    if let Some(dir) = &settings.instance.chdir {
        std::env::set_current_dir(dir)
            .map_err(|error| format!("cannot chdir to {}: {}", dir.display(), reason(error)))?;
    }
    let sockets = bind::all(settings, socket_owner)?;
    let settled = drop_privileges(settings, identity, &mut pidfiles)
        .and_then(|()| log_to(second_log.as_deref(), settings));
    if let Err(error) = settled {
        bind::remove(&sockets.files);
        pidfile::remove_unused(&pidfiles);
        return Err(error);
    }
    log_file = second_log.or(log_file);
    pidfiles.extend(pidfile::after_chdir(settings));
    Ok(Prepared { sockets, pidfiles, log_file })
}

fn log_to(path: Option<&Path>, settings: &Settings) -> std::result::Result<(), String> {
    let Some(path) = path else { return Ok(()) };
    log::open(path, settings.instance.log_truncate)
        .map_err(|error| format!("cannot write the log to {}: {}", path.display(), reason(error)))
}

/// A limit that the system refuses is named, and the server starts with what it had.
fn set_limits(settings: &Settings) {
    let limits = &settings.instance.limits;
    if limits.descriptors.is_none() {
        raise_descriptor_limit(settings);
    }
    for (option, resource, value) in [
        ("max-fd", Resource::Descriptors, limits.descriptors),
        ("limit-as", Resource::AddressSpace, limits.address_space),
        ("limit-nproc", Resource::Processes, limits.processes),
    ] {
        if let Some(value) = value
            && let Err(error) = process::set_limit(resource, value)
        {
            log::say(&format!("cannot set {option} to {value}: {}", reason(error)));
        }
    }
}

fn raise_descriptor_limit(settings: &Settings) {
    match process::raise_descriptor_limit() {
        Ok(limit) => warn_of_few_descriptors(settings, limit),
        Err(error) => log::say(&format!("cannot raise the limit on open files: {}", reason(error))),
    }
}

fn drop_privileges(
    settings: &Settings,
    identity: Option<Identity>,
    pidfiles: &mut [PidFile],
) -> std::result::Result<(), String> {
    let Some(identity) = identity.filter(|_| !settings.instance.master_as_root) else { return Ok(()) };
    let owner = Owner { uid: identity.owner.as_ref().map(|owner| owner.uid), gid: identity.group };
    for file in pidfiles {
        file.open_for(owner)?;
    }
    identity.assume()
}

/// The parent waits until the server is ready, so that its exit status tells the truth.
fn daemonize<R: Application>(runtime: &mut R, settings: Settings, prepared: Prepared, reread: Reread) -> i32 {
    let (ready, tell) = match io::pipe(false) {
        Ok(ends) => ends,
        Err(error) => {
            log::say(&format!("cannot daemonize: {}", reason(error)));
            return EXIT_SETUP;
        }
    };
    let hooks = runtime.hooks();
    let forked = process::fork(hooks, || {
        let detached = process::new_session().and_then(|()| io::drop_input());
        match detached {
            Ok(()) => live(runtime, settings, prepared, reread, Some(tell)),
            Err(error) => {
                log::say(&format!("cannot daemonize: {}", reason(error)));
                EXIT_SETUP
            }
        }
    });
    match forked {
        Ok(pid) => {
            let mut byte = [0];
            match io::read(ready.as_fd(), &mut byte) {
                Ok(1) => {
                    log::close();
                    process::exit_now(0)
                }
                _ => match process::wait_for(pid) {
                    Ok(process::Ended::Exited(status)) => status.max(1),
                    _ => EXIT_SETUP,
                },
            }
        }
        Err(error) => {
            log::say(&format!("cannot daemonize: {}", reason(error)));
            EXIT_SETUP
        }
    }
}

fn live<R: Application>(
    runtime: &mut R,
    settings: Settings,
    prepared: Prepared,
    reread: Reread,
    ready: Option<OwnedFd>,
) -> i32 {
    let Prepared { sockets, pidfiles, log_file } = prepared;
    let files = sockets.files;
    let settings = Arc::new(settings);
    if let Some(title) = title(&settings.procnames) {
        proctitle::set(&title);
    }
    let written = pidfiles.iter().filter(|file| file.when == When::Start).try_for_each(PidFile::write);
    let built = written.and_then(|()| {
        build(runtime, settings.clone(), sockets.bound, reread, ready)
            .map_err(|error| format!("cannot start: {}", reason(error)))
    });
    let (status, vacuum) = match built {
        Ok(mut master) => {
            master.base.log_file = log_file.map(Arc::new);
            master.pidfiles = pidfiles.clone();
            (master.run(), master.settings.supervise.vacuum)
        }
        Err(message) => {
            log::say(&message);
            (EXIT_SETUP, settings.supervise.vacuum)
        }
    };
    listeners::unregister();
    if vacuum {
        bind::remove(&files);
    }
    for error in pidfiles.iter().filter(|_| vacuum).filter_map(|file| file.remove().err()) {
        log::say(&error);
    }
    pidfile::remove_unused(&pidfiles);
    disregard_signals();
    status
}

/// Whoever stops the server twice must not change the status with which its interpreter, which finalizes now, will exit.
fn disregard_signals() {
    for signal in SIGNALS.into_iter().filter(|&signal| signal != signal::SIGCHLD) {
        let _ = signal::disregard(signal);
    }
    let _ = signal::reset(signal::SIGCHLD);
}

/// The program that has served goes on: signals do to it what they do by default.
pub fn reset_signals() {
    for signal in SIGNALS {
        let _ = signal::reset(signal);
    }
}

/// The master's name in `ps`; `None`: the configuration names no process.
pub(super) fn title(names: &ProcNames) -> Option<String> {
    title::of(names, names.master.as_ref().or(names.all.as_ref()), "master")
}

fn build<R: Application>(
    runtime: &mut R,
    settings: Arc<Settings>,
    bound: Vec<Bound>,
    reread: Reread,
    ready_pipe: Option<OwnedFd>,
) -> Result<Master<'_, R>> {
    let (processes, threads) = (settings.instance.processes as usize, settings.instance.threads as usize);
    // A reload has two generations side by side, and a recycled worker its successor.
    let slots = 2 * processes + crate::policy::recycle::at_once(settings.instance.processes) + 2;
    let scoreboard = Scoreboard::new(slots, threads)?;
    let lines = Lines::new(slots + super::zygote::LOG_SLOTS)?;
    let (alive_reading, alive) = io::pipe(false)?;
    let (wake, news) = io::pipe(true)?;
    let (dump_reading, dump_writing) = io::pipe(true)?;
    io::widen_pipe(dump_writing.as_fd(), 1 << 20);
    process::adopt_orphans()?;
    signal::note_all(&SIGNALS, news.as_fd())?;
    signal::ignore(signal::SIGPIPE)?;
    let epoll = Epoll::new()?;
    epoll.add(&wake, epoll::READ, WAKE)?;
    epoll.add(&dump_reading, epoll::READ, DUMP)?;
    let only_uwsgi = bound.iter().all(|listener| listener.protocol == Protocol::Uwsgi);
    let accepting = if threads == 1 && bound.len() == 1 && only_uwsgi {
        socket::set_waiting(bound[0].fd.as_fd(), MAX_ACCEPT_WAIT)?;
        Accepting::Blocking
    } else if threads > 1 && settings.instance.processes > 1 && only_uwsgi {
        // With one process there is nobody to leave a connection to.
        Accepting::SharedQueues(Arc::new(queues::make(settings.instance.threads, &bound, &alive_reading)?))
    } else {
        Accepting::PrivateEpoll
    };
    // Even one process has a successor.
    let mailboxes = if only_uwsgi { Vec::new() } else { mailbox::make(slots)? };
    listeners::register(bound.iter().map(|bound| (bound.fd.as_fd(), bound.inherited)))?;
    let base = Setup {
        settings: settings.clone(),
        scoreboard,
        lines,
        listeners: Arc::new(bound),
        accepting,
        mailboxes: Arc::new(mailboxes),
        master: process::pid(),
        alive: Arc::new(alive_reading),
        news: Arc::new(news),
        dumps: Arc::new(dump_writing),
        log_file: None,
        log_epoch: 0,
        slot: 0,
        id: 0,
        assignment: Assignment::default(),
    };
    let now = clock::monotonic_us();
    Ok(Master {
        runtime,
        scoreboard,
        lines,
        base,
        alive,
        epoll,
        wake,
        dumps: Dumps::new(dump_reading),
        notifier: Notifier::from_environment(),
        ready_pipe,
        phase: Phase::Starting,
        paused: false,
        generation: 0,
        zygote: None,
        old_zygotes: Vec::new(),
        children: Vec::new(),
        due: Vec::new(),
        backoffs: vec![Backoff::default(); processes],
        reload_again: None,
        reread,
        pidfiles: Vec::new(),
        proven: settings.clone(),
        touches: Touches::new(&settings.watch),
        closing: Closing::default(),
        undelivered: Vec::new(),
        started_us: now,
        last_tick_us: now,
        last_second_us: now,
        exit_status: 0,
        settings,
    })
}

impl<R: Application> Master<'_, R> {
    /// The one line that says what is served and where.
    pub(super) fn announce(&mut self) {
        let settings = &self.settings;
        let apps: Vec<String> = settings.apps.mounts.iter().map(describe).collect();
        let places: Vec<String> = self.base.listeners.iter().map(|bound| address(bound, settings)).collect();
        log::say(&format!(
            "rwsgi {} serves {} on {} (master {}, {} worker{} × {} thread{})",
            env!("CARGO_PKG_VERSION"),
            match apps.is_empty() {
                true if settings.serves_files_only() => "files".to_owned(),
                true => "nothing".to_owned(),
                false => apps.join(", "),
            },
            places.join(", "),
            process::pid(),
            settings.instance.processes,
            if settings.instance.processes == 1 { "" } else { "s" },
            settings.instance.threads,
            if settings.instance.threads == 1 { "" } else { "s" },
        ));
        for file in self.pidfiles.iter().filter(|file| file.when == When::Ready) {
            if let Err(message) = file.write() {
                log::say(&message);
            }
        }
        if let Some(pipe) = self.ready_pipe.take() {
            let _: std::result::Result<(), Error> = io::write_all_blocking(pipe.as_fd(), b"r");
        }
    }
}

fn describe(app: &crate::config::App) -> String {
    let name = match &app.source {
        AppSource::Module(module) => format!("{module}:{}", app.callable),
        AppSource::File(path) => format!("{}:{}", path.display(), app.callable),
        AppSource::Object => "an application object".to_owned(),
    };
    if app.mountpoint.is_empty() { name } else { format!("{} = {name}", app.mountpoint) }
}

fn address(bound: &Bound, settings: &Settings) -> String {
    let is_tls = settings.listeners.get(bound.number).is_some_and(|listener| listener.tls.is_some());
    let http = if is_tls { "https" } else { "http" };
    match bound.protocol {
        Protocol::Http if bound.name.starts_with(['/', '@']) => format!("{http} (unix) {}", bound.name),
        Protocol::Http => format!("{http}://{}", bound.name),
        Protocol::Uwsgi => format!("uwsgi {}", bound.name),
    }
}

fn warn_of_few_descriptors(settings: &Settings, limit: u64) {
    if !settings.listeners.iter().any(|listener| listener.protocol == Protocol::Http) {
        return;
    }
    let connections = settings.http.connections;
    let needed = connections as u64 + SPARE_DESCRIPTORS;
    if needed > limit {
        log::say(&format!(
            "http-connections = {connections} needs {needed} open files in each worker, and the system allows {limit}: \
             workers take only {} connections. Raise the limit (ulimit -n, LimitNOFILE=)",
            most_connections(settings)
        ));
    }
}

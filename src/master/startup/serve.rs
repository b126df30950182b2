//! The start of a server, in its order: logs, sockets, privileges, daemon, shared memory, generation, pid file; and its
//! end.

use super::pidfile::{self, PidFile, When};
use super::readiness::Readiness;
use super::{build, daemonize, limits, listeners, stats};
use crate::base::reason::reason;
use crate::config::Settings;
use crate::log;
use crate::master::action::SIGNALS;
use crate::master::configuration::{Configuration, master_title};
use crate::process::privileges::{self, Identity};
use crate::sys::owned_files::Owner;
use crate::sys::{process, proctitle, signal};
use crate::worker::application::Application;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Exit status for a server that could not be set up as configured.
pub const EXIT_SETUP: i32 = 1;

/// Runs a server from its settings to its end; returns the exit status. What goes wrong is in the log.
pub fn serve<R: Application>(runtime: &mut R, settings: Settings, configuration: Configuration) -> i32 {
    let status = run(runtime, settings, configuration);
    log::close();
    status
}

fn run<R: Application>(runtime: &mut R, settings: Settings, configuration: Configuration) -> i32 {
    match prepare(&settings) {
        Ok(prepared) if settings.instance.daemonize.is_some() => {
            let hooks = runtime.hooks();
            daemonize::daemonize(hooks, EXIT_SETUP, |ready| {
                live(runtime, settings, prepared, configuration, Some(ready))
            })
        }
        Ok(prepared) => live(runtime, settings, prepared, configuration, None),
        Err(message) => {
            log::say(&message);
            EXIT_SETUP
        }
    }
}

struct Prepared {
    sockets: listeners::Sockets,
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
    limits::set(settings);
    let second_log = settings.instance.logto2.as_ref().map(absolute);
    let mut pidfiles = pidfile::before_chdir(settings);
    if let Some(dir) = &settings.instance.chdir {
        std::env::set_current_dir(dir)
            .map_err(|error| format!("cannot chdir to {}: {}", dir.display(), reason(error)))?;
    }
    // A signal to stop that comes from here on has to end in the removal of the sockets.
    signal::note_early(&SIGNALS)
        .map_err(|error| format!("cannot set the signal handlers: {}", reason(error)))?;
    let mut sockets = listeners::all(settings, socket_owner)?;
    // The user that the server becomes has to reach it, and nobody else unless the configuration says so.
    let becomes = identity.as_ref().map_or_else(Owner::default, owner_of);
    let stats_owner = if settings.instance.chown_socket.is_some() { socket_owner } else { becomes };
    let stats = stats::all(settings, stats_owner, &mut sockets.files)
        .inspect_err(|_| listeners::remove(&sockets.files))?;
    sockets.stats = stats;
    let settled = drop_privileges(settings, identity, &mut pidfiles)
        .and_then(|()| log_to(second_log.as_deref(), settings));
    if let Err(error) = settled {
        listeners::remove(&sockets.files);
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

fn owner_of(identity: &Identity) -> Owner {
    Owner { uid: identity.owner.as_ref().map(|owner| owner.uid), gid: identity.group }
}

fn drop_privileges(
    settings: &Settings,
    identity: Option<Identity>,
    pidfiles: &mut [PidFile],
) -> std::result::Result<(), String> {
    let Some(identity) = identity.filter(|_| !settings.instance.master_as_root) else { return Ok(()) };
    let owner = owner_of(&identity);
    for file in pidfiles {
        file.open_for(owner)?;
    }
    identity.assume()
}

fn live<R: Application>(
    runtime: &mut R,
    settings: Settings,
    prepared: Prepared,
    configuration: Configuration,
    starter: Option<OwnedFd>,
) -> i32 {
    let Prepared { sockets, pidfiles, log_file } = prepared;
    let files = sockets.files;
    let settings = Arc::new(settings);
    if let Some(title) = master_title(&settings.procnames) {
        proctitle::set(&title);
    }
    let written = pidfiles.iter().filter(|file| file.when == When::Start).try_for_each(PidFile::write);
    let built = written.and_then(|()| {
        let readiness = Readiness::new(pidfiles.clone(), starter);
        build::master(
            runtime,
            settings.clone(),
            (sockets.bound, sockets.stats),
            log_file,
            configuration,
            readiness,
        )
        .map_err(|error| format!("cannot start: {}", reason(error)))
    });
    let (status, vacuum) = match built {
        Ok(mut master) => (master.run(), master.settings().supervise.vacuum),
        Err(message) => {
            log::say(&message);
            (EXIT_SETUP, settings.supervise.vacuum)
        }
    };
    leave(vacuum, &files, &pidfiles);
    status
}

fn leave(vacuum: bool, files: &[listeners::SocketFile], pidfiles: &[PidFile]) {
    crate::sys::listeners::unregister();
    if vacuum {
        listeners::remove(files);
    }
    for error in pidfiles.iter().filter(|_| vacuum).filter_map(|file| file.remove().err()) {
        log::say(&error);
    }
    pidfile::remove_unused(pidfiles);
    disregard_signals();
}

/// Whoever stops the server twice must not change the status with which its interpreter, which finalizes now, will
/// exit.
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

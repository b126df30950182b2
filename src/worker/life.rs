//! A worker's life: born of a fork, it readies itself, serves, and winds up.

use super::request::mounts::Mounts;
use super::{EXIT_DONE, EXIT_NO_APP, Setup, Shared, lifecycle, rescue};
use crate::base::reason::reason;
use crate::log;
use crate::process::privileges;
use crate::sys::{orphan, process, proctitle, signal};
use crate::worker::application::Application;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::*;

/// Exit code of a worker that could not ready itself for a reason of the system's.
pub const EXIT_BROKEN: i32 = 71;

/// Signals whose handlers an application may replace with its own.
const REPLACEABLE: [i32; 6] =
    [signal::SIGHUP, signal::SIGINT, signal::SIGQUIT, signal::SIGTERM, signal::SIGUSR1, signal::SIGUSR2];

/// The dispositions of a worker, set before the application is loaded, so that its own handlers replace them.
/// TERM and HUP retire this worker; the others belong to the master, which gets Ctrl-C, too.
pub fn set_signals() -> std::io::Result<()> {
    signal::note_and_wake(&[signal::SIGTERM, signal::SIGHUP])?;
    for disregarded in [signal::SIGINT, signal::SIGQUIT, signal::SIGUSR1, signal::SIGUSR2, signal::SIGTSTP] {
        signal::disregard(disregarded)?;
    }
    signal::ignore(signal::SIGPIPE)?;
    // Python starts its children with the default of what Python itself knows; ours must not be inherited as ignored.
    signal::reset(signal::SIGCHLD)?;
    signal::arm_wake()
}

/// The body of a worker process. `mounts` are those that the zygote has loaded; without them the worker loads the
/// application itself. Returns the exit status.
pub fn live(runtime: &mut dyn Application, setup: &Setup, mounts: Option<Arc<Mounts>>) -> i32 {
    let slot = setup.scoreboard.worker(setup.slot);
    signal::claim_signals();
    if !slot.is_assigned(setup.assignment) {
        // The zygote died before it could tell of this process, and the master has given the slot to another.
        return EXIT_DONE;
    }
    slot.pid().store(process::pid() as u64, Release);
    log::enter(&format!("worker {}", setup.id), setup.lines.slot(setup.slot));
    if let Some(title) = title(setup) {
        proctitle::set(&title);
    }
    choose_processors(setup);
    let mounts = match mounts {
        Some(mounts) => mounts,
        None => match load(runtime, setup) {
            Ok(mounts) => mounts,
            Err(status) => return status,
        },
    };
    match serve(runtime, setup, &mounts) {
        Ok(()) => EXIT_DONE,
        Err(error) => {
            log::say(&format!("worker {}: cannot begin to serve: {}", setup.id, reason(error)));
            EXIT_BROKEN
        }
    }
}

fn load(runtime: &mut dyn Application, setup: &Setup) -> Result<Arc<Mounts>, i32> {
    if let Err(error) = set_signals() {
        log::say(&format!("worker {}: cannot set its signal handlers: {}", setup.id, reason(error)));
        return Err(EXIT_BROKEN);
    }
    let settings = &setup.settings;
    if !privileges::leave_to_master(settings) {
        return Err(EXIT_BROKEN);
    }
    // An import that never ends must not outlive the master, nor hold its listeners.
    if orphan::end_with(setup.master, || lifecycle::has_lost_its_master(setup)).is_err() {
        return Err(EXIT_DONE);
    }
    match runtime.load(settings) {
        Ok(points) => Ok(Arc::new(Mounts::new(points, settings))),
        Err(_) if settings.apps.need_app => Err(EXIT_NO_APP),
        Err(_) => Ok(Arc::new(Mounts::default())),
    }
}

fn serve(runtime: &dyn Application, setup: &Setup, mounts: &Arc<Mounts>) -> std::io::Result<()> {
    runtime.begin(&setup.settings);
    let mercy = setup.settings.supervise.worker_reload_mercy;
    orphan::arm(setup.master, mercy, || lifecycle::has_lost_its_master(setup))?;
    let shared = Shared::new(setup, runtime.is_parallel())?;
    // The zygote, whose log it has, may be older than the file.
    shared.follow_log();
    shared.slot.app_signals().store(runtime.app_signals(&REPLACEABLE), Relaxed);
    rescue::prepare(&shared, setup.dumps.as_raw_fd());
    signal::set_dump(rescue::after_dump)?;
    runtime.arm_dump(std::os::fd::AsFd::as_fd(&*setup.dumps));
    runtime.serve(&shared, mounts);
    shared.log.flush();
    runtime.wind_up();
    match orphan::is_orphaned() {
        // Nobody is there to take over what is left.
        true => log::close(),
        false => log::flush(),
    }
    if shared.is_broken() {
        // Its descriptors may be closed already, or be another's.
        std::mem::forget(shared);
    }
    Ok(())
}

/// `cpu-affinity`: so many processors for each worker, in turn.
fn choose_processors(setup: &Setup) {
    let count = setup.settings.worker.cpu_affinity as usize;
    let all = process::processors();
    if count == 0 || all.is_empty() {
        return;
    }
    let first = (setup.id as usize - 1) * count;
    let mine: Vec<usize> = (first..first + count.min(all.len())).map(|at| all[at % all.len()]).collect();
    if let Err(error) = process::run_on(&mine) {
        log::say(&format!(
            "worker {}: cannot run on processors {mine:?} (cpu-affinity): {}",
            setup.id,
            reason(error)
        ));
    }
}

/// What `ps` shows: as it was, unless the configuration names processes.
fn title(setup: &Setup) -> Option<String> {
    let names = &setup.settings.procnames;
    let base = match &names.all {
        Some(name) => name.clone(),
        None if names.auto => format!("rwsgi worker {}", setup.id),
        None if names.prefix.is_empty() && names.append.is_empty() => return None,
        None => proctitle::command_line().to_owned(),
    };
    Some(format!("{}{base}{}", names.prefix, names.append))
}

//! The entry of a worker process after the fork: it prepares, serves and ends.

use super::application::Application;
use super::context::Context;
use super::handoff::service;
use super::harakiri::answers;
use super::lifeline;
use super::request::mounts::Mounts;
use super::request::probes;
use super::setup::Setup;
use super::shared::Shared;
use crate::base::reason::reason;
use crate::log;
use crate::process::exit::{EXIT_BROKEN, EXIT_DONE, EXIT_NO_APP};
use crate::process::{privileges, signals, title};
use crate::sys::spool::Page;
use crate::sys::{crash, orphan, process, signal};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::*;

/// The body of a worker process. `mounts` are those that the zygote has loaded; without them the worker loads the
/// application itself. Returns the exit status.
pub fn live(runtime: &mut dyn Application, setup: &Setup, mounts: Option<Arc<Mounts>>) -> i32 {
    let slot = setup.scoreboard.worker(setup.slot);
    signal::claim_signals();
    if !slot.is_assigned(setup.assignment) {
        // The zygote died before it reported this process, and the master has assigned the slot to another.
        return EXIT_DONE;
    }
    slot.pid().store(process::pid() as u64, Release);
    log::enter(&format!("worker {}", setup.id), setup.log_buffers.slot(setup.slot));
    let names = &setup.settings.procnames;
    title::set(names, names.all.as_ref(), &format!("worker {}", setup.id));
    choose_processors(setup);
    warn_of_threads(setup.zygote_threads);
    let mounts = match mounts {
        Some(mounts) => mounts,
        None => match load(runtime, setup) {
            Ok(mounts) => mounts,
            Err(status) => return status,
        },
    };
    match serve(runtime, setup, mounts) {
        Ok(()) => EXIT_DONE,
        Err(error) => {
            log::say(&format!("worker {}: cannot begin to serve: {}", setup.id, reason(error)));
            EXIT_BROKEN
        }
    }
}

/// Threads do not survive a fork, and a lock that one of them holds stays locked in every worker. Those of tracing agents
/// are started anew by hooks of theirs, which have run by now.
fn warn_of_threads(zygote_threads: usize) {
    let lost = zygote_threads.saturating_sub(process::thread_count());
    if lost > 0 {
        log::say(&format!(
            "the application started {lost} thread(s) while it was imported; they do not run in the workers. Start them \
             after the fork (os.register_at_fork), or set lazy-apps"
        ));
    }
}

fn load(runtime: &mut dyn Application, setup: &Setup) -> Result<Arc<Mounts>, i32> {
    if let Err(error) = signals::set() {
        log::say(&format!("worker {}: cannot set its signal handlers: {}", setup.id, reason(error)));
        return Err(EXIT_BROKEN);
    }
    let settings = &setup.settings;
    if !privileges::leave_to_master(settings) {
        return Err(EXIT_BROKEN);
    }
    // An import that never ends must not outlive the master, nor hold its listeners.
    if orphan::end_with(setup.master, || lifeline::has_lost_its_master(setup)).is_err() {
        return Err(EXIT_DONE);
    }
    match runtime.load(settings) {
        Ok(points) => Ok(Arc::new(Mounts::new(points, settings))),
        Err(_) if settings.apps.need_app => Err(EXIT_NO_APP),
        Err(_) => Ok(Arc::new(Mounts::default())),
    }
}

fn serve(runtime: &dyn Application, setup: &Setup, mounts: Arc<Mounts>) -> std::io::Result<()> {
    runtime.begin(&setup.settings);
    let mercy = setup.settings.supervise.worker_reload_mercy;
    orphan::arm(setup.master, mercy, || lifeline::has_lost_its_master(setup))?;
    let shared = Shared::new(setup, context(runtime, setup), mounts)?;
    // The zygote, whose log it has, may be older than the file.
    shared.log.follow(&shared.context);
    shared.context.slot.app_signals().store(runtime.app_signals(&signals::REPLACEABLE), Relaxed);
    prepare_for_harakiri(&shared, setup);
    signal::set_dump(answers::after_dump)?;
    runtime.arm_dump(std::os::fd::AsFd::as_fd(&*setup.dumps));
    record_crashes(runtime, setup);
    runtime.serve(&shared);
    shared.log.access.flush();
    runtime.wind_up();
    match orphan::is_orphaned() {
        // No other worker takes over the connections that are left.
        true => log::close(),
        false => log::flush(),
    }
    if shared.lifeline.is_broken() {
        // Its descriptors may be closed already, or be another's.
        std::mem::forget(shared);
    }
    Ok(())
}

fn record_crashes(runtime: &dyn Application, setup: &Setup) {
    let page = setup.spool.writer(setup.slot, Page::Crash);
    let armed = page.and_then(|page| crash::arm(page, setup.dumps.as_raw_fd(), runtime.reports_faults()));
    if let Err(error) = armed {
        log::say(&format!("worker {}: a crash will leave no record: {}", setup.id, reason(error)));
    }
}

fn context(runtime: &dyn Application, setup: &Setup) -> Context {
    let (settings, listeners) = (setup.settings.clone(), setup.listeners.clone());
    let mut context = Context::new(settings, setup.scoreboard, setup.slot, setup.id, listeners);
    context.server_headers = probes::common_headers(&context.settings);
    context.parallel = runtime.is_parallel();
    context
}

/// Where TLS is spoken, the standby poller has to be there: a signal handler cannot start it. Elsewhere it is when there
/// are connections in the table.
fn prepare_for_harakiri(shared: &Arc<Shared>, setup: &Setup) {
    let needs_standby = shared.replies.are_needed();
    if needs_standby && !service::start(shared) {
        log::say(&format!("worker {}: harakiri will leave TLS clients without an answer", setup.id));
    }
    // Where it is alone with the table it waits for that, not for a call.
    let standby = shared.acceptor.watches_table().then(|| shared.handoff.standby.clone());
    answers::prepare(&shared.context, standby, setup.dumps.as_raw_fd());
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

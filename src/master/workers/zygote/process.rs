//! The zygote's side: load the application, then fork a worker for each request of the master.

use super::protocol::{ForkRequest, Notice, REQUEST_LEN};
use crate::base::reason::reason;
use crate::log;
use crate::process::exit::{EXIT_BROKEN, EXIT_DONE, EXIT_NO_APP};
use crate::process::{privileges, signals};
use crate::sys::epoll::{self, Epoll, Events};
use crate::sys::{io, orphan, process, proctitle, signal};
use crate::worker::application::Application;
use crate::worker::lifeline;
use crate::worker::request::mounts::Mounts;
use crate::worker::run;
use crate::worker::setup::Setup;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

fn tell(socket: BorrowedFd<'_>, notice: Notice) {
    // If this fails the master is gone; the next read says so.
    let _ = io::send(socket, &notice.to_bytes());
}

/// The body of the zygote process; returns its exit status.
pub fn live(runtime: &mut dyn Application, setup: &Setup, socket: OwnedFd) -> i32 {
    log::enter("zygote", setup.log_buffers.slot(setup.slot));
    if setup.settings.procnames.auto {
        proctitle::set("rwsgi zygote");
    }
    let status = load_and_fork(runtime, setup, socket);
    log::close();
    status
}

fn load_and_fork(runtime: &mut dyn Application, setup: &Setup, socket: OwnedFd) -> i32 {
    if let Err(error) = signals::set() {
        log::say(&format!("zygote: cannot set its signal handlers: {}", reason(error)));
        return EXIT_BROKEN;
    }
    if !privileges::leave_to_master(&setup.settings) {
        return EXIT_BROKEN;
    }
    // An import that never ends must not outlive the master.
    if orphan::end_with(setup.master, || lifeline::has_lost_its_master(setup)).is_err() {
        return EXIT_DONE;
    }
    let mounts = match runtime.load(&setup.settings) {
        Ok(points) => Mounts::new(points, &setup.settings),
        Err(_) if setup.settings.apps.need_app => return EXIT_NO_APP,
        Err(_) => Mounts::default(),
    };
    runtime.settle();
    tell(socket.as_fd(), Notice::Ready);
    serve_requests(runtime, setup, socket, &Arc::new(mounts))
}

fn serve_requests(
    runtime: &mut dyn Application,
    setup: &Setup,
    socket: OwnedFd,
    mounts: &Arc<Mounts>,
) -> i32 {
    let mut request = [0; REQUEST_LEN];
    let mut zygote_threads = process::thread_count();
    loop {
        let _ = write_log(runtime, socket.as_fd());
        match runtime.read(socket.as_fd(), &mut request) {
            Ok(REQUEST_LEN) => {}
            // The master has closed its end, or is gone.
            _ => return EXIT_DONE,
        }
        let ForkRequest { slot, id, assignment } = ForkRequest::from_bytes(request);
        let worker = Setup { slot, id, assignment, zygote_threads, ..setup.clone() };
        zygote_threads = 0;
        // A worker that inherited the zygote's pending signals (TERM, HUP) would ask for a successor, which would
        // inherit them, too.
        signal::take_noted();
        let forked = process::fork_orphan(
            runtime.hooks(),
            |pid| tell(socket.as_fd(), Notice::Forked { assignment, pid }),
            || {
                // What is written there is believed to be the zygote's.
                io::close(&[socket.as_raw_fd()]);
                run::live(runtime, &worker, Some(mounts.clone()))
            },
        );
        if let Err(error) = forked {
            log::say(&format!("zygote: cannot fork worker {}: {}", worker.id, reason(error)));
            tell(socket.as_fd(), Notice::NotForked { assignment });
        }
    }
}

/// Writes what waits in the log, until the next request comes.
fn write_log(runtime: &dyn Application, socket: BorrowedFd<'_>) -> std::io::Result<()> {
    if log::pause().is_none() {
        return Ok(());
    }
    let (epoll, mut events) = (Epoll::new()?, Events::with_capacity(1));
    epoll.add(socket, epoll::READ, 0)?;
    while let Some(pause) = log::pause() {
        runtime.wait(&epoll, &mut events, Some(pause))?;
        if events.iter().next().is_some() {
            break;
        }
        log::flush();
    }
    Ok(())
}

//! Going to the background.

use crate::base::reason::reason;
use crate::log;
use crate::master::action::SIGNALS;
use crate::sys::process::{self, Ended, ForkHooks};
use crate::sys::{io, signal};
use std::io::Result;
use std::os::fd::{AsFd, OwnedFd};

/// Runs `live` in a child without a terminal, and waits until the child says through the pipe that it is ready: the
/// exit status of this process says whether it could. `failed` is the status of a server that cannot start.
pub fn daemonize(hooks: &dyn ForkHooks, failed: i32, live: impl FnOnce(OwnedFd) -> i32) -> i32 {
    let cannot = |error| {
        log::say(&format!("cannot daemonize: {}", reason(error)));
        failed
    };
    let (ready, tell) = match io::pipe(false) {
        Ok(ends) => ends,
        Err(error) => return cannot(error),
    };
    let forked = process::fork(hooks, || match detach() {
        Ok(()) => live(tell),
        Err(error) => cannot(error),
    });
    match forked {
        Ok(pid) => {
            // The daemon acts on these signals; the process that waits for it here may be interrupted.
            SIGNALS.into_iter().for_each(|signal| _ = signal::reset(signal));
            wait_for_ready(&ready, pid, failed)
        }
        Err(error) => cannot(error),
    }
}

fn detach() -> Result<()> {
    process::new_session().and_then(|()| io::drop_input())
}

fn wait_for_ready(ready: &OwnedFd, pid: i32, failed: i32) -> i32 {
    if matches!(io::read(ready.as_fd(), &mut [0]), Ok(1)) {
        log::close();
        process::exit_now(0)
    }
    match process::wait_for(pid) {
        Ok(Ended::Exited(status)) => status.max(1),
        _ => failed,
    }
}

//! What the master tells workers: a word on the scoreboard, and a signal that makes them look at it.

use crate::log;
use crate::master::context::Context;
use crate::shm::scoreboard::{Command, Stage};
use crate::supervise::{Child, Children, Leaving, Role};
use crate::sys::{clock, signal};
use std::sync::atomic::Ordering::*;

/// Tells a worker to finish what it has begun and leave. One that has not begun to serve is killed.
pub fn retire(context: &Context, child: &mut Child, why: Leaving) {
    let now = clock::monotonic_us();
    if child.leaving() == Some(Leaving::Harakiri) {
        return;
    }
    let slot = context.slot(child);
    let leave = if why == Leaving::Stopped { Command::Drain } else { Command::Retire };
    if slot.stage() == Stage::Booting {
        // Before it is given up: one that gets ready in this moment leaves as any other.
        slot.set_command(leave);
        if give_up_boot(context, child) {
            return child.leave(why, Some(now));
        }
    }
    child.leave(why, Some(now + context.mercy().as_micros() as u64));
    // First what the application's own handlers wait for: once the worker knows its command it may be gone.
    forward_signal(context, child, why);
    command(context, child, leave);
}

/// The boot of this child is over, and it is killed. `false`: it is a worker that has got ready in this moment.
pub fn give_up_boot(context: &Context, child: &Child) -> bool {
    child.role != Role::Worker || context.slot(child).end_boot(Stage::Gone)
}

/// An application with handlers of its own for TERM or HUP hears of it.
fn forward_signal(context: &Context, child: &Child, why: Leaving) {
    let signal = if why == Leaving::Reloaded { signal::SIGHUP } else { signal::SIGTERM };
    if signal::is_in(context.slot(child).app_signals().load(Relaxed), signal) {
        child.signal(signal);
    }
}

pub fn command(context: &Context, child: &Child, command: Command) {
    context.slot(child).set_command(command);
    child.signal(signal::wake());
}

/// Workers accept nothing new, or go on; those that are on their way out are not told.
pub fn toggle_pause(context: &mut Context, children: &Children, cause: &str) {
    context.is_paused = !context.is_paused;
    let (pause, text) = match context.is_paused {
        true => (Command::Pause, "paused; workers accept nothing"),
        false => (Command::Serve, "resumed"),
    };
    for child in children.of(Role::Worker).filter(|child| child.leaving().is_none()) {
        command(context, child, pause);
    }
    log::say(&format!("{cause}: {text}"));
}

/// Makes every worker that serves look at the scoreboard.
pub fn wake_all(children: &Children) {
    children.of(Role::Worker).filter(|child| child.is_up()).for_each(|child| child.signal(signal::wake()));
}

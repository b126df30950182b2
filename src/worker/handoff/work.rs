//! Whether there is something for the standby poller to do.

use crate::shm::scoreboard::Command;
use crate::worker::shared::Shared;
use std::sync::atomic::Ordering::*;

/// A request has begun, and is on the scoreboard. As long as a thread runs none it looks after the table.
#[inline]
pub fn notify_begin(shared: &Shared) {
    let (standby, context) = (&shared.handoff.standby, &shared.context);
    if standby.is_there()
        && standby.sleeper.is_asleep()
        && context.slot.in_flight().load(Relaxed) >= context.scoreboard.threads() as u64
    {
        wake_if_needed(shared);
    }
}

/// No thread looks after the table for a while.
pub fn notify(shared: &Shared) {
    let standby = &shared.handoff.standby;
    if standby.is_there() && standby.sleeper.is_asleep() {
        wake_if_needed(shared);
    }
}

fn wake_if_needed(shared: &Shared) {
    if shared.acceptor.watches_table() && is_there(shared) {
        shared.handoff.standby.sleeper.wake();
    }
}

/// Now, or when all threads are busy.
pub fn is_there(shared: &Shared) -> bool {
    match shared.acceptor.watches_table() {
        true => {
            shared.handoff.has_neighbours(&shared.context)
                || shared.table.has_serviceable()
                || is_left_with_connections(shared)
        }
        false => !shared.table.is_empty(),
    }
}

/// This worker is to leave, and has connections that can be passed on or closed.
pub fn is_left_with_connections(shared: &Shared) -> bool {
    matches!(shared.lifeline.command(), Command::Retire | Command::Drain) && !shared.table.is_empty()
}

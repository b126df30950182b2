//! Whether there is something for the standby poller to do.

use crate::shm::scoreboard::Command;
use crate::worker::shared::Shared;
use std::sync::atomic::Ordering::Relaxed;

/// A request has begun, and is on the scoreboard. As long as a thread is free, that one looks after the table.
#[inline]
pub fn notify_of_request(shared: &Shared) {
    let context = &shared.context;
    // The last of several threads that begin one sees that all are busy.
    let all_busy = || context.slot.in_flight().load(Relaxed) >= context.scoreboard.threads() as u64;
    notify_if(shared, all_busy);
}

/// Threads look at nothing: they are on pause.
pub fn notify(shared: &Shared) {
    notify_if(shared, || true);
}

#[inline]
fn notify_if(shared: &Shared, is_needed: impl FnOnce() -> bool) {
    let standby = &shared.handoff.standby;
    if standby.is_there()
        && standby.sleeper.is_asleep()
        && is_needed()
        && shared.acceptor.watches_table()
        && is_there(shared)
    {
        standby.sleeper.wake();
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

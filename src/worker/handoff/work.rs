//! Whether there is something for the standby poller to do.

use crate::shm::scoreboard::Command;
use crate::worker::shared::Shared;

/// A request has begun, and is on the scoreboard.
#[inline]
pub fn notify(shared: &Shared) {
    let standby = &shared.handoff.standby;
    if standby.is_there()
        && standby.sleeper.is_asleep()
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

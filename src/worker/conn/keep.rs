//! How connections get into the table, and whether they may stay in it.

use super::Conn;
use super::table::RequestMemory;
use crate::worker::shared::Shared;

/// Puts a connection into the table. The standby poller serves it while every core is busy, and where threads wait
/// in the accept queues; then it is alone with the table.
#[inline]
pub fn for_standby(shared: &Shared, conn: Conn) -> RequestMemory {
    let is_alone = !shared.acceptor.watches_table();
    let standby = &shared.handoff.standby;
    if is_alone || conn.needs_service() || shared.handoff.is_used() {
        standby.want();
    }
    let memory = shared.table.keep(conn);
    if is_alone {
        standby.wake();
    }
    memory
}

/// May an answer keep its connection open?
#[inline]
pub fn may_stay(shared: &Shared, is_tls: bool) -> bool {
    let command = shared.lifeline.command();
    command.keeps_connections(is_tls)
        && !shared.table.is_full()
        && (command.serves() || shared.handoff.has_successor(&shared.context))
}

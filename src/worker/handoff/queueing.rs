//! Requests that wait to be begun: in this worker, or in another where they are begun sooner.

use super::encode::is_movable;
use super::give;
use crate::sys::clock;
use crate::worker::conn::Conn;
use crate::worker::shared::Shared;

/// Connections that are given away at one look.
const MAX_AT_ONCE: usize = 16;

/// Puts a connection that has something to be read at the end of those that wait, since when it has come.
pub fn hold(shared: &Shared, mut conn: Conn) {
    if conn.ready_us == 0 {
        conn.ready_us = clock::monotonic_us();
    }
    let key = shared.table.hold(conn);
    shared.acceptor.held.push(key);
}

/// Gives the connections that have waited longest to workers that will begin their requests sooner.
pub fn relieve(shared: &Shared) {
    for _ in 0..MAX_AT_ONCE {
        let mine = shared.handoff.load(&shared.context, shared.context.slot_index);
        let Some(slot) = shared.handoff.better_place(&shared.context, mine) else { return };
        let Some(conn) = shared.acceptor.held.take(&shared.table, is_movable) else { return };
        if let Some(kept) = give::give_from_table(shared, conn, slot) {
            let key = shared.table.hold(kept);
            return shared.acceptor.held.push_front(key);
        }
    }
}

//! Requests that wait to be begun: in this worker, or in another where they are begun sooner.

use super::encode::is_movable;
use super::give;
use crate::policy::placement::{Load, Place};
use crate::sys::clock;
use crate::worker::conn::{Conn, upkeep};
use crate::worker::shared::Shared;

/// Connections that are given away at one look.
const MAX_AT_ONCE: usize = 16;

/// May the next request of a connection wait until the process may begin it?
#[inline]
pub fn may_be_held(shared: &Shared, conn: &Conn) -> bool {
    shared.acceptor.has_crew() && shared.lifeline.command().serves() && conn.may_begin_request()
}

/// Puts a connection that has something to be read among those that wait; one that comes now is the last.
pub fn hold(shared: &Shared, mut conn: Conn) {
    if conn.ready_us == 0 {
        conn.ready_us = clock::monotonic_us();
    }
    put(shared, conn);
}

fn put(shared: &Shared, conn: Conn) {
    let since_us = conn.ready_us;
    let key = shared.table.hold(conn);
    shared.acceptor.held.put(key, since_us);
}

/// A worker's only thread has so many connections at once and is about to begin the first. Those with these keys go to
/// workers that will begin their requests sooner.
pub fn spread(shared: &Shared, keys: impl Iterator<Item = usize>, mut waiting: u64, since_us: u64) {
    for key in keys {
        let mine = Load { in_flight: 1, waiting, begun_us: clock::monotonic_us(), oldest_us: since_us };
        let Some(place) = shared.handoff.better_place(&shared.context, mine) else { return };
        if !shared.table.lock().get(key).is_some_and(is_movable) {
            continue;
        }
        let Some(conn) = shared.table.take(key) else { continue };
        let wanted = conn.events;
        if let Some(kept) = give::give_from_table(shared, Conn { ready_us: since_us, ..conn }, place.slot()) {
            return upkeep::put_back(shared, kept, wanted);
        }
        waiting -= 1;
    }
}

/// Gives connections to workers that will begin their requests sooner.
pub fn relieve(shared: &Shared) {
    for _ in 0..MAX_AT_ONCE {
        let mine = shared.handoff.load(&shared.context, shared.context.slot_index);
        let Some(place) = shared.handoff.better_place(&shared.context, mine) else { return };
        let taken = match place {
            Place::Oldest(_) => shared.acceptor.held.take(&shared.table, is_movable),
            Place::Youngest(_) => shared.acceptor.held.take_last(&shared.table, is_movable),
        };
        let Some(conn) = taken else { return };
        if let Some(kept) = give::give_from_table(shared, conn, place.slot()) {
            return put(shared, kept);
        }
    }
}

/// Gives connections to the workers that are quicker, which each time are asked for.
pub fn relieve_outrun(shared: &Shared, mut quicker: impl FnMut() -> Option<usize>) {
    for _ in 0..MAX_AT_ONCE {
        let Some(slot) = (!shared.acceptor.held.is_empty()).then(&mut quicker).flatten() else { return };
        let Some(conn) = shared.acceptor.held.take(&shared.table, is_movable) else { return };
        if let Some(kept) = give::give_from_table(shared, conn, slot) {
            return put(shared, kept);
        }
    }
}

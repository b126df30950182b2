//! Connections are given to other workers, and taken from them.

use super::encode::{self, is_movable};
use super::{last_look, mailbox};
use crate::net::client::Client;
use crate::sys::io;
use crate::worker::accept::trouble;
use crate::worker::conn::{Conn, upkeep};
use crate::worker::shared::Shared;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;

/// Gives a connection to the worker in a slot, or returns it. It must not be in this worker's epoll.
pub fn give(shared: &Shared, mut conn: Conn, slot: usize) -> Option<Conn> {
    let scoreboard = shared.context.scoreboard;
    let Some(mailbox) = shared.handoff.mailbox(slot).filter(|_| is_movable(&conn)) else { return Some(conn) };
    let Some(client) = &conn.client else { return Some(conn) };
    if !mailbox::post(scoreboard, mailbox, slot, &encode::encode(&conn), client.as_fd()) {
        return Some(conn);
    }
    shared.context.slot.given().fetch_add(1, Relaxed);
    conn.client.take().into_iter().for_each(Client::release);
    take_back(shared, slot);
    if shared.handoff.is_telling_due() {
        shared.lifeline.tell_master();
    }
    None
}

/// Gives a connection of the table to the worker in a slot, or hands it back, unwatched.
pub fn give_from_table(shared: &Shared, mut conn: Conn, slot: usize) -> Option<Conn> {
    let key = conn.key;
    shared.table.unwatch(&conn);
    conn.events = 0;
    let kept = give(shared, conn, slot);
    if kept.is_none() {
        // Not before: a worker that leaves waits as long as a key is taken.
        key.into_iter().for_each(|key| shared.table.lock().release(key));
    }
    kept
}

/// Gives a connection to a worker that stays, or returns it.
pub fn give_to_successor(shared: &Shared, conn: Conn) -> Option<Conn> {
    if !is_movable(&conn) {
        return Some(conn);
    }
    let Some(slot) = shared.handoff.successor(&shared.context) else { return Some(conn) };
    give_from_table(shared, conn, slot)
}

/// A worker that has left meanwhile takes nothing any more.
fn take_back(shared: &Shared, slot: usize) {
    let has_left = || mailbox::has_left(shared.context.scoreboard, slot);
    let take = || shared.handoff.take_from(&shared.context, slot);
    while let Some(conn) = last_look::take_back(has_left, take) {
        upkeep::keep(shared, conn);
    }
}

/// A connection that another process has given.
pub fn take_given(shared: &Shared) -> Option<Conn> {
    if !shared.lifeline.is_assigned() {
        return None;
    }
    let taken = shared.handoff.take_from(&shared.context, shared.context.slot_index);
    if taken.is_none() && !io::has_spare_number() {
        trouble::out_of_descriptors(shared);
    }
    taken
}

/// Takes the connections that others have given into the table, where they wait like its own.
pub fn keep_given(shared: &Shared) {
    while let Some(conn) = take_given(shared) {
        upkeep::keep(shared, conn);
    }
}

/// Takes an unread connection out of the mailbox of another worker. `false`: there is none.
pub fn take_from_others(shared: &Shared) -> bool {
    let context = &shared.context;
    let has_unread = |slot: &usize| mailbox::unread_for(context.scoreboard, *slot, 0).is_some();
    let mut unread = shared.handoff.others(context).filter(has_unread);
    let taken = unread.find_map(|slot| shared.handoff.take_from(context, slot));
    taken.map(|conn| upkeep::keep(shared, conn)).is_some()
}

//! Ends of answers that their clients have not taken: they wait in the table, without a thread.

use super::{Conn, Leftover, Serviced, Share, State, keep, linger};
use crate::log;
use crate::net::client::Client;
use crate::net::send_queue::SendQueue;
use crate::sys::clock;
use crate::worker::shared::Shared;
use std::io::ErrorKind;
use std::sync::atomic::Ordering::*;

/// Most bytes of one answer that wait for their client without a thread.
const MAX_LEFTOVER: usize = 1 << 20;
/// Most bytes of all of a worker's answers that do.
const MAX_LEFTOVERS: usize = 64 << 20;
/// What is said of an answer whose file was truncated meanwhile.
pub const CUT_SHORT: &str = "a file became shorter while it was sent; its answer was cut off";

/// How much of the next answer may wait for its client without a thread.
pub fn room(shared: &Shared) -> usize {
    // Never 0: the end of a connection is always the table's to see.
    MAX_LEFTOVERS.saturating_sub(shared.table.leftovers.load(Relaxed)).clamp(1, MAX_LEFTOVER)
}

/// What the client has not taken of its answer waits in the table.
pub fn put(shared: &Shared, mut conn: Conn, queue: SendQueue, keep: bool) {
    let share = Share::take(&shared.table.leftovers, queue.memory());
    conn.since_us = clock::monotonic_us();
    let length = queue.len();
    let begun_us = conn.since_us;
    conn.state = State::Sending(Box::new(Leftover { queue, share, length, begun_us, keep }));
    // It holds nothing of a request.
    let _ = keep::for_standby(shared, conn);
}

/// The client has read something of its answer. Ready: it has all of it, and may ask for more.
pub fn send(shared: &Shared, mut conn: Conn) -> Serviced {
    let (Some(client), State::Sending(left)) = (&mut conn.client, &mut conn.state) else {
        shared.table.forget(&conn);
        return Serviced::Over;
    };
    match left.queue.send(client) {
        Ok(0) => {}
        Ok(_) => conn.since_us = clock::monotonic_us(),
        Err(error) => {
            match error.kind() {
                ErrorKind::UnexpectedEof => log::say(&format!("worker {}: {CUT_SHORT}", shared.context.id)),
                _ => count_gone(shared),
            }
            shared.table.forget(&conn);
            return Serviced::Over;
        }
    }
    if !left.queue.is_empty() || client.has_pending_output() {
        return Serviced::Waits(conn);
    }
    let keep = left.keep;
    (conn.state, conn.since_us) = (State::Idle, clock::monotonic_us());
    // The answer did not say that it is the last: a request that came behind it is answered.
    let is_tls = conn.client.as_ref().is_some_and(Client::is_tls);
    if keep && (keep::may_stay(shared, is_tls) || conn.has_begun()) {
        return Serviced::Ready(conn);
    }
    linger::close_in_table(shared, conn);
    Serviced::Over
}

/// The client takes what is left of its answer too slowly, or not at all.
pub fn cut_off(shared: &Shared, conn: &Conn, why: &str) {
    count_gone(shared);
    let left = if let State::Sending(left) = &conn.state { left.queue.len() } else { 0 };
    log::say(&format!(
        "worker {}: a client read {why}; its answer was cut off, {left} bytes before its end{}",
        shared.context.id,
        conn.from_whom()
    ));
}

fn count_gone(shared: &Shared) {
    shared.context.slot.gone_clients().fetch_add(1, Relaxed);
}

//! Clients whose request, or the first part of one, has come while every thread of their worker was busy: before
//! harakiri kills the worker the standby poller gives them to another. Those that cannot move, or for whom nobody has room,
//! it answers like those whose requests run beside the one that is late.

use super::answers;
use crate::proto::http::head::is_empty_line;
use crate::sys::clock;
use crate::worker::conn::Conn;
use crate::worker::handoff::give;
use crate::worker::request::canned;
use crate::worker::shared::Shared;

/// How long it goes on answering: the master waits for the end of it.
const LIMIT_US: u64 = 200_000;
/// Received at most of each connection.
const READ_CHUNK: usize = 16 * 1024;

/// Sees to every client of the worker whose answer has not begun, and lets the master go on.
pub fn answer_clients(shared: &Shared) {
    shared.replies.answer_encrypted_clients(&shared.context);
    let until_us = clock::monotonic_us() + LIMIT_US;
    let waiting = shared.table.lock().take_reading();
    for mut conn in waiting {
        if clock::monotonic_us() < until_us && conn.has_begun() {
            give::give_to_successor(shared, conn).into_iter().for_each(|conn| answer(shared, conn));
        } else {
            // It is closed with the process.
            let _ = shared.table.keep(conn);
        }
    }
    answers::finish();
}

/// What has come is received: the kernel resets a connection that is closed with unread bytes, and its client may lose
/// the answer.
fn answer(shared: &Shared, mut conn: Conn) {
    if conn.has_bytes()
        && let Some(client) = &mut conn.client
    {
        conn.buf.reserve(READ_CHUNK);
        let _ = client.recv(&mut conn.buf, READ_CHUNK);
    }
    if is_empty_line(&conn.buf) {
        // A handshake, say. It is closed with the process.
        let _ = shared.table.keep(conn);
    } else {
        canned::answer_last(shared, conn, 503);
    }
}

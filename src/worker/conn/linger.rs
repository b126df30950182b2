//! The lingering close: after the last answer a connection is closed for sending, and what its peer still sends is read
//! and dropped for a while. If it were closed at once the kernel would answer those bytes with a reset, which can take
//! the answer from the peer before it has read it (RFC 9112 §9.6).
//!
//! No thread waits meanwhile, the connection stands in the table. Where a thread waits in the worker's own epoll, or in
//! accept(), which it leaves for that epoll as long as the table is not empty, it reads on itself; where threads wait
//! in the accept queues the standby poller does.
//!
//! A full table keeps new clients out. So the connections that have been read on for longest are closed as soon as their
//! places are needed; their peers have had some time to read the answer.

use super::{Conn, State, keep};
use crate::sys::clock;
use crate::worker::shared::Shared;
use std::io::ErrorKind;

/// Received at most in one step, and in one turn.
const READ_CHUNK: usize = 16 * 1024;
const MAX_CHUNKS: usize = 16;

/// Closes a connection that a core has.
pub fn close(shared: &Shared, conn: Conn) {
    if let Some(conn) = drop_input(shared, begin(conn)) {
        // It holds nothing of a request.
        let _ = keep::for_standby(shared, conn);
        make_room(shared);
    }
}

/// The same for a thread that serves the table.
pub fn close_in_table(shared: &Shared, conn: Conn) {
    read_on(shared, begin(conn));
    make_room(shared);
}

/// Where the table is full, closes the connections that have been read on for longest, until there is room.
#[inline]
pub fn make_room(shared: &Shared) {
    if shared.table.is_full() {
        close_longest(shared);
    }
}

#[cold]
fn close_longest(shared: &Shared) {
    let longest_first = shared.table.lock().lingering();
    for key in longest_first {
        let mut places = shared.table.lock();
        let is_lingering = places.get(key).is_some_and(Conn::is_lingering);
        if places.has_room() {
            return;
        }
        let conn = if is_lingering { places.take(key) } else { None };
        drop(places);
        conn.into_iter().for_each(|conn| shared.table.forget(&conn));
    }
}

/// Drops what has come; the connection goes when the client has closed it, or its time is up.
pub fn read_on(shared: &Shared, conn: Conn) {
    if let Some(conn) = drop_input(shared, conn) {
        let _ = shared.table.keep(conn);
    }
}

fn begin(mut conn: Conn) -> Conn {
    if let Some(client) = &mut conn.client {
        client.shutdown_send();
    }
    conn.buf = Vec::new();
    conn.state = State::Lingering;
    conn.since_us = clock::monotonic_us();
    conn
}

/// `None`: the client has closed it, too.
fn drop_input(shared: &Shared, conn: Conn) -> Option<Conn> {
    let mut waste = [0; READ_CHUNK];
    let client = conn.client.as_ref()?;
    for _ in 0..MAX_CHUNKS {
        match client.recv_waste(&mut waste) {
            Ok(1..) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Ok(0) | Err(_) => {
                shared.table.forget(&conn);
                return None;
            }
        }
    }
    Some(conn)
}

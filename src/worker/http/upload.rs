//! Bodies that are read ahead while their connections wait in the table: an application thread sees a request when all of
//! it is here.

use super::Parsed;
use crate::config::Http;
use crate::proto::http::head::Progress;
use crate::proto::http::{Request as HttpRequest, framing, head as parser, status};
use crate::sys::clock;
use crate::worker::body::Body;
use crate::worker::body::error::BodyError;

use crate::worker::conn::{Conn, Serviced, State, Upload};
use crate::worker::core::Core;
use crate::worker::request::canned;
use crate::worker::shared::Shared;

/// Taken from one connection before others get their turn.
const READ_QUANTUM: u64 = 1 << 20;

pub fn reads_ahead(http: &Http) -> bool {
    !http.stream_body && http.body_memory > 0
}

/// The exchange's body has the bytes that came with the head. Returns the connection when the body is whole.
pub fn begin(core: &mut Core, mut conn: Conn, parsed: Parsed) -> Option<Conn> {
    let client = conn.client.as_mut()?;
    // RFC 9110 §10.1.1: not needed when the client did not wait for it.
    let invites = parsed.framing.expect_continue && parsed.used == 0;
    if invites && client.send(status::CONTINUE).is_err() {
        core.shared.table.forget(&conn);
        return None;
    }
    let storage = core.shared.table.storage(&core.shared.context.settings);
    let gathered = core.exchange.lock().body.gather(client, storage, READ_QUANTUM);
    match gathered {
        Ok(true) => return Some(conn),
        Ok(false) => put_aside(core, conn, parsed.length),
        Err(error) => {
            core.exchange.lock().body.clear();
            refuse(&core.shared, conn, error);
        }
    }
    None
}

/// The rest of the body is waited for in the table.
fn put_aside(core: &mut Core, mut conn: Conn, head: usize) {
    conn.buf.truncate(head);
    core.http.cut(&mut conn.buf);
    let body = core.exchange.lock().body.put_aside();
    conn.state = State::Body(Box::new(Upload { head, body, begun_us: clock::monotonic_us() }));
    conn.since_us = clock::monotonic_us();
    conn.heard_us = conn.since_us;
    core.keep(conn);
}

/// More of the body has come. Returns the connection when it is whole.
pub fn read(core: &mut Core, conn: Conn) -> Option<(Conn, Parsed)> {
    let serviced = gather(&core.shared, conn, &mut core.exchange.lock().body);
    match serviced {
        Serviced::Ready(mut conn) => {
            let State::Body(upload) = std::mem::replace(&mut conn.state, State::Head) else {
                return None;
            };
            let Upload { head, body, .. } = *upload;
            core.exchange.lock().body.take_up(body);
            resume(core, conn, head)
        }
        Serviced::Waits(conn) => {
            core.keep(conn);
            None
        }
        Serviced::Over => None,
    }
}

/// The body is whole. Other requests have used the parser since: the head is parsed again.
fn resume(core: &mut Core, mut conn: Conn, length: usize) -> Option<(Conn, Parsed)> {
    conn.progress = Progress::default();
    let http = &mut core.http;
    let parsed = parser::parse(&conn.buf, &http.limits, &mut conn.progress, &mut http.head).is_ok();
    match framing::decide(&HttpRequest::new(&conn.buf, &http.head)) {
        Ok(framing) if parsed => Some((conn, Parsed { framing, length, used: 0 })),
        _ => {
            core.shared.table.forget(&conn);
            None
        }
    }
}

/// Takes what has come of a body, with the buffer of another. Ready: all of it is here.
pub fn gather(shared: &Shared, mut conn: Conn, room: &mut Body) -> Serviced {
    let (Some(client), State::Body(upload)) = (&mut conn.client, &mut conn.state) else {
        shared.table.forget(&conn);
        return Serviced::Over;
    };
    conn.since_us = clock::monotonic_us();
    conn.heard_us = conn.since_us;
    room.take_up(std::mem::take(&mut upload.body));
    let gathered = room.gather(client, shared.table.storage(&shared.context.settings), READ_QUANTUM);
    upload.body = room.put_aside();
    match gathered {
        Ok(true) => Serviced::Ready(conn),
        Ok(false) => Serviced::Waits(conn),
        Err(error) => {
            refuse(shared, conn, error);
            Serviced::Over
        }
    }
}

fn refuse(shared: &Shared, conn: Conn, error: BodyError) {
    match error {
        // The client is gone: no answer.
        BodyError::Closed | BodyError::Over => shared.table.forget(&conn),
        error => canned::turn_away(shared, conn, error.status(), &error.to_string()),
    }
}

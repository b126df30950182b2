//! Answers that the server makes itself, before a request has begun: it is none on the scoreboard, and where it is refused
//! there is one line in the log that names the cause and the option to change. After it has begun they go through the
//! exchange ([`Exchange::answer_plain`](crate::worker::response::Exchange::answer_plain)), and are counted and logged like
//! any other answer.

use super::{Taken, ids};
use crate::base::date::http_date;
use crate::config::Protocol;
use crate::log;
use crate::net::client::Client;
use crate::proto::http::status::Plain;
use crate::proto::trace;
use crate::shm::scoreboard::counters::class;
use crate::sys::clock;
use crate::worker::conn::Conn;
use crate::worker::conn::linger;
use crate::worker::shared::Shared;
use std::borrow::Cow;
use std::sync::atomic::Ordering::*;

/// What is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Canned {
    pub code: u16,
    /// The body; empty: the status's phrase.
    pub text: &'static str,
    /// Header lines beside those that every answer of the server's own carries.
    pub headers: Cow<'static, [u8]>,
    /// The request was HEAD: the text is announced but not sent.
    pub head_only: bool,
}

impl Canned {
    pub fn status(code: u16) -> Canned {
        Canned { code, ..Canned::default() }
    }

    /// As it goes out. A front end adds the date itself.
    fn bytes(&self, protocol: Protocol, common: &[u8], keep_alive: bool) -> Vec<u8> {
        let headers = [&self.headers, common].concat();
        let date = http_date(clock::wall_secs().max(0) as u64);
        let answer = Plain {
            code: self.code,
            text: self.text,
            headers: &headers,
            date: if protocol == Protocol::Http { date.as_ref() } else { b"" },
            keep_alive,
            head_only: self.head_only,
        };
        let mut out = Vec::with_capacity(512);
        answer.push_to(&mut out);
        out
    }
}

/// Sends it as far as the client takes it at once; `false`: that was not all of it.
fn send(shared: &Shared, conn: &mut Conn, canned: &Canned, keep_alive: bool) -> bool {
    let out = canned.bytes(conn.protocol, &shared.context.server_headers, keep_alive);
    count(shared, conn.listener, canned.code, out.len());
    let is_sent = |client: &mut Client| {
        client.send(&out).is_ok_and(|sent| sent == out.len()) && !client.has_pending_output()
    };
    conn.client.as_mut().is_some_and(is_sent)
}

/// Before it is sent: whoever has read it finds it counted.
pub fn count(shared: &Shared, listener: usize, status: u16, bytes: usize) {
    let context = &shared.context;
    context.slot.canned().fetch_add(1, Relaxed);
    context.slot.canned_bytes().fetch_add(bytes as u64, Relaxed);
    // Threads without a core answer, too.
    let row = context.scoreboard.threads();
    context.scoreboard.answers(context.slot_index, row, listener)[class(status)].fetch_add(1, Relaxed);
}

/// Answers a request that no application is to see. Hands back a connection that stays (`keep_alive`).
pub fn answer(shared: &Shared, mut conn: Conn, canned: &Canned, keep_alive: bool) -> Option<Conn> {
    let is_sent = send(shared, &mut conn, canned, keep_alive);
    if is_sent && keep_alive {
        return Some(conn);
    }
    linger::close(shared, conn);
    None
}

/// The last answer on a connection, which closes then. It is neither counted nor logged.
pub fn answer_last(shared: &Shared, mut conn: Conn, status: u16) {
    send(shared, &mut conn, &Canned::status(status), false);
    linger::close_in_table(shared, conn);
}

/// Refuses a request that cannot be served.
pub fn refuse(shared: &Shared, conn: Conn, status: u16, why: &str) -> Taken {
    let given = trace::request_id_of_head(&conn.buf).unwrap_or_default();
    refuse_known(shared, conn, status, why, &given)
}

/// The same where the X-Request-ID is known that the request came with.
pub fn refuse_known(shared: &Shared, mut conn: Conn, status: u16, why: &str, given: &[u8]) -> Taken {
    let canned = refusal(shared, &conn, status, why, given);
    send(shared, &mut conn, &canned, false);
    linger::close(shared, conn);
    Taken::Nothing
}

/// The same for a thread that serves the table.
pub fn turn_away(shared: &Shared, mut conn: Conn, status: u16, why: &str) {
    let given = trace::request_id_of_head(&conn.buf).unwrap_or_default();
    let canned = refusal(shared, &conn, status, why, &given);
    send(shared, &mut conn, &canned, false);
    linger::close_in_table(shared, conn);
}

/// Logs and counts a refusal, and makes its answer.
fn refusal(shared: &Shared, conn: &Conn, status: u16, why: &str, given: &[u8]) -> Canned {
    count_refused(shared, status);
    let tracing = &shared.context.settings.tracing;
    let id = ids::of_refused(given, tracing);
    let (worker, from, named) = (shared.context.id, conn.from_whom(), id_text(" id ", &id, ""));
    log::say(&format!("worker {worker}: refused a request with {status}: {why}{from}{named}"));
    let is_told = tracing.request_id.is_on() && tracing.in_response;
    let header = if is_told { id_text("X-Request-ID: ", &id, "\r\n") } else { String::new() };
    Canned { headers: header.into_bytes().into(), ..Canned::status(status) }
}

/// An id that is sane, or nothing where there is none.
fn id_text(before: &str, id: &[u8], behind: &str) -> String {
    if id.is_empty() { String::new() } else { format!("{before}{}{behind}", id.escape_ascii()) }
}

/// `status`: 0 where the connection is closed without an answer.
pub fn count_refused(shared: &Shared, status: u16) {
    shared.context.slot.count_refusal(status);
}

/// A peer that did not send its request in time has been dropped.
pub fn note_slow_peer(shared: &Shared, bytes: usize) {
    count_refused(shared, 0);
    log::say(&format!(
        "worker {}: a peer sent only {bytes} bytes of a request within socket-timeout = {} s; closed",
        shared.context.id,
        shared.context.settings.requests.socket_timeout.as_secs()
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(canned: &Canned, protocol: Protocol, keep_alive: bool) -> String {
        String::from_utf8(canned.bytes(protocol, b"X: y\r\n", keep_alive)).unwrap()
    }

    #[test]
    fn a_front_end_has_a_date_of_its_own() {
        let refused = Canned::status(400);
        let uwsgi = text(&refused, Protocol::Uwsgi, false);
        assert_eq!(
            uwsgi,
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 12\r\nX: y\r\n\
             Connection: close\r\n\r\nBad Request\n"
        );
        let http = text(&refused, Protocol::Http, false);
        assert_eq!(http.replace("\r\nDate: ", "\n").lines().count(), uwsgi.lines().count() + 1);
    }

    #[test]
    fn its_own_headers_go_before_the_common_ones() {
        let canned = Canned { headers: Cow::Borrowed(b"A: b\r\n"), text: "ok", ..Canned::status(200) };
        let sent = text(&canned, Protocol::Uwsgi, true);
        assert!(sent.ends_with("A: b\r\nX: y\r\n\r\nok\n"), "{sent}");
        let head = text(&Canned { head_only: true, ..canned }, Protocol::Uwsgi, true);
        assert!(head.contains("Content-Length: 3\r\n") && head.ends_with("X: y\r\n\r\n"), "{head}");
    }
}

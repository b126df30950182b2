//! Clients that came to the wrong kind of socket: TLS where none is spoken, HTTP without it where it is.

use crate::log;
use crate::net::client::Client;
use crate::net::tls::{self, Failure};
use crate::proto::http::status::Plain;
use crate::sys::clock;
use crate::worker::conn::Conn;
use crate::worker::conn::linger;
use crate::worker::request::{Taken, canned};
use crate::worker::shared::Shared;
use std::sync::atomic::Ordering::Relaxed;

/// What is said of a TLS client on a socket without TLS.
pub const TLS_HERE: &str = "a TLS client came to a socket that speaks plain HTTP; the socket for it is an option https, its address https://";
/// What HTTP without TLS is answered on a socket with TLS.
const NOT_TLS: &str = "This port speaks HTTPS: the address begins with https://.";

/// Does a TLS client speak on a socket without TLS?
pub fn is_tls(conn: &Conn) -> bool {
    let has_session = conn.client.as_ref().is_some_and(Client::is_tls);
    conn.buf.first() == Some(&tls::HANDSHAKE) && !has_session && !conn.awaits_proxy
}

/// No TLS session came about, or it broke. What there is to be said has gone out as an alert, unless the client speaks
/// HTTP, which has an answer of its own.
pub fn tls_failed(shared: &Shared, conn: Conn) -> Taken {
    shared.context.slot.tls_failures().fetch_add(1, Relaxed);
    let Some(client) = &conn.client else { return Taken::Nothing };
    let is_http = matches!(client.failure(), Some(Failure::NotTls));
    canned::count_refused(shared, if is_http { 400 } else { 0 });
    match client.failure() {
        Some(Failure::NotTls) => refuse_plain_http(shared, &conn, client),
        Some(failure) if shared.context.settings.tls.verbose => {
            log::say(&format!(
                "worker {}: the TLS session{} failed: {failure}",
                shared.context.id,
                of_peer(&conn)
            ));
        }
        _ => {}
    }
    linger::close(shared, conn);
    Taken::Nothing
}

fn of_peer(conn: &Conn) -> String {
    conn.peer.map_or_else(String::new, |peer| format!(" of {peer}"))
}

fn refuse_plain_http(shared: &Shared, conn: &Conn, client: &Client) {
    let mut out = Vec::with_capacity(256);
    Plain { text: NOT_TLS, ..Plain::last(400, b"") }.push_to(&mut out);
    canned::count(shared, conn.listener, 400, out.len());
    let _ = client.send_raw(&out);
    if shared.log.not_tls.count(1, clock::monotonic_us()).is_some() {
        let name = &shared.context.listeners[conn.listener].name;
        log::say(&format!(
            "worker {}: refused a request{} with 400: plain HTTP came to {name}, which speaks HTTPS (said once a minute)",
            shared.context.id,
            of_peer(conn)
        ));
    }
}

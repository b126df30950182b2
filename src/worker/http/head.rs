//! Heads of requests on HTTP sockets: received, parsed, judged, and made variables of.

use super::state::READ_CHUNK;
use super::{Parsed, forwarded, misplaced, upload};
use crate::net::client::Client;
use crate::proto::http::environ::{self, Connection, Options};
use crate::proto::http::head::{self, is_empty_line};
use crate::proto::http::{Body, Framing, Reject, Request as HttpRequest, framing};
use crate::proto::uwsgi::{self, push_var};
use crate::sys::clock;
use crate::worker::conn::{Conn, State};
use crate::worker::conn::{keep, leftover};
use crate::worker::core::Core;
use crate::worker::request::canned::{self, Canned};
use crate::worker::request::pipeline::{self, Announced, Arrived, Ready, Verdict};
use crate::worker::request::{Head, Taken};
use crate::worker::response::{Limits, Speaks};
use std::io::ErrorKind;
use std::sync::atomic::Ordering::Relaxed;

const NO_WEBSOCKET: Reject =
    Reject::new(501, "WebSocket is not spoken here; see http-ignore-upgrade", "RFC 6455 §4.4");

impl Head for HttpRequest<'_> {
    fn method(&self) -> &[u8] {
        HttpRequest::method(self)
    }

    fn path(&self) -> &[u8] {
        HttpRequest::path(self)
    }

    fn query(&self) -> &[u8] {
        HttpRequest::query(self)
    }

    fn host(&self) -> &[u8] {
        HttpRequest::host(self)
    }
}

/// Goes on with a connection that has bytes or room for some, is new, or has more than one request in its buffer.
pub fn read(core: &mut Core, conn: Conn) -> Taken {
    if !matches!(conn.state, State::Body(_)) {
        return read_head(core, conn);
    }
    match upload::read(core, conn) {
        Some((conn, parsed)) => run(core, conn, parsed),
        None => Taken::Nothing,
    }
}

fn read_head(core: &mut Core, mut conn: Conn) -> Taken {
    loop {
        match look_at(core, &mut conn) {
            Ok(Some(length)) => return take(core, conn, length),
            Ok(None) => {}
            Err(_) if misplaced::is_tls(&conn) => {
                return canned::refuse(&core.shared, conn, 400, misplaced::TLS_HERE);
            }
            Err(reject) => return refuse(core, conn, &reject),
        }
        core.http.make_room(&mut conn.buf);
        let Some(client) = &mut conn.client else { return Taken::Nothing };
        let result = match conn.awaits_proxy {
            false => client.recv(&mut conn.buf, READ_CHUNK),
            true => client.recv_raw(&mut conn.buf, READ_CHUNK),
        };
        if client.note_handshake() {
            core.shared.context.slot.tls_handshakes().fetch_add(1, Relaxed);
        }
        match result {
            Ok(1..) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return wait(core, conn),
            // Closed or broken: no client is left to answer, or TLS has sent an alert.
            Ok(0) | Err(_) if client.failure().is_none() => {
                core.http.spare(std::mem::take(&mut conn.buf));
                core.shared.table.forget(&conn);
                return Taken::Nothing;
            }
            Ok(0) | Err(_) => return misplaced::tls_failed(&core.shared, conn),
        }
    }
}

/// The rest of the head is yet to come.
fn wait(core: &mut Core, mut conn: Conn) -> Taken {
    if !conn.buf.is_empty() {
        conn.heard_us = clock::monotonic_us();
    }
    core.http.cut(&mut conn.buf);
    core.keep(conn);
    Taken::Nothing
}

/// Looks at what has come. Returns the length of the head when it is whole.
#[inline]
fn look_at(core: &mut Core, conn: &mut Conn) -> Result<Option<usize>, Reject> {
    if conn.awaits_proxy
        && !conn.buf.is_empty()
        && forwarded::take_proxy_header(conn, &core.shared.context.settings.http)?
    {
        conn.client.iter_mut().for_each(|client| client.push_back(&mut conn.buf));
    }
    if conn.awaits_proxy || conn.buf.is_empty() {
        return Ok(None);
    }
    let length = head::parse(&conn.buf, &core.http.limits, &mut conn.progress, &mut core.http.head)?;
    if length.is_none() && matches!(conn.state, State::Idle) && !is_empty_line(&conn.buf) {
        conn.state = State::Head;
        conn.since_us = clock::monotonic_us();
    }
    Ok(length)
}

fn refuse(core: &Core, conn: Conn, reject: &Reject) -> Taken {
    let option = match reject.status {
        414 => "; see http-request-line",
        431 => "; see buffer-size and http-headers",
        _ => "",
    };
    let text = format!("{} ({}){option}", reject.reason, reject.clause);
    canned::refuse(&core.shared, conn, reject.status, &text)
}

/// The head in `conn.buf[..length]` is whole.
fn take(core: &mut Core, mut conn: Conn, length: usize) -> Taken {
    conn.requests += 1;
    let http = &core.shared.context.settings.http;
    let request = HttpRequest::new(&conn.buf, &core.http.head);
    let framing = match framing::decide(&request) {
        Ok(framing) if framing.websocket && !http.ignore_upgrade => return refuse(core, conn, &NO_WEBSOCKET),
        Ok(framing) => framing,
        Err(reject) => return refuse(core, conn, &reject),
    };
    let announced = Announced {
        body: framing.body,
        expects_continue: framing.expect_continue,
        memory: upload::reads_ahead(http).then_some(http.body_memory),
    };
    let parsed = Parsed { framing, length, used: 0 };
    match pipeline::judge(core, conn.listener, &request, announced) {
        Verdict::Run if framing.body == Body::None => run(core, conn, parsed),
        Verdict::Run => take_body(core, conn, parsed),
        Verdict::Answer(canned) => answer(core, conn, parsed, &canned),
        Verdict::Refuse(status, text) => canned::refuse(&core.shared, conn, status, &text),
    }
}

/// Answers, and keeps the connection unless the request has a body, which is not going to be read.
fn answer(core: &mut Core, conn: Conn, parsed: Parsed, canned: &Canned) -> Taken {
    let framing = parsed.framing;
    let keep_alive = framing.body == Body::None && may_stay(core, &conn, framing);
    if let Some(mut conn) = canned::answer(&core.shared, conn, canned, keep_alive) {
        core.http.take_off(&mut conn, parsed.length);
        core.next_request(conn, clock::monotonic_us());
    }
    Taken::Nothing
}

/// May the connection carry another request?
fn may_stay(core: &Core, conn: &Conn, framing: Framing) -> bool {
    let http = &core.shared.context.settings.http;
    let another = http.requests == 0 || conn.requests < http.requests;
    framing.keep_alive
        && another
        && http.idle_timeout.is_some()
        && keep::may_stay(&core.shared, conn.client.as_ref().is_some_and(Client::is_tls))
}

/// The first bytes of the body may stand behind the head.
fn take_body(core: &mut Core, conn: Conn, parsed: Parsed) -> Taken {
    let settings = &core.shared.context.settings;
    let first = &conn.buf[parsed.length..];
    let used = core.exchange.lock().body.begin(parsed.framing.body, settings.requests.limit_post, first);
    let reads_ahead = upload::reads_ahead(&settings.http);
    let parsed = Parsed { used, ..parsed };
    let whole = if reads_ahead { upload::begin(core, conn, parsed) } else { Some(conn) };
    whole.map_or(Taken::Nothing, |conn| run(core, conn, parsed))
}

/// Makes variables of the head, and has the request run. A body has begun in the exchange.
fn run(core: &mut Core, mut conn: Conn, parsed: Parsed) -> Taken {
    let Parsed { framing, length, used } = parsed;
    let minor = HttpRequest::new(&conn.buf, &core.http.head).minor();
    let decoded = decoded_length(core, framing.body);
    if !make_vars(core, &mut conn, decoded) {
        return refuse(core, conn, &Reject::new(431, "the headers are too long together", "RFC 6585 §5"));
    }
    set_scheme(core, &conn);
    let keep_alive = may_stay(core, &conn, framing);
    let listener = conn.listener;
    let Some(client) = conn.client.take() else { return Taken::Nothing };
    let ready = Ready {
        client,
        listener,
        head_bytes: length,
        speaks: Speaks::Http { minor, keep_alive, date: core.http.date() },
        limits: Limits {
            room: leftover::room(&core.shared),
            timeout: core.shared.context.settings.http.timeout,
        },
        expects_continue: framing.expect_continue,
        body: if framing.body == Body::None { Arrived::Nothing } else { Arrived::Begun },
        strips_script_name: false,
    };
    core.http.take_off(&mut conn, length + used);
    core.current = Some(conn);
    pipeline::run(core, ready)
}

/// The client's own scheme, and what a trusted peer says of it.
fn set_scheme(core: &mut Core, conn: &Conn) {
    // Not a front end of uwsgi, whose variables are its own: these are headers that any client may have sent.
    core.request.trusted = false;
    let is_tls = conn.client.as_ref().is_some_and(Client::is_tls);
    let http = &core.shared.context.settings.http;
    let told = conn.trusted.then(|| forwarded::apply(&mut core.request, http)).flatten();
    core.request.told_scheme = told.or(is_tls.then_some(b"https"));
}

/// The length of a chunked body that is here as a whole.
fn decoded_length(core: &Core, body: Body) -> Option<u64> {
    if body != Body::Chunked {
        return None;
    }
    let exchange = core.lock();
    exchange.body.is_seekable().then(|| exchange.body.buffered_len())
}

/// The head as a block of variables, as if a front end had sent it. `false`: it does not fit one.
fn make_vars(core: &mut Core, conn: &mut Conn, decoded_length: Option<u64>) -> bool {
    let http = &mut core.http;
    let request = HttpRequest::new(&conn.buf, &http.head);
    http.remote.set(conn.peer);
    let connection = Connection {
        script_name: b"",
        server_name: &http.host_name,
        server_port: core.shared.context.listeners[conn.listener].port.as_bytes(),
        remote_addr: &http.remote.address,
        remote_port: &http.remote.port,
        https: false,
    };
    let text = &mut core.request.text;
    text.clear();
    text.extend_from_slice(&[0; uwsgi::HEAD_LEN]);
    let mut fits = true;
    let keep_underscores = core.shared.context.settings.http.keep_underscores;
    let options = Options { decoded_length, keep_underscores };
    environ::for_each(&request, &connection, options, &mut http.scratch, |name, value| {
        fits &= push_var(text, name, value).is_ok();
    });
    for (name, value) in conn.client.as_mut().and_then(Client::variables).unwrap_or_default() {
        fits &= push_var(text, name.as_bytes(), value).is_ok();
    }
    let end = core.request.text.len();
    fits && core.request.index(end, usize::MAX).is_ok()
}

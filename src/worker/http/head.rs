//! Requests on HTTP sockets.

use super::forwarded;
use crate::base::bytes::push_decimal;
use crate::base::date::{HttpDate, http_date};
use crate::config::Settings;
use crate::net::client::Client;
use crate::net::tls;
use crate::proto::http::environ::{self, Connection, Options};
use crate::proto::http::head::{self, Head};
use crate::proto::http::{Body, Framing, Reject, Request as HttpRequest, framing};
use crate::proto::uwsgi::{self, push_var};
use crate::sys::clock;
use crate::worker::conns::{Conn, Waits};
use crate::worker::core::Core;
use crate::worker::response::{Limits, Speaks};
use std::io::{ErrorKind, Write};
use std::net::{IpAddr, SocketAddr};

/// Received at most in one step.
const READ_CHUNK: usize = 16 * 1024;

/// The bytes of a TLS client on a socket without TLS.
const TLS_HERE: &str = "a TLS client came to a socket that speaks plain HTTP; the socket for it is an option https, its address https://";

/// What a core keeps for HTTP from request to request.
pub struct Http {
    pub(in crate::worker) head: Head,
    pub(in crate::worker) limits: head::Limits,
    scratch: Vec<u8>,
    remote: Remote,
    host_name: Vec<u8>,
    /// A buffer without an owner, to be the next connection's.
    spare: Vec<u8>,
    date: (i64, HttpDate),
}

/// The peer of a request as text.
#[derive(Default)]
struct Remote {
    ip: Option<IpAddr>,
    address: Vec<u8>,
    port: Vec<u8>,
}

impl Remote {
    /// Most requests come from where the one before came from, a proxy: its address is not written anew.
    fn set(&mut self, peer: Option<SocketAddr>) {
        let ip = peer.map(|peer| peer.ip());
        if self.ip != ip {
            self.address.clear();
            self.ip = ip;
            let _ = ip.map(|ip| write!(self.address, "{ip}"));
        }
        self.port.clear();
        if let Some(peer) = peer {
            push_decimal(&mut self.port, peer.port().into());
        }
    }
}

impl Http {
    pub fn new(settings: &Settings) -> Http {
        let head = settings.requests.buffer_size.clamp(1024, 65535);
        let http = &settings.http;
        Http {
            head: Head::default(),
            limits: head::Limits { request_line: http.request_line, headers: http.headers, head },
            scratch: Vec::new(),
            remote: Remote::default(),
            host_name: crate::sys::user::host_name().into_bytes(),
            spare: Vec::with_capacity(READ_CHUNK),
            date: (0, http_date(0)),
        }
    }

    pub(in crate::worker) fn host_name(&self) -> &[u8] {
        &self.host_name
    }

    /// Room to receive into. What has waited was cut to its length: it goes on in the buffer without an owner.
    #[inline]
    fn make_room(&mut self, buf: &mut Vec<u8>) {
        if buf.capacity() - buf.len() < READ_CHUNK && self.spare.capacity() > 0 {
            let mut roomy = std::mem::take(&mut self.spare);
            roomy.extend_from_slice(buf);
            *buf = roomy;
        }
    }

    /// What may wait for long takes no more memory than it needs.
    pub(in crate::worker) fn cut(&mut self, buf: &mut Vec<u8>) {
        let exact = buf.as_slice().to_vec();
        self.spare(std::mem::replace(buf, exact));
    }

    /// The next connection's buffer.
    pub(in crate::worker) fn spare(&mut self, mut buf: Vec<u8>) {
        buf.clear();
        self.spare = buf;
    }

    pub(in crate::worker) fn date(&mut self) -> HttpDate {
        let now = clock::wall_secs();
        if self.date.0 != now {
            self.date = (now, http_date(now.max(0) as u64));
        }
        self.date.1
    }
}

/// RFC 9112 §2.2: old clients send an empty line behind a body. It begins no request.
pub(in crate::worker) fn is_empty_line(bytes: &[u8]) -> bool {
    b"\r\n".starts_with(bytes)
}

impl Core {
    /// Goes on with a connection that has bytes or room for some, is new, or has more than one request in its buffer.
    /// `true`: there is a request to run; the connection is in `self.current`.
    pub(in crate::worker) fn read_http(&mut self, conn: Conn) -> bool {
        if conn.waits == Waits::Body { self.read_body(conn) } else { self.read_head(conn) }
    }

    fn read_head(&mut self, mut conn: Conn) -> bool {
        loop {
            match self.look_at(&mut conn) {
                Ok(Some(length)) => return self.take_http(conn, length),
                Ok(None) => {}
                Err(_) if self.is_misplaced(&conn) => return self.shared.turn_away(conn, 400, TLS_HERE),
                Err(reject) => return self.reject(conn, &reject),
            }
            self.http.make_room(&mut conn.buf);
            let Some(client) = &mut conn.client else { return false };
            let result = match conn.awaits_proxy {
                false => client.recv(&mut conn.buf, READ_CHUNK),
                true => client.recv_raw(&mut conn.buf, READ_CHUNK),
            };
            match result {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !conn.buf.is_empty() {
                        conn.heard_us = clock::monotonic_us();
                    }
                    self.http.cut(&mut conn.buf);
                    self.keep(conn);
                    return false;
                }
                // Closed, or broken: nobody is there to be told, or TLS has told it.
                Ok(0) | Err(_) => {
                    if client.failure().is_some() {
                        return self.tls_failed(conn);
                    }
                    self.http.spare(std::mem::take(&mut conn.buf));
                    self.shared.forget(&conn);
                    return false;
                }
            }
        }
    }

    /// Looks at what has come. Returns the length of the head when it is whole.
    #[inline]
    fn look_at(&mut self, conn: &mut Conn) -> Result<Option<usize>, Reject> {
        if conn.awaits_proxy && !conn.buf.is_empty() && self.take_proxy_header(conn)? {
            conn.client.iter_mut().for_each(|client| client.push_back(&mut conn.buf));
        }
        if conn.awaits_proxy || conn.buf.is_empty() {
            return Ok(None);
        }
        let length = head::parse(&conn.buf, &self.http.limits, &mut conn.progress, &mut self.http.head)?;
        if length.is_none() && conn.waits == Waits::Idle && !is_empty_line(&conn.buf) {
            conn.waits = Waits::Head;
            conn.since_us = clock::monotonic_us();
        }
        Ok(length)
    }

    /// Does a TLS client speak on a socket without TLS?
    fn is_misplaced(&self, conn: &Conn) -> bool {
        let is_tls = conn.client.as_ref().is_some_and(Client::is_tls);
        conn.buf.first() == Some(&tls::HANDSHAKE) && !is_tls && !conn.awaits_proxy
    }

    pub(in crate::worker) fn reject(&mut self, conn: Conn, reject: &Reject) -> bool {
        let option = match reject.status {
            414 => "; see http-request-line",
            431 => "; see buffer-size and http-headers",
            _ => "",
        };
        let text = format!("{} ({}){option}", reject.reason, reject.clause);
        self.shared.turn_away(conn, reject.status, &text)
    }

    /// The head in `conn.buf[..length]` is whole.
    fn take_http(&mut self, mut conn: Conn, length: usize) -> bool {
        conn.requests += 1;
        let request = HttpRequest::new(&conn.buf, &self.http.head);
        let framing = match framing::decide(&request) {
            Ok(framing) => framing,
            Err(reject) => return self.reject(conn, &reject),
        };
        if framing.websocket && !self.shared.settings.http.ignore_upgrade {
            let reject =
                Reject::new(501, "WebSocket is not spoken here; see http-ignore-upgrade", "RFC 6455 §4.4");
            return self.reject(conn, &reject);
        }
        if let Some(canned) = self.canned_answer(&conn, &request) {
            return self.send_canned(conn, length, framing, canned);
        }
        let limit = self.shared.settings.requests.limit_post;
        let memory = self.reads_ahead().then_some(self.shared.settings.http.body_memory);
        if let Body::Length(body) = framing.body
            && let Some((option, most)) = self.exceeded(body, memory, framing.expect_continue)
        {
            let text = format!("a body of {body} bytes is more than {option} = {most} allows");
            return self.shared.turn_away(conn, 413, &text);
        }
        let mut exchange = self.exchange.lock();
        let rest = &conn.buf[length..];
        let used = match framing.body {
            Body::None => exchange.body.begin_sized(0, rest),
            Body::Length(body) => exchange.body.begin_sized(body, rest),
            Body::Chunked => {
                exchange.body.begin_chunked(limit, rest);
                rest.len()
            }
        };
        drop(exchange);
        if framing.body != Body::None && self.reads_ahead() {
            return self.begin_upload(conn, length, used, framing);
        }
        self.run_http(conn, length, used, framing)
    }

    /// The limit that a body of this length is over. `memory`: how much of it may stay there when it is read ahead.
    pub(in crate::worker) fn exceeded(
        &self,
        length: u64,
        memory: Option<usize>,
        asks_first: bool,
    ) -> Option<(&'static str, u64)> {
        let settings = &self.shared.settings;
        let goes_to_file = memory.is_some_and(|memory| length > memory as u64);
        let limits = [
            ("limit-post", Some(settings.requests.limit_post)),
            ("post-buffering-limit", Some(settings.requests.post_buffering_limit).filter(|_| goes_to_file)),
            ("http-manage-expect", settings.http.expect_limit.filter(|_| asks_first)),
        ];
        let mut known = limits.into_iter().filter_map(|(option, limit)| Some((option, limit?)));
        known.find(|&(_, limit)| limit > 0 && length > limit)
    }

    /// May the connection carry another request?
    pub(in crate::worker) fn may_stay(&self, conn: &Conn, framing: Framing) -> bool {
        let http = &self.shared.settings.http;
        let another = http.requests == 0 || conn.requests < http.requests;
        framing.keep_alive
            && another
            && http.idle_timeout.is_some()
            && self.shared.keeps_connections(conn.client.as_ref().is_some_and(Client::is_tls))
    }

    /// Takes the first bytes off a connection's buffer; an empty one is the core's again.
    pub(in crate::worker) fn take_off(&mut self, conn: &mut Conn, count: usize) {
        conn.buf.drain(..count);
        if conn.buf.is_empty() {
            self.http.spare = std::mem::take(&mut conn.buf);
        }
    }

    /// The request whose head is parsed and stands in `conn.buf[..length]` can be run; its body is the exchange's, and
    /// `used` bytes of it stand behind the head. Makes variables of the head and begins the exchange.
    pub(in crate::worker) fn run_http(
        &mut self,
        mut conn: Conn,
        length: usize,
        used: usize,
        framing: Framing,
    ) -> bool {
        let request = HttpRequest::new(&conn.buf, &self.http.head);
        let (minor, is_head) = (request.minor(), request.method() == b"HEAD");
        let decoded = self.decoded_length(framing.body);
        let is_tls = conn.client.as_ref().is_some_and(Client::is_tls);
        if !self.make_vars(&mut conn, decoded) {
            return self.reject(conn, &Reject::new(431, "the headers are too long together", "RFC 6585 §5"));
        }
        // Not a front end of uwsgi, whose variables are its own: these are headers that anybody may have sent.
        self.request.trusted = false;
        let settings = self.shared.settings.clone();
        let http = &settings.http;
        let told = conn.trusted.then(|| forwarded::apply(&mut self.request, http)).flatten();
        self.request.told_scheme = told.or(is_tls.then_some(b"https"));
        self.choose_app();
        let Some(client) = conn.client.take() else { return false };
        let keep_alive = self.may_stay(&conn, framing);
        let (room, timeout) = (self.room(), http.timeout);
        let speaks = Speaks::Http { minor, keep_alive, date: self.http.date() };
        let mut exchange = self.exchange.lock();
        exchange.begin(client, speaks, Limits { room, timeout }, b"HTTP/1.1", is_head);
        if framing.expect_continue {
            exchange.expect_continue();
        }
        drop(exchange);
        self.take_off(&mut conn, length + used);
        self.current = Some(conn);
        self.start()
    }

    /// The length of a chunked body that is here as a whole.
    fn decoded_length(&self, body: Body) -> Option<u64> {
        if body != Body::Chunked {
            return None;
        }
        let exchange = self.lock();
        exchange.body.is_seekable().then(|| exchange.body.buffered_len())
    }

    /// The head as a block of variables, as if a front end had sent it. `false`: it does not fit one.
    fn make_vars(&mut self, conn: &mut Conn, decoded_length: Option<u64>) -> bool {
        let http = &mut self.http;
        let request = HttpRequest::new(&conn.buf, &http.head);
        http.remote.set(conn.peer);
        let listener = &self.shared.listeners[conn.listener];
        let connection = Connection {
            script_name: b"",
            server_name: &http.host_name,
            server_port: listener.port.as_bytes(),
            remote_addr: &http.remote.address,
            remote_port: &http.remote.port,
            https: false,
        };
        let text = &mut self.request.text;
        text.clear();
        text.extend_from_slice(&[0; uwsgi::HEAD_LEN]);
        let mut fits = true;
        let keep_underscores = self.shared.settings.http.keep_underscores;
        let options = Options { decoded_length, keep_underscores };
        environ::for_each(&request, &connection, options, &mut http.scratch, |name, value| {
            fits &= push_var(text, name, value).is_ok();
        });
        for (name, value) in conn.client.as_mut().and_then(Client::variables).unwrap_or_default() {
            fits &= push_var(text, name.as_bytes(), value).is_ok();
        }
        let end = self.request.text.len();
        fits && self.request.index(end, usize::MAX).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_follows_the_peer() {
        let mut remote = Remote::default();
        for peer in ["192.0.2.1:80", "192.0.2.1:65535", "[2001:db8::1]:1", "192.0.2.1:9"] {
            let peer: SocketAddr = peer.parse().unwrap();
            remote.set(Some(peer));
            assert_eq!(remote.address, peer.ip().to_string().into_bytes());
            assert_eq!(remote.port, peer.port().to_string().into_bytes());
        }
        remote.set(None);
        assert!(remote.address.is_empty() && remote.port.is_empty());
    }
}

//! Answers that the server gives by itself to requests that are whole and sound: probes of balancers, and the way to https.

use crate::config::Settings;
use crate::net::client::Client;
use crate::proto::http::status::Plain;
use crate::proto::http::{Body, Framing, Request};
use crate::shm::scoreboard::Stage;
use crate::sys::socket;
use crate::worker::Shared;
use crate::worker::conns::Conn;
use crate::worker::core::Core;
use std::os::fd::AsFd;

/// What is answered.
pub(in crate::worker) struct Canned {
    code: u16,
    text: &'static str,
    /// Header lines of its canned.
    headers: Vec<u8>,
    head_only: bool,
}

/// The header lines that every answer of the server's own carries (`add-header`, `http-server-header`).
pub(in crate::worker) fn common_headers(settings: &Settings) -> Vec<u8> {
    // What such an answer says for itself.
    const ITS_OWN: [&str; 5] = ["content-type", "content-length", "transfer-encoding", "connection", "date"];
    let added = settings.requests.add_headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let server = settings.http.server.iter().map(|name| ("Server", name.as_str()));
    let mut lines = String::new();
    for (name, value) in added.chain(server) {
        if !ITS_OWN.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
            lines.extend([name, ": ", value, "\r\n"]);
        }
    }
    lines.into_bytes()
}

impl Core {
    /// The answer to a request that no application is to see.
    #[inline]
    pub(in crate::worker) fn canned_answer(&self, conn: &Conn, request: &Request) -> Option<Canned> {
        let http = &self.shared.settings.http;
        let to_https = self.shared.listeners[conn.listener].to_https;
        if to_https.is_none() && http.livez.is_none() && http.readyz.is_none() {
            return None;
        }
        let head_only = request.method() == b"HEAD";
        if let Some(port) = to_https {
            let headers = self.location(request, port);
            return Some(Canned { code: 301, text: "", headers, head_only });
        }
        let asks =
            |path: &Option<String>| path.as_ref().is_some_and(|path| path.as_bytes() == request.path());
        let found = match request.method() {
            b"GET" | b"HEAD" if asks(&http.livez) => Ok("ok"),
            b"GET" | b"HEAD" if asks(&http.readyz) => self.readiness(),
            _ => return None,
        };
        let (code, text) = found.map_or_else(|why| (503, why), |text| (200, text));
        Some(Canned { code, text, headers: b"Cache-Control: no-store\r\n".to_vec(), head_only })
    }

    fn location(&self, request: &Request, port: u16) -> Vec<u8> {
        let host = match without_port(request.host()) {
            b"" => self.http.host_name(),
            host => host,
        };
        let mut line = [b"Location: https://", host].concat();
        if port != 443 {
            line.extend_from_slice(format!(":{port}").as_bytes());
        }
        if !request.path().starts_with(b"/") {
            line.push(b'/');
        }
        if request.path() != b"*" {
            line.extend_from_slice(request.path());
        }
        if !request.query().is_empty() {
            line.push(b'?');
            line.extend_from_slice(request.query());
        }
        line.extend_from_slice(b"\r\n");
        line
    }

    /// May a balancer send requests here?
    fn readiness(&self) -> Result<&'static str, &'static str> {
        let shared = &self.shared;
        let settings = &shared.settings;
        if self.mounts.is_empty() && !settings.apps.dynamic_apps && !settings.serves_files_only() {
            return Err("no application is loaded");
        }
        if !shared.somebody_serves() {
            return Err("stopping");
        }
        if shared.is_backlog_long() { Err("busy") } else { Ok("ok") }
    }

    /// Sends it, and goes on with the connection unless the request has a body that nobody is going to read.
    pub(in crate::worker) fn send_canned(
        &mut self,
        mut conn: Conn,
        length: usize,
        framing: Framing,
        canned: Canned,
    ) -> bool {
        let keep_alive = framing.body == Body::None && self.may_stay(&conn, framing);
        let headers = [canned.headers.as_slice(), &self.shared.server_headers].concat();
        let (date, mut out) = (self.http.date(), Vec::with_capacity(512));
        let Canned { code, text, head_only, .. } = canned;
        Plain { code, text, headers: &headers, date: date.as_ref(), keep_alive, head_only }.push_to(&mut out);
        let is_sent = |client: &mut Client| {
            client.send(&out).is_ok_and(|sent| sent == out.len()) && !client.has_pending_output()
        };
        if conn.client.as_mut().is_some_and(is_sent) && keep_alive {
            self.take_off(&mut conn, length);
            self.next_request(conn);
        } else {
            self.shared.close_gracefully(conn);
        }
        false
    }
}

impl Shared {
    /// Is there a worker that takes requests? This one may be on its way out while its successors serve.
    fn somebody_serves(&self) -> bool {
        (0..self.scoreboard.slots())
            .map(|slot| self.scoreboard.worker(slot))
            .any(|worker| worker.stage() == Stage::Ready && worker.command().serves())
    }

    /// Does more than half of what a backlog can hold wait in it?
    fn is_backlog_long(&self) -> bool {
        let queues = self.listeners.iter().filter_map(|listener| socket::backlog(listener.fd.as_fd()));
        queues.into_iter().any(|queue| queue.waiting > queue.most / 2)
    }
}

/// A host without its port.
fn without_port(host: &[u8]) -> &[u8] {
    let end = match host {
        // An IPv6 address has colons of its canned.
        [b'[', ..] => host.iter().position(|&byte| byte == b']').map(|at| at + 1),
        _ => host.iter().position(|&byte| byte == b':'),
    };
    &host[..end.unwrap_or(host.len())]
}

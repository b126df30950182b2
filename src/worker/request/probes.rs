//! What the server answers to requests that are whole and sound before files and applications see them: probes of
//! balancers, and where a socket is only there to send clients to https.

use super::Head;
use super::canned::Canned;
use crate::config::{Http, Settings};
use crate::shm::scoreboard::Stage;
use crate::sys::socket;
use crate::worker::core::Core;
use crate::worker::shared::Shared;
use std::borrow::Cow;
use std::os::fd::AsFd;

/// Why a server should get no requests, if so.
pub type Readiness = Result<(), &'static str>;

/// The header lines that every answer of the server's own carries (`add-header`, `http-server-header`).
pub fn common_headers(settings: &Settings) -> Vec<u8> {
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

/// The answer to a probe, if the request is one.
#[inline]
pub fn answer(http: &Http, head: &impl Head, is_ready: impl FnOnce() -> Readiness) -> Option<Canned> {
    if http.livez.is_none() && http.readyz.is_none() {
        return None;
    }
    let asks = |path: &Option<String>| path.as_ref().is_some_and(|path| path.as_bytes() == head.path());
    let found = match head.method() {
        b"GET" | b"HEAD" if asks(&http.livez) => Ok(()),
        b"GET" | b"HEAD" if asks(&http.readyz) => is_ready(),
        _ => return None,
    };
    let (code, text) = found.map_or_else(|why| (503, why), |()| (200, "ok"));
    let headers = Cow::Borrowed(&b"Cache-Control: no-store\r\n"[..]);
    Some(Canned { code, text, headers, head_only: head.method() == b"HEAD" })
}

/// Sends a client to the same place at the https port. `host_name`: for clients that name no host.
pub fn redirect(head: &impl Head, host_name: &[u8], port: u16) -> Canned {
    let host = match without_port(head.host()) {
        b"" => host_name,
        host => host,
    };
    let mut line = [b"Location: https://", host].concat();
    if port != 443 {
        line.extend_from_slice(format!(":{port}").as_bytes());
    }
    if !head.path().starts_with(b"/") {
        line.push(b'/');
    }
    if head.path() != b"*" {
        line.extend_from_slice(head.path());
    }
    if !head.query().is_empty() {
        line.push(b'?');
        line.extend_from_slice(head.query());
    }
    line.extend_from_slice(b"\r\n");
    Canned { headers: line.into(), head_only: head.method() == b"HEAD", ..Canned::status(301) }
}

/// May a balancer send requests here?
pub fn readiness(core: &Core) -> Readiness {
    let settings = &core.shared.context.settings;
    if core.shared.mounts.is_empty() && !settings.apps.dynamic_apps && !settings.serves_files_only() {
        return Err("no application is loaded");
    }
    if !somebody_serves(&core.shared) {
        return Err("stopping");
    }
    if is_backlog_long(&core.shared) { Err("busy") } else { Ok(()) }
}

/// Is there a worker that takes requests? This one may be on its way out while its successors serve.
fn somebody_serves(shared: &Shared) -> bool {
    (0..shared.context.scoreboard.slots())
        .map(|slot| shared.context.scoreboard.worker(slot))
        .any(|worker| worker.stage() == Stage::Ready && worker.command().serves())
}

/// Does more than half of what a backlog can hold wait in it?
fn is_backlog_long(shared: &Shared) -> bool {
    let queues = shared.context.listeners.iter().filter_map(|listener| socket::backlog(listener.fd.as_fd()));
    queues.into_iter().any(|queue| queue.waiting > queue.most / 2)
}

/// A host without its port.
fn without_port(host: &[u8]) -> &[u8] {
    let end = match host {
        // An IPv6 address has colons of its own.
        [b'[', ..] => host.iter().position(|&byte| byte == b']').map(|at| at + 1),
        _ => host.iter().position(|&byte| byte == b':'),
    };
    &host[..end.unwrap_or(host.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Asked(&'static str, &'static str, &'static str);

    impl Head for Asked {
        fn method(&self) -> &[u8] {
            self.0.as_bytes()
        }

        fn path(&self) -> &[u8] {
            self.1.as_bytes()
        }

        fn query(&self) -> &[u8] {
            b""
        }

        fn host(&self) -> &[u8] {
            self.2.as_bytes()
        }
    }

    fn probed(
        method: &'static str,
        path: &'static str,
        ready: Readiness,
    ) -> Option<(u16, &'static str, bool)> {
        let (livez, readyz) = (Some("/livez".to_owned()), Some("/readyz".to_owned()));
        let http = Http { livez, readyz, ..Settings::default().http };
        let canned = answer(&http, &Asked(method, path, ""), || ready)?;
        Some((canned.code, canned.text, canned.head_only))
    }

    #[test]
    fn a_probe_is_a_method_and_a_path() {
        assert_eq!(probed("GET", "/livez", Err("no matter")), Some((200, "ok", false)));
        assert_eq!(probed("HEAD", "/readyz", Ok(())), Some((200, "ok", true)));
        assert_eq!(probed("GET", "/readyz", Err("busy")), Some((503, "busy", false)));
        for (method, path) in [("POST", "/livez"), ("GET", "/livez/"), ("GET", "/"), ("", "")] {
            assert_eq!(probed(method, path, Ok(())), None, "{method} {path}");
        }
    }

    #[test]
    fn nothing_is_a_probe_unless_asked_for() {
        let http = Settings::default().http;
        assert_eq!(answer(&http, &Asked("GET", "/livez", ""), || panic!()), None);
    }

    #[test]
    fn the_way_to_https() {
        let location = |host: &'static str, path: &'static str, port: u16| {
            let canned = redirect(&Asked("GET", path, host), b"here", port);
            String::from_utf8(canned.headers.into_owned()).unwrap()
        };
        assert_eq!(location("a.example:80", "/x", 443), "Location: https://a.example/x\r\n");
        assert_eq!(location("[::1]:80", "/", 8443), "Location: https://[::1]:8443/\r\n");
        assert_eq!(location("", "*", 443), "Location: https://here/\r\n");
    }
}

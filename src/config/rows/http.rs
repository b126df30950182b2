//! HTTP sockets: what a client may cost, and whom to believe.

use super::Table;
use crate::config::http::{Http, Network};
use crate::config::row::{Arg::*, Row};
use crate::config::value::{flag, header, number, positive, put, seconds, some, text};
use crate::config::{Draft, Origin, ValueError};
use std::time::Duration;

pub const TABLE: Table = Table {
    theme: "HTTP",
    rows: &[
        Row::works(
            "http-headers-timeout",
            Seconds,
            |d, v, _| put(&mut d.settings.http.head_timeout, wait(v)),
            "seconds that the head of a request may take",
        )
        .default("15"),
        Row::works(
            "http-keepalive",
            Optional,
            keepalive,
            "seconds that a connection may wait for its next request; 0: close it behind each",
        )
        .default("75"),
        Row::works(
            "http-keepalive-requests",
            Number,
            |d, v, _| put(&mut d.settings.http.requests, number(v)),
            "requests after which a connection is closed; 0: any number",
        )
        .default("10000"),
        Row::works(
            "http-timeout",
            Seconds,
            |d, v, _| put(&mut d.settings.http.timeout, wait(v)),
            "seconds without a byte after which a client that sends a body or reads an answer is given up",
        )
        .default("60"),
        Row::works(
            "http-connections",
            Number,
            |d, v, _| put(&mut d.settings.http.connections, positive(v).map(Some)),
            "HTTP connections of each worker, others wait in the backlog; default 16384, or what the system allows",
        ),
        Row::works(
            "http-request-line",
            Number,
            |d, v, _| put(&mut d.settings.http.request_line, positive(v)),
            "bytes of a request line (414 beyond)",
        )
        .default("8190"),
        Row::works(
            "http-headers",
            Number,
            |d, v, _| put(&mut d.settings.http.headers, positive(v)),
            "headers of a request (431 beyond)",
        )
        .default("100"),
        Row::works(
            "http-stream-body",
            Flag,
            |d, v, _| put(&mut d.settings.http.stream_body, flag(v)),
            "run the application while the body still arrives",
        )
        .default("false"),
        Row::works(
            "forwarded-allow-ips",
            Required,
            |d, v, _| put(&mut d.settings.http.trusted, Network::parse_list(text(v)?)),
            "peers whose X-Forwarded-For, X-Forwarded-Proto, Forwarded and PROXY headers count: addresses, networks, *",
        )
        .default("127.0.0.0/8,::1"),
        Row::works(
            "forwarded-host",
            Flag,
            |d, v, _| put(&mut d.settings.http.trusts_host, flag(v)),
            "take the Host from the same peers' X-Forwarded-Host or Forwarded, too",
        )
        .default("false"),
        Row::works(
            "http-enable-proxy-protocol",
            Optional,
            |d, v, _| put(&mut d.settings.http.proxy_protocol, flag(v)),
            "the peers of forwarded-allow-ips begin each connection with a PROXY header, version 1 or 2",
        )
        .alias(&["enable-proxy-protocol"])
        .default("false"),
        Row::works("http-server-header", Required, server, "Server header of answers that have none"),
        Row::accepted(
            "http-auto-chunked",
            Flag,
            "chunked encoding for answers without a length",
            "such answers are chunked always",
        ),
        Row::accepted(
            "http-chunked-input",
            Flag,
            "accept chunked bodies",
            "chunked bodies are decoded always",
        ),
        Row::accepted(
            "http-manage-expect",
            Optional,
            "answer Expect: 100-continue",
            "it is answered always; the largest body is limit-post",
        ),
    ],
};

fn wait(value: Option<&str>) -> Result<Duration, ValueError> {
    match seconds(value)? {
        Duration::ZERO => Err(ValueError::new("0 would give up at once", "write seconds, such as 30")),
        time => Ok(time),
    }
}

/// As in uWSGI the value may be missing, and 1 only says yes.
fn keepalive(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let value = value.unwrap_or_default();
    let slot = &mut draft.settings.http.idle_timeout;
    if value == "0" || flag(Some(value)) == Ok(false) {
        *slot = None;
    } else if value.bytes().any(|byte| byte.is_ascii_digit()) && value != "1" {
        *slot = Some(seconds(Some(value))?).filter(|time| !time.is_zero());
    } else {
        *slot = Http::default().idle_timeout;
    }
    Ok(())
}

fn server(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let name = text(value)?;
    header(Some(&format!("Server: {name}")))?;
    put(&mut draft.settings.http.server, some(Some(name.trim())))
}

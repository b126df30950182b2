//! HTTP sockets: what a client may cost, and whom to believe.

use super::Table;
use crate::config::http::{Http, Network};
use crate::config::row::{Arg::*, Row};
use crate::config::value::{flag, header, is_flag, number, positive, put, seconds, size, some, text};
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
            "http-min-rate",
            Size,
            |d, v, _| put(&mut d.settings.http.min_rate, size(v)),
            "bytes a second that a client must send of a body, or read of an answer, on the average of all but the first \
             http-timeout seconds; 0: any number",
        )
        .default("256"),
        Row::works(
            "http-connections",
            Number,
            |d, v, _| put(&mut d.settings.http.connections, positive(v)),
            "HTTP connections of each worker, as far as the system allows; others wait in the backlog",
        )
        .default("16384"),
        Row::works(
            "http-request-memory",
            Size,
            request_memory,
            "bytes of memory that requests which have begun and not ended take together in each worker; beyond half of it \
             bodies go to files, beyond all of it those that have waited longest are answered 408; less than 1m is 1m",
        )
        .default("67108864"),
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
            "http-keep-underscores",
            Flag,
            |d, v, _| put(&mut d.settings.http.keep_underscores, flag(v)),
            "pass on headers whose names have underscores",
        )
        .default("false"),
        Row::works(
            "http-ignore-upgrade",
            Flag,
            |d, v, _| put(&mut d.settings.http.ignore_upgrade, flag(v)),
            "give WebSocket requests to the application like any others, instead of answering 501",
        )
        .default("false"),
        Row::works(
            "http-livez",
            Optional,
            |d, v, _| put(&mut d.settings.http.livez, path(v, "/livez")),
            "path that the server answers by itself with 200 while it lives; /livez without a value",
        ),
        Row::works(
            "http-readyz",
            Optional,
            |d, v, _| put(&mut d.settings.http.readyz, path(v, "/readyz")),
            "the same with 200 while it serves, or 503; /readyz without a value",
        ),
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
            "http-raw-body",
            Flag,
            "pass on whatever a client sends",
            "the application gets every byte of a body, chunked ones decoded",
        ),
        Row::works(
            "http-manage-expect",
            Optional,
            expect,
            "Expect: 100-continue is answered always; with a number: 413 for a larger body that asks",
        ),
    ],
};

fn wait(value: Option<&str>) -> Result<Duration, ValueError> {
    match seconds(value)? {
        Duration::ZERO => Err(ValueError::new("0 would give up at once", "write seconds, such as 30")),
        time => Ok(time),
    }
}

fn request_memory(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    // Several heads of the greatest length.
    put(&mut draft.settings.http.request_memory, size(value).map(|bytes: usize| bytes.max(1 << 20)))
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

/// A path to be answered; a word for yes stands for the usual one.
fn path(value: Option<&str>, usual: &str) -> Result<Option<String>, ValueError> {
    match value.unwrap_or_default() {
        word if is_flag(word) => Ok(flag(Some(word))?.then(|| usual.to_owned())),
        path if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(path.to_owned()))
        }
        other => Err(ValueError::new(format!("\"{other}\" is no path"), "write a path such as /health")),
    }
}

/// As in uWSGI 1 only says yes.
fn expect(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let limit = if is_flag(value.unwrap_or_default()) { None } else { Some(size::<u64>(value)?) };
    put(&mut draft.settings.http.expect_limit, Ok(limit.filter(|&limit| limit > 1)))
}

fn server(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let name = text(value)?;
    header(Some(&format!("Server: {name}")))?;
    put(&mut draft.settings.http.server, some(Some(name.trim())))
}

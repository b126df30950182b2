//! What a request may be, and how it is taken in.

use super::Table;
use crate::config::row::{Arg::*, Row};
use crate::config::value::{flag, header, positive, put, seconds, size};
use crate::config::{Draft, Origin, ValueError};

pub const TABLE: Table = Table {
    theme: "Requests",
    rows: &[
        Row::works("buffer-size", Size, buffer_size, "bytes of a request's head; more than 65535 is 65535")
            .short('b')
            .default("65535"),
        Row::works("max-vars", Number, max_vars, "half the variables that a request may have, as in uWSGI")
            .short('v')
            .default("500"),
        Row::works(
            "post-buffering",
            Size,
            post_buffering,
            "read a body before the application runs: up to so many bytes in memory, more in a file; default 0 (no), 64k on HTTP sockets",
        ),
        Row::works(
            "post-buffering-limit",
            Size,
            |d, v, _| put(&mut d.settings.requests.post_buffering_limit, size(v)),
            "bytes of a body that may go to such a file (413 beyond); 0: no limit",
        )
        .default("1073741824"),
        Row::works(
            "response-headers-limit",
            Size,
            response_headers,
            "bytes of the headers that the application may give an answer (500 beyond); less than 1024 is 1024",
        )
        .default("65536"),
        Row::works(
            "limit-post",
            Size,
            |d, v, _| put(&mut d.settings.requests.limit_post, size(v)),
            "largest body in bytes; 0: no limit",
        )
        .default("0"),
        Row::works("add-header", Required, add_header, "put a header into each answer: Name: value").many(),
        client("ignore-sigpipe", "log nothing when a client has gone"),
        client("ignore-write-errors", "log nothing when a client cannot be written to"),
        Row::works(
            "disable-write-exception",
            Flag,
            |d, v, _| put(&mut d.settings.requests.disable_write_exception, flag(v)),
            "no exception in the application when a client has gone",
        ),
        client("write-errors-exception-only", "only an exception in the application when a client has gone"),
        Row {
            arg: Number,
            ..client("write-errors-tolerance", "errors of a client that are tolerated")
        },
        Row::works("socket-timeout", Seconds, socket_timeout, "seconds to wait for the peer")
            .short('z')
            .default("4"),
    ],
};

/// The size of a uwsgi packet is a 16-bit number.
const MAX_HEAD: u64 = 65535;

fn buffer_size(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let bytes: u64 = size(value)?;
    if bytes == 0 {
        return Err(ValueError::new("no request fits into 0 bytes", "write bytes, such as 65535"));
    }
    // Fits: it is at most 65535.
    draft.settings.requests.buffer_size = bytes.min(MAX_HEAD) as usize;
    Ok(())
}

fn post_buffering(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    put(&mut draft.settings.requests.post_buffering, size(value))?;
    draft.settings.http.body_memory = draft.settings.requests.post_buffering;
    Ok(())
}

fn response_headers(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    // The server's own answers have to fit.
    put(&mut draft.settings.requests.response_headers_limit, size(value).map(|bytes: usize| bytes.max(1024)))
}

/// uWSGI holds twice as many variables as this option says.
fn max_vars(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let count: u32 = positive(value)?;
    draft.settings.requests.max_vars = (count as usize).saturating_mul(2);
    Ok(())
}

fn socket_timeout(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let time = seconds(value)?;
    if time.is_zero() {
        return Err(ValueError::new("0 would give up at once", "write seconds, such as 30"));
    }
    draft.settings.requests.socket_timeout = time;
    Ok(())
}

fn add_header(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    draft.settings.requests.add_headers.push(header(value)?);
    Ok(())
}

const fn client(name: &'static str, help: &'static str) -> Row {
    Row::accepted(name, Flag, help, "a client that goes away is a counter and a mark in the access log")
}

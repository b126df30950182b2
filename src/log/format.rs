//! The request log line, as uWSGI writes it.

use crate::base::bytes::push_decimal;
use std::io::Write;

/// What a line contains about one request.
pub struct Entry<'a> {
    pub pid: i32,
    /// Index of the app that answered; `None` when none did.
    pub app: Option<usize>,
    /// Requests of this worker's app, and of the whole instance.
    pub requests: u64,
    pub total: u64,
    pub addr: &'a [u8],
    pub user: &'a [u8],
    pub vars: usize,
    pub vars_bytes: usize,
    pub date: &'a str,
    pub method: &'a [u8],
    pub uri: &'a [u8],
    pub body_bytes: u64,
    pub micros: u64,
    /// Print microseconds rather than milliseconds (`log-micros`).
    pub in_micros: bool,
    pub by_sendfile: bool,
    pub protocol: &'a [u8],
    pub status: u16,
    pub headers: u32,
    pub head_bytes: u64,
    pub core: usize,
    /// Its X-Request-ID and its trace, where they are to be logged; empty otherwise.
    pub request_id: &'a [u8],
    pub trace_id: &'a [u8],
}

/// Control characters and what is not ASCII are escaped: a client must not be able to forge a line.
fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    if text.iter().all(|c| (0x20..0x7f).contains(c) && *c != b'\\') {
        out.extend_from_slice(text);
    } else {
        out.extend(text.escape_ascii());
    }
}

/// Appends the line, newline included.
pub fn push(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let text = |out: &mut Vec<u8>, part: &str| out.extend_from_slice(part.as_bytes());
    text(out, "[pid: ");
    push_decimal(out, entry.pid as u64);
    text(out, "|app: ");
    match entry.app {
        Some(app) => push_decimal(out, app as u64),
        None => text(out, "-1"),
    }
    text(out, "|req: ");
    push_decimal(out, entry.requests);
    out.push(b'/');
    push_decimal(out, entry.total);
    text(out, "] ");
    push_text(out, entry.addr);
    text(out, " (");
    push_text(out, entry.user);
    text(out, ") {");
    push_decimal(out, 2 * entry.vars as u64);
    text(out, " vars in ");
    push_decimal(out, entry.vars_bytes as u64);
    text(out, " bytes} [");
    text(out, entry.date);
    text(out, "] ");
    push_text(out, entry.method);
    out.push(b' ');
    push_text(out, entry.uri);
    text(out, " => generated ");
    push_decimal(out, entry.body_bytes);
    text(out, " bytes in ");
    push_decimal(out, if entry.in_micros { entry.micros } else { entry.micros / 1000 });
    text(out, if entry.in_micros { " micros" } else { " msecs" });
    text(out, if entry.by_sendfile { " via sendfile() (" } else { " (" });
    push_text(out, entry.protocol);
    out.push(b' ');
    push_decimal(out, entry.status.into());
    text(out, ") ");
    push_decimal(out, entry.headers.into());
    text(out, " headers in ");
    push_decimal(out, entry.head_bytes);
    text(out, " bytes (1 switches on core ");
    push_decimal(out, entry.core as u64);
    out.push(b')');
    for (name, id) in [(" id ", entry.request_id), (" trace ", entry.trace_id)] {
        if !id.is_empty() {
            text(out, name);
            push_text(out, id);
        }
    }
    out.push(b'\n');
}

/// A line that cannot be written whole into a buffer's room would be lost; nothing a client sends is that long after
/// this cut.
pub fn cut(line: &mut Vec<u8>, most: usize) {
    if line.len() > most {
        line.truncate(most - 4);
        let _ = line.write_all(b"...\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry<'static> {
        Entry {
            pid: 1234,
            app: Some(0),
            requests: 1,
            total: 2,
            addr: b"127.0.0.1",
            user: b"",
            vars: 14,
            vars_bytes: 300,
            date: "Fri Nov 20 09:50:01 2026",
            method: b"GET",
            uri: b"/x?y=1",
            body_bytes: 12,
            micros: 3456,
            in_micros: false,
            by_sendfile: false,
            protocol: b"HTTP/1.1",
            status: 200,
            headers: 2,
            head_bytes: 79,
            core: 0,
            request_id: b"",
            trace_id: b"",
        }
    }

    #[test]
    fn the_line_is_uwsgis() {
        let mut out = Vec::new();
        push(&mut out, &entry());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "[pid: 1234|app: 0|req: 1/2] 127.0.0.1 () {28 vars in 300 bytes} [Fri Nov 20 09:50:01 2026] GET /x?y=1 => \
             generated 12 bytes in 3 msecs (HTTP/1.1 200) 2 headers in 79 bytes (1 switches on core 0)\n"
        );
    }

    #[test]
    fn ids_stand_at_the_end() {
        let mut out = Vec::new();
        push(&mut out, &Entry { request_id: b"4f1c", trace_id: b"0af7", ..entry() });
        assert!(out.ends_with(b" (1 switches on core 0) id 4f1c trace 0af7\n"), "{}", out.escape_ascii());
    }

    #[test]
    fn a_client_cannot_forge_a_line() {
        let mut out = Vec::new();
        push(&mut out, &Entry { uri: b"/a\n[pid: 1|app", user: b"\x1b[2J", ..entry() });
        assert_eq!(out.iter().filter(|&&c| c == b'\n').count(), 1);
        assert!(!out.contains(&0x1b));
    }
}

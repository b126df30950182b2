//! A request as CGI variables (RFC 3875, PEP 3333), in uWSGI's order.
//!
//! Where uWSGI's `http-socket` differs: it collapses `/./` and `/../` in PATH_INFO, here escapes are decoded and
//! nothing else is touched; it passes names with underscores, here they are dropped unless asked for; it joins every
//! repeated header with `, `, here Cookie is joined with `; ` (RFC 9113 §8.2.3) and what is a single value never gets
//! so far ([`super::singletons`]).

use super::chars::cgi_byte;
use super::head::Header;
use super::names::{self, CONTENT_LENGTH, COOKIE, HOST, Id, TRANSFER_ENCODING, UNDERSCORED};
use super::{Request, target};
use crate::base::bytes::push_decimal;

/// What the connection adds to a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connection<'a> {
    /// The mount point; empty for the root.
    pub script_name: &'a [u8],
    pub server_name: &'a [u8],
    pub server_port: &'a [u8],
    pub remote_addr: &'a [u8],
    /// Empty on a unix socket: then REMOTE_PORT is left out.
    pub remote_port: &'a [u8],
    pub https: bool,
}

/// How variables are made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Keep header names with underscores, but for those that CGI could not tell from a well-known header.
    pub keep_underscores: bool,
    /// The length of a chunked body that was received whole: it is passed on as CONTENT_LENGTH, and the coding, which
    /// was removed, is not.
    pub decoded_length: Option<u64>,
}

/// Calls `visit` with each variable's name and value. `scratch` is a buffer to be reused: what has to be written anew
/// stands there, all else is a slice of the request or static.
#[inline]
pub fn for_each(
    request: &Request,
    connection: &Connection,
    options: Options,
    scratch: &mut Vec<u8>,
    mut visit: impl FnMut(&[u8], &[u8]),
) {
    let (target, headers) = (&request.head.target, &request.head.headers);
    visit(b"REQUEST_METHOD", request.method());
    visit(b"REQUEST_URI", request.target());
    visit(b"PATH_INFO", path_info(request, scratch));
    visit(b"QUERY_STRING", request.query());
    visit(b"SERVER_PROTOCOL", if request.minor() == 0 { b"HTTP/1.0" } else { b"HTTP/1.1" });
    visit(b"SCRIPT_NAME", connection.script_name);
    visit(b"SERVER_NAME", connection.server_name);
    visit(b"SERVER_PORT", connection.server_port);
    visit(b"REMOTE_ADDR", connection.remote_addr);
    if !connection.remote_port.is_empty() {
        visit(b"REMOTE_PORT", connection.remote_port);
    }
    if connection.https {
        visit(b"HTTPS", b"on");
    }
    if let Some(length) = options.decoded_length {
        scratch.clear();
        push_decimal(scratch, length);
        visit(b"CONTENT_LENGTH", scratch);
    }
    let authority = target.authority.of(request.buf);
    if !authority.is_empty() {
        // RFC 9112 §3.2.2: an absolute-form target's authority replaces the Host.
        visit(b"HTTP_HOST", authority);
    }
    let fields = Fields { request, options, has_authority: !authority.is_empty() };
    if headers.is_repeated() || headers.underscored {
        fields.visit_merged(scratch, &mut visit);
    } else {
        fields.visit_plain(scratch, &mut visit);
    }
}

#[inline]
fn path_info<'a>(request: &Request<'a>, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let path = request.path();
    if path.is_empty() {
        // RFC 9110 §4.2.3: in an http URI, an empty path is the same as "/".
        return b"/";
    }
    if !request.head.target.escaped {
        return path;
    }
    scratch.clear();
    target::decode(path, scratch);
    scratch
}

struct Fields<'r, 'a> {
    request: &'r Request<'a>,
    options: Options,
    has_authority: bool,
}

impl Fields<'_, '_> {
    /// No name is repeated and none has an underscore: nearly every request.
    #[inline]
    fn visit_plain(&self, scratch: &mut Vec<u8>, visit: &mut impl FnMut(&[u8], &[u8])) {
        for (name, value, id) in self.request.fields() {
            if !self.is_shown(id) {
                continue;
            }
            match names::cgi_name(id) {
                Some(known) => visit(known, value),
                None => {
                    scratch.clear();
                    push_cgi_name(scratch, name);
                    visit(scratch, value);
                }
            }
        }
    }

    /// Joins repeated headers at the place of the first.
    #[cold]
    fn visit_merged(&self, scratch: &mut Vec<u8>, visit: &mut impl FnMut(&[u8], &[u8])) {
        let buf = self.request.buf;
        let list = self.request.head.headers.list.as_slice();
        for (at, header) in list.iter().enumerate() {
            let twin = |other: &&Header| {
                same_variable(header.name.of(buf), other.name.of(buf)) && self.is_kept(other)
            };
            if !self.is_kept(header) || list[..at].iter().any(|earlier| twin(&earlier)) {
                continue;
            }
            scratch.clear();
            match names::cgi_name(header.id) {
                Some(known) => scratch.extend_from_slice(known),
                None => push_cgi_name(scratch, header.name.of(buf)),
            }
            let name_len = scratch.len();
            scratch.extend_from_slice(header.value.of(buf));
            for again in list[at + 1..].iter().filter(twin) {
                // RFC 9110 §5.3; RFC 9113 §8.2.3 for Cookie.
                scratch.extend_from_slice(if header.id == COOKIE { b"; " } else { b", " });
                scratch.extend_from_slice(again.value.of(buf));
            }
            let (name, value) = scratch.split_at(name_len);
            visit(name, value);
        }
    }

    #[inline]
    fn is_shown(&self, id: Id) -> bool {
        match id {
            HOST => !self.has_authority,
            CONTENT_LENGTH | TRANSFER_ENCODING => self.options.decoded_length.is_none(),
            _ => true,
        }
    }

    fn is_kept(&self, header: &Header) -> bool {
        match header.id {
            UNDERSCORED => self.options.keep_underscores && !shadows_known(header.name.of(self.request.buf)),
            id => self.is_shown(id),
        }
    }
}

fn push_cgi_name(out: &mut Vec<u8>, name: &[u8]) {
    out.extend_from_slice(b"HTTP_");
    out.extend(name.iter().map(|&byte| cgi_byte(byte)));
}

fn same_variable(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| cgi_byte(a) == cgi_byte(b))
}

/// Whether an underscored name becomes the variable of a well-known header: `Content_Length`, `X_Forwarded_For`.
fn shadows_known(name: &[u8]) -> bool {
    let hyphened: Vec<u8> = name.iter().map(|&byte| if byte == b'_' { b'-' } else { byte }).collect();
    names::lookup(&hyphened).0 != names::OTHER
}

#[cfg(test)]
mod tests {
    use super::super::{Head, Limits, Progress, head};
    use super::*;

    fn variables(text: &str, options: Options) -> Vec<(String, String)> {
        let buf = text.as_bytes();
        let mut head = Head::default();
        assert!(head::parse(buf, &Limits::default(), &mut Progress::default(), &mut head).unwrap().is_some());
        let request = Request::new(buf, &head);
        let connection = Connection {
            server_name: b"here",
            server_port: b"80",
            remote_addr: b"::1",
            remote_port: b"9",
            ..Connection::default()
        };
        let mut all = Vec::new();
        for_each(&request, &connection, options, &mut Vec::new(), |name, value| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            all.push((text(name), text(value)));
        });
        all
    }

    fn headers(text: &str, options: Options) -> Vec<(String, String)> {
        variables(text, options).split_off(10)
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn the_order_is_uwsgis() {
        let all = variables(
            "GET /a%20b?c=%20 HTTP/1.1\r\nHost: h\r\nX-Odd~Name: 1\r\nContent-Type: t\r\n\r\n",
            Options::default(),
        );
        let expected = [
            ("REQUEST_METHOD", "GET"),
            ("REQUEST_URI", "/a%20b?c=%20"),
            ("PATH_INFO", "/a b"),
            ("QUERY_STRING", "c=%20"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("SCRIPT_NAME", ""),
            ("SERVER_NAME", "here"),
            ("SERVER_PORT", "80"),
            ("REMOTE_ADDR", "::1"),
            ("REMOTE_PORT", "9"),
            ("HTTP_HOST", "h"),
            ("HTTP_X_ODD~NAME", "1"),
            ("CONTENT_TYPE", "t"),
        ];
        assert_eq!(all, pairs(&expected));
    }

    #[test]
    fn repeated_headers_are_joined_where_the_first_stood() {
        let text = "GET / HTTP/1.1\r\nAccept: a\r\nHost: h\r\nCookie: x=1\r\nX-a: 1\r\naccept: b\r\nx-A: 2\r\nCookie: y=2\r\n\r\n";
        let expected =
            [("HTTP_ACCEPT", "a, b"), ("HTTP_HOST", "h"), ("HTTP_COOKIE", "x=1; y=2"), ("HTTP_X_A", "1, 2")];
        assert_eq!(headers(text, Options::default()), pairs(&expected));
    }

    #[test]
    fn underscores_are_dropped_unless_kept() {
        let text = "GET / HTTP/1.1\r\nHost: h\r\nX_Mine: 1\r\nContent_Length: 5\r\nX_Forwarded_For: evil\r\nX-Mine: 2\r\n\r\n";
        assert_eq!(headers(text, Options::default()), pairs(&[("HTTP_HOST", "h"), ("HTTP_X_MINE", "2")]));
        let keep = Options { keep_underscores: true, ..Options::default() };
        assert_eq!(headers(text, keep), pairs(&[("HTTP_HOST", "h"), ("HTTP_X_MINE", "1, 2")]));
    }

    #[test]
    fn an_absolute_target_names_the_host() {
        let text = "GET http://real:81?q HTTP/1.1\r\nHost: other\r\n\r\n";
        assert_eq!(headers(text, Options::default()), pairs(&[("HTTP_HOST", "real:81")]));
        assert_eq!(variables(text, Options::default())[2].1, "/");
    }

    #[test]
    fn a_decoded_body_has_a_length() {
        let text = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        let decoded = Options { decoded_length: Some(12), ..Options::default() };
        assert_eq!(headers(text, decoded), pairs(&[("CONTENT_LENGTH", "12"), ("HTTP_HOST", "h")]));
    }
}

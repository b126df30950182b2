//! The request target and its four forms (RFC 9112 §3.2), and the `host:port` that it shares with the Host field.

use super::chars::{DIGIT, HOST, IPV6, PATH, PERCENT, QUERY, class_of, span_of_class};
use super::{Reject, Span};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Target {
    pub whole: Span,
    pub path: Span,
    pub query: Span,
    /// Of an absolute-form target; empty in every other form.
    pub authority: Span,
    /// The path holds a percent sign.
    pub escaped: bool,
}

/// Parses the target that starts at `from` into `target`. It ends, where this returns, at the first byte that no target
/// can hold.
#[inline]
pub(super) fn parse(buf: &[u8], from: usize, method: &[u8], target: &mut Target) -> Result<usize, Reject> {
    if method == b"CONNECT" {
        // RFC 9110 §9.3.6: for proxies; "most origin servers do not implement CONNECT".
        return Err(Reject::new(501, "CONNECT is not implemented", "RFC 9110 §9.3.6"));
    }
    target.authority = Span::default();
    let path = match buf.get(from) {
        Some(b'/') => from,
        Some(b'*') if method == b"OPTIONS" => from,
        Some(b'*') => return Err(Reject::bad("the target * is for OPTIONS only", "RFC 9112 §3.2.4")),
        _ => absolute(buf, from, target)?,
    };
    let end = path_and_query(buf, path, target);
    target.whole = Span::new(from, end);
    if buf[from] == b'*' && end != from + 1 {
        return Err(NO_TARGET);
    }
    Ok(end)
}

#[inline]
fn path_and_query(buf: &[u8], start: usize, target: &mut Target) -> usize {
    let (path_end, seen) = span_of_class(buf, start, PATH);
    target.path = Span::new(start, path_end);
    target.escaped = seen & PERCENT != 0;
    let (query, end) = match buf.get(path_end) {
        Some(b'?') => (path_end + 1, span_of_class(buf, path_end + 1, QUERY).0),
        _ => (path_end, path_end),
    };
    target.query = Span::new(query, end);
    end
}

/// RFC 9112 §3.2.2: a server must accept the absolute form although only proxies should see it. Returns where its path
/// starts.
#[cold]
fn absolute(buf: &[u8], from: usize, target: &mut Target) -> Result<usize, Reject> {
    let rest = buf.get(from..).unwrap_or_default();
    let Some(scheme) = [&b"http://"[..], b"https://"].into_iter().find(|scheme| starts_with(rest, scheme))
    else {
        return Err(NO_TARGET);
    };
    let start = from + scheme.len();
    let length = buf[start..].iter().position(|byte| b"/? \r\n".contains(byte));
    let end = length.map_or(buf.len(), |length| start + length);
    let authority = &buf[start..end];
    // RFC 9110 §4.2.1 (an http URI with an empty host is invalid) and §4.2.4 (so is one with userinfo).
    if authority.first().is_none_or(|&byte| byte == b':') || !is_host_port(authority) {
        return Err(Reject::bad("the target's authority is not host:port", "RFC 9110 §4.2"));
    }
    target.authority = Span::new(start, end);
    Ok(end)
}

const NO_TARGET: Reject = Reject::bad("the target is neither a path nor an http URI", "RFC 9112 §3.2");

/// RFC 3986 §3.1: schemes are blind to case.
fn starts_with(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// `uri-host [":" port]` (RFC 9110 §7.2), which may be empty. Commas and percent signs are refused although RFC 3986
/// has them: no DNS name holds one, and a comma may be two Host fields that a proxy joined.
#[inline]
pub(super) fn is_host_port(bytes: &[u8]) -> bool {
    let port = match bytes.strip_prefix(b"[") {
        Some(literal) => {
            let (end, _) = span_of_class(literal, 0, IPV6);
            match literal.get(end) {
                Some(b']') if end > 1 => &literal[end + 1..],
                _ => return false,
            }
        }
        None => &bytes[span_of_class(bytes, 0, HOST).0..],
    };
    match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && span_of_class(digits, 0, DIGIT).0 == digits.len(),
        _ => false,
    }
}

/// Appends `path` with its escapes decoded (RFC 3986 §2.1). A percent sign that begins no escape stands for itself.
pub(super) fn decode(path: &[u8], out: &mut Vec<u8>) {
    let mut rest = path;
    while let [byte, tail @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => hex_pair(*high, *low),
            _ => None,
        };
        out.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() { &rest[3..] } else { tail };
    }
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    Some(super::chars::hex_value(high)? << 4 | super::chars::hex_value(low)?)
}

/// What is wrong with the byte at which a target ended, if it is not the space before the version.
#[cold]
pub(super) fn bad_end(byte: Option<&u8>) -> Reject {
    match byte {
        Some(b'#') => Reject::bad("the target has a fragment", "RFC 9112 §3.2"),
        Some(b'\r' | b'\n') => Reject::bad("the request line has no version", "RFC 9112 §3"),
        Some(&byte) if class_of(byte) & QUERY == 0 => {
            Reject::bad("the target holds a byte that no URI can", "RFC 3986 §2")
        }
        _ => Reject::bad("the target is not a URI", "RFC 9112 §3.2"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in ["", "a", "a.b-c_d", "a:80", "a:", "127.0.0.1:8000", "[::1]", "[::ffff:1.2.3.4]:443"] {
            assert!(is_host_port(good.as_bytes()), "{good}");
        }
        for bad in [
            "a b", "a,b", "a:b", "a:123456", "a@b", "a/b", "[::1", "[]", "[x]", "[::1]x", "a:80:80", "%41",
            "\u{e9}",
        ] {
            assert!(!is_host_port(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn escapes() {
        for (path, expected) in [
            ("/a%20b", &b"/a b"[..]),
            ("/%e4%BF", b"/\xe4\xbf"),
            ("/50%", b"/50%"),
            ("/%zz%4", b"/%zz%4"),
            ("/%%41", b"/%A"),
            ("/%2541", b"/%41"),
            ("/a/../b/./c//d", b"/a/../b/./c//d"),
        ] {
            let mut out = Vec::new();
            decode(path.as_bytes(), &mut out);
            assert_eq!(out, expected, "{path}");
        }
    }
}

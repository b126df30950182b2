//! Names of requests that go from server to server: `X-Request-ID`, and `traceparent` of W3C Trace Context.

use super::http::names::X_REQUEST_ID;
use super::http::{Head, Limits, Progress, Request, head};

/// The longest X-Request-ID that is taken over.
pub const MAX_REQUEST_ID: usize = 128;

/// The lengths of version 00: `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const TRACEPARENT: usize = 55;
const TRACE_ID: std::ops::Range<usize> = 3..35;
const PARENT_ID: std::ops::Range<usize> = 36..52;
const FLAGS: std::ops::Range<usize> = 53..55;

/// What may stand in log lines, headers and queries as it is. UUIDs, the ids of nginx, Heroku, Envoy and Kong, and base64
/// in both alphabets are such.
pub fn is_request_id(text: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:~+/=@#".contains(byte);
    (1..=MAX_REQUEST_ID).contains(&text.len()) && text.iter().all(is_plain)
}

/// The trace id of a `traceparent` header; `None`: it is not one (W3C Trace Context §3.2).
pub fn trace_id(traceparent: &[u8]) -> Option<&[u8]> {
    if traceparent.len() < TRACEPARENT {
        return None;
    }
    let (parent, rest) = traceparent.split_at(TRACEPARENT);
    let version = &parent[..2];
    // §3.2.4: a later version may have more behind a hyphen; ff is none.
    let has_end = rest.is_empty() || version != b"00" && rest[0] == b'-';
    let is_divided = [2, 35, 52].iter().all(|&at| parent[at] == b'-');
    let is_named = |id: &[u8]| is_hex(id) && id.iter().any(|&digit| digit != b'0');
    let is_valid = has_end
        && is_divided
        && is_hex(version)
        && version != b"ff"
        && is_named(&parent[TRACE_ID])
        && is_named(&parent[PARENT_ID])
        && is_hex(&parent[FLAGS]);
    is_valid.then(|| &parent[TRACE_ID])
}

/// §3.2.2: lowercase only.
fn is_hex(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A new request id: 32 digits, as nginx's `$request_id`.
pub fn new_request_id(random: [u8; 16]) -> [u8; 32] {
    let mut id = [0; 32];
    write_hex(&random, &mut id);
    id
}

/// The `traceparent` of a new trace, of which `percent` of 100 are marked as sampled. The choice goes by the last 8 bytes
/// of the trace id, as OpenTelemetry's TraceIdRatioBased sampler makes it.
pub fn new_traceparent(random: [u8; 24], percent: u8) -> [u8; TRACEPARENT] {
    let mut out = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let (trace, parent) = random.split_at(16);
    write_hex(trace, &mut out[TRACE_ID]);
    write_hex(parent, &mut out[PARENT_ID]);
    // An id of zeros is none.
    out[TRACE_ID.start] = out[TRACE_ID.start].max(b'1');
    out[PARENT_ID.start] = out[PARENT_ID.start].max(b'1');
    let lot = trace[8..].iter().fold(0u128, |sum, &byte| sum << 8 | u128::from(byte));
    if lot * 100 < u128::from(percent) << 64 {
        out[FLAGS.start + 1] = b'1';
    }
    out
}

fn write_hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
}

/// The X-Request-ID in the HTTP head at the beginning of `buf`, if there is a whole one. Parses it anew: for requests that
/// are refused.
pub fn request_id_of_head(buf: &[u8]) -> Option<Vec<u8>> {
    const ANY: usize = 1 << 20;
    let any = Limits { request_line: ANY, headers: ANY, head: ANY };
    let mut parsed = Head::default();
    head::parse(buf, &any, &mut Progress::default(), &mut parsed).ok()??;
    let mut ids = Request::new(buf, &parsed).fields().filter(|field| field.2 == X_REQUEST_ID);
    match (ids.next(), ids.next()) {
        (Some((_, value, _)), None) => Some(value.to_vec()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const TRACE: &[u8] = b"0af7651916cd43dd8448eb211c80319c";

    fn changed(at: usize, byte: u8) -> Vec<u8> {
        let mut text = PARENT.to_vec();
        text[at] = byte;
        text
    }

    #[test]
    fn a_traceparent_has_a_trace_id() {
        assert_eq!(trace_id(PARENT), Some(TRACE));
        // Flags that nobody knows yet.
        assert_eq!(trace_id(&changed(53, b'f')), Some(TRACE));
        // A later version, with and without more behind it.
        let later = changed(1, b'7');
        assert_eq!(trace_id(&later), Some(TRACE));
        assert_eq!(trace_id(&[&later[..], b"-more"].concat()), Some(TRACE));
    }

    #[test]
    fn what_is_no_traceparent_has_none() {
        let later = changed(1, b'7');
        for bad in [
            &b""[..],
            b"00",
            &PARENT[..54],
            &[PARENT, b"-"].concat(),
            &[PARENT, b"-00"].concat(),
            &[PARENT, b", ", PARENT].concat(),
            &[&later[..], b"more"].concat(),
            &[b" ", PARENT].concat(),
            b"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            b"00-00000000000000000000000000000000-b7ad6b7169203331-01",
            b"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            b"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        ] {
            assert_eq!(trace_id(bad), None, "{}", bad.escape_ascii());
        }
        for at in 0..PARENT.len() {
            for byte in [b'g', b'A', b' ', 0, 0xff, b'\n', b'_'] {
                assert_eq!(trace_id(&changed(at, byte)), None, "{at} {byte}");
            }
        }
    }

    #[test]
    fn a_new_trace_is_one() {
        for byte in [0, 1, 0x7f, 0xff] {
            let parent = new_traceparent([byte; 24], 50);
            assert!(trace_id(&parent).is_some(), "{}", parent.escape_ascii());
            assert_eq!(parent[54], if byte < 0x80 { b'1' } else { b'0' });
        }
        assert_eq!(new_traceparent([0; 24], 0)[53..], *b"00");
        assert_eq!(new_traceparent([0xff; 24], 100)[53..], *b"01");
        let random = std::array::from_fn(|at| at as u8 + 0x10);
        let parent = new_traceparent(random, 100);
        assert_eq!(&parent, b"00-101112131415161718191a1b1c1d1e1f-2021222324252627-01");
    }

    #[test]
    fn request_ids_are_short_and_plain() {
        for good in [
            &b"1"[..],
            b"7d0f1a52-2ef8-4f1b-9dbf-0ed6fce2c3b1",
            b"Root=1-67891233-abcdef012345678912345678",
            b"a1b2c3#17",
            b"dGVzdA+/==",
            &[b'x'; 128],
            &new_request_id([0xab; 16]),
        ] {
            assert!(is_request_id(good), "{}", good.escape_ascii());
        }
        for bad in [&b""[..], &[b'x'; 129], b"a b", b"a\"b", b"a,b", b"<x>", b"a\\b", b"%0a", b"\xc3\xa4"] {
            assert!(!is_request_id(bad), "{}", bad.escape_ascii());
        }
        for byte in (0..=0x20).chain(0x7f..=0xff) {
            assert!(!is_request_id(&[b'a', byte, b'b']));
        }
    }

    #[test]
    fn the_id_of_a_refused_head() {
        let head = |fields: &str| format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n").into_bytes();
        assert_eq!(request_id_of_head(&head("x-request-id: a\r\n")), Some(b"a".to_vec()));
        assert_eq!(request_id_of_head(&head("X-Request-ID: a\r\nX-Request-ID: b\r\n")), None);
        assert_eq!(request_id_of_head(&head("")), None);
        assert_eq!(request_id_of_head(b"GET / HTTP/1.1\r\nX-Request-ID: a\r\n"), None);
        assert_eq!(request_id_of_head(b"\x16\x03\x01"), None);
    }
}

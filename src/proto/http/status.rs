//! Status codes: their phrases, and the answers that the server gives by itself.

use crate::base::bytes::push_decimal;

/// Phrases by code, in order. Where uWSGI's wording is not RFC 9110's, it is uWSGI's that clients know.
const PHRASES: &[(u16, &str)] = &[
    (100, "Continue"),
    (101, "Switching Protocols"),
    (102, "Processing"),
    (103, "Early Hints"),
    (200, "OK"),
    (201, "Created"),
    (202, "Accepted"),
    (203, "Non-Authoritative Information"),
    (204, "No Content"),
    (205, "Reset Content"),
    (206, "Partial Content"),
    (207, "Multi-Status"),
    (208, "Already Reported"),
    (226, "IM Used"),
    (300, "Multiple Choices"),
    (301, "Moved Permanently"),
    (302, "Found"),
    (303, "See Other"),
    (304, "Not Modified"),
    (305, "Use Proxy"),
    (307, "Temporary Redirect"),
    (308, "Permanent Redirect"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (402, "Payment Required"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (406, "Not Acceptable"),
    (407, "Proxy Authentication Required"),
    (408, "Request Timeout"),
    (409, "Conflict"),
    (410, "Gone"),
    (411, "Length Required"),
    (412, "Precondition Failed"),
    (413, "Request Entity Too Large"),
    (414, "Request-URI Too Long"),
    (415, "Unsupported Media Type"),
    (416, "Requested Range Not Satisfiable"),
    (417, "Expectation Failed"),
    (418, "I'm a teapot"),
    (421, "Misdirected Request"),
    (422, "Unprocessable Entity"),
    (423, "Locked"),
    (424, "Failed Dependency"),
    (425, "Too Early"),
    (426, "Upgrade Required"),
    (428, "Precondition Required"),
    (429, "Too Many Requests"),
    (431, "Request Header Fields Too Large"),
    (451, "Unavailable For Legal Reasons"),
    (500, "Internal Server Error"),
    (501, "Not Implemented"),
    (502, "Bad Gateway"),
    (503, "Service Unavailable"),
    (504, "Gateway Timeout"),
    (505, "HTTP Version Not Supported"),
    (506, "Variant Also Negotiates"),
    (507, "Insufficient Storage"),
    (508, "Loop Detected"),
    (509, "Bandwidth Limit Exceeded"),
    (511, "Network Authentication Required"),
];

/// The phrase for a bare status code.
pub fn reason(code: u16) -> &'static str {
    PHRASES.binary_search_by_key(&code, |&(known, _)| known).map_or("Unknown", |at| PHRASES[at].1)
}

/// `100 Continue`, to be sent before the first byte of an expected body is read (RFC 9110 §10.1.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// An answer that the server gives by itself: a status and a line of text.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    pub code: u16,
    /// The body; empty: the status's phrase.
    pub text: &'a str,
    /// Further header lines, whole ones.
    pub headers: &'a [u8],
    /// Empty: left out.
    pub date: &'a [u8],
    pub keep_alive: bool,
    /// The request was HEAD: the text is announced but not sent.
    pub head_only: bool,
}

impl<'a> Plain<'a> {
    /// One behind which the connection closes.
    pub fn last(code: u16, headers: &'a [u8]) -> Plain<'a> {
        Plain { code, text: "", headers, date: b"", keep_alive: false, head_only: false }
    }

    /// Appends the answer.
    pub fn push_to(&self, out: &mut Vec<u8>) {
        let phrase = reason(self.code);
        let text = if self.text.is_empty() { phrase } else { self.text };
        out.extend_from_slice(b"HTTP/1.1 ");
        push_decimal(out, u64::from(self.code));
        out.push(b' ');
        out.extend_from_slice(phrase.as_bytes());
        out.extend_from_slice(b"\r\nContent-Type: text/plain\r\nContent-Length: ");
        push_decimal(out, text.len() as u64 + 1);
        out.extend_from_slice(b"\r\n");
        if !self.date.is_empty() {
            out.extend_from_slice(b"Date: ");
            out.extend_from_slice(self.date);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(self.headers);
        out.extend_from_slice(if self.keep_alive { b"\r\n" } else { b"Connection: close\r\n\r\n" });
        if !self.head_only {
            out.extend_from_slice(text.as_bytes());
            out.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_answer() {
        let mut out = Vec::new();
        Plain { date: b"D", ..Plain::last(400, b"X: y\r\n") }.push_to(&mut out);
        let expected = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 12\r\nDate: D\r\n\
                        X: y\r\nConnection: close\r\n\r\nBad Request\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn phrases_are_in_order() {
        assert!(PHRASES.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!((reason(200), reason(404), reason(299)), ("OK", "Not Found", "Unknown"));
    }

    #[test]
    fn every_status_that_the_server_gives_has_a_phrase() {
        for code in [400, 408, 411, 413, 414, 417, 431, 500, 501, 503, 504, 505] {
            let mut out = Vec::new();
            Plain { keep_alive: true, head_only: true, ..Plain::last(code, b"") }.push_to(&mut out);
            assert_ne!(reason(code), "Unknown");
            assert!(out.ends_with(b"\r\n\r\n"));
        }
    }
}

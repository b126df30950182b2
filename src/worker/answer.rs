//! The head of an answer, as the application sets it: checked, then kept as the bytes that go out.

use std::fmt;

/// Why a head is refused. The application gets it as an exception; nothing of it is ever sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    Status,
    Name,
    Value,
    TooLong,
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeadError::Status => "the status must be three digits, a blank and a reason, without control characters",
            HeadError::Name => "a header name must be a token (RFC 9110 section 5.1)",
            HeadError::Value => "a header value must not hold CR, LF or NUL (RFC 9110 section 5.5)",
            HeadError::TooLong => "the headers are longer than 64 KiB together",
        })
    }
}

/// Most bytes of a head (uWSGI's response-headers-limit).
const MOST: usize = 65536;

/// tchar of RFC 9110 §5.6.2.
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let allowed = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut i = 0;
    while i < allowed.len() {
        table[allowed[i] as usize] = true;
        i += 1;
    }
    table
};

fn is_clean(value: &[u8]) -> bool {
    !value.iter().any(|&c| matches!(c, b'\r' | b'\n' | 0))
}

#[derive(Debug, Default)]
pub struct Head {
    /// Status line and headers, each with its CRLF; empty while nothing is set.
    bytes: Vec<u8>,
    pub status: u16,
    pub headers: u32,
    pub content_length: Option<u64>,
    /// `Transfer-Encoding` or `Connection` as the app wrote them, which only a gateway may pass on.
    pub close: bool,
}

impl Head {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.status = 0;
        self.headers = 0;
        self.content_length = None;
        self.close = false;
    }

    pub fn is_set(&self) -> bool {
        !self.bytes.is_empty()
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Begins a head; whatever was set before is gone. A status of three digits alone gets its usual reason.
    pub fn start(&mut self, protocol: &[u8], status: &[u8]) -> Result<(), HeadError> {
        self.clear();
        let (&code, rest) = status.split_first_chunk::<3>().ok_or(HeadError::Status)?;
        let rest_ok = matches!(rest.first(), None | Some(b' ')) && is_clean(rest);
        if !code.iter().all(u8::is_ascii_digit) || !(b'1'..=b'9').contains(&code[0]) || !rest_ok {
            return Err(HeadError::Status);
        }
        self.status = code.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
        self.bytes.extend_from_slice(protocol);
        self.bytes.push(b' ');
        self.bytes.extend_from_slice(status);
        if rest.len() < 2 {
            self.bytes.truncate(self.bytes.len() - rest.len());
            self.bytes.push(b' ');
            self.bytes.extend_from_slice(reason(self.status).as_bytes());
        }
        self.bytes.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Adds a header. On an HTTP socket (`hop_by_hop` = false) those that speak of the connection stay behind.
    #[inline]
    pub fn add(&mut self, name: &[u8], value: &[u8], hop_by_hop: bool) -> Result<(), HeadError> {
        if name.is_empty() || !name.iter().all(|&c| TOKEN[c as usize]) {
            return Err(HeadError::Name);
        }
        if !is_clean(value) {
            return Err(HeadError::Value);
        }
        if self.bytes.len() + name.len() + value.len() + 4 > MOST {
            return Err(HeadError::TooLong);
        }
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.content_length = super::request::content_length(value).map_err(|()| HeadError::Value)?;
            }
            10 if name.eq_ignore_ascii_case(b"connection") && !hop_by_hop => {
                self.close |= value.eq_ignore_ascii_case(b"close");
                return Ok(());
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") && !hop_by_hop => return Ok(()),
            10 if name.eq_ignore_ascii_case(b"keep-alive") && !hop_by_hop => return Ok(()),
            _ => {}
        }
        self.headers += 1;
        self.push(name, value);
        Ok(())
    }

    /// Adds a header of the server's own.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(b": ");
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// May this answer have a body at all (RFC 9110 §6.4.1)?
    pub fn allows_body(&self) -> bool {
        !matches!(self.status, 100..=199 | 204 | 304)
    }
}

/// The reason phrases of RFC 9110 §15 and its registry; where uWSGI words one differently, uWSGI's.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        417 => "Expectation Failed",
        422 => "Unprocessable Entity",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        509 => "Bandwidth Limit Exceeded",
        _ => "Unknown",
    }
}

/// A whole plain answer of the server's own; the connection closes after it.
pub fn plain(status: u16, protocol: &[u8], out: &mut Vec<u8>) {
    let reason = reason(status);
    out.extend_from_slice(protocol);
    let text = format!(
        " {status} {reason}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{reason}\n",
        reason.len() + 1
    );
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(status: &[u8]) -> Result<String, HeadError> {
        let mut head = Head::default();
        head.start(b"HTTP/1.1", status)?;
        Ok(String::from_utf8_lossy(head.bytes()).into_owned())
    }

    #[test]
    fn a_status_is_three_digits_and_a_reason() {
        assert_eq!(start(b"200 OK").unwrap(), "HTTP/1.1 200 OK\r\n");
        assert_eq!(start(b"204").unwrap(), "HTTP/1.1 204 No Content\r\n");
        assert_eq!(start(b"404 ").unwrap(), "HTTP/1.1 404 Not Found\r\n");
        assert_eq!(start(b"299 Fine").unwrap(), "HTTP/1.1 299 Fine\r\n");
        for bad in [&b""[..], b"20", b"OK 200", b"200OK", b"200 OK\r\nX: y", b"200 a\nb", b"200 \0", b"099 x"] {
            assert_eq!(start(bad), Err(HeadError::Status), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn what_would_split_the_answer_is_refused() {
        let mut head = Head::default();
        head.start(b"HTTP/1.0", b"200 OK").unwrap();
        assert_eq!(head.add(b"X-A", b"b\r\nSet-Cookie: c", true), Err(HeadError::Value));
        assert_eq!(head.add(b"X-A", b"b\0", true), Err(HeadError::Value));
        assert_eq!(head.add(b"X A", b"b", true), Err(HeadError::Name));
        assert_eq!(head.add(b"", b"b", true), Err(HeadError::Name));
        assert_eq!(head.add(b"X:A", b"b", true), Err(HeadError::Name));
        assert_eq!(head.add(b"Content-Length", b"+5", true), Err(HeadError::Value));
        assert_eq!(head.add(b"X-Latin", b"caf\xe9", true), Ok(()));
        assert_eq!(head.add(b"X-Long", &[b'a'; MOST], true), Err(HeadError::TooLong));
    }

    #[test]
    fn headers_of_the_connection_stay_with_it() {
        let mut head = Head::default();
        head.start(b"HTTP/1.1", b"200 OK").unwrap();
        head.add(b"Connection", b"close", false).unwrap();
        head.add(b"Transfer-Encoding", b"chunked", false).unwrap();
        assert_eq!(head.bytes(), b"HTTP/1.1 200 OK\r\n");
        assert!(head.close);
        head.add(b"Connection", b"close", true).unwrap();
        assert_eq!(head.bytes(), b"HTTP/1.1 200 OK\r\nConnection: close\r\n");
    }
}

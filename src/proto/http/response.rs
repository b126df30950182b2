//! Writes the head of an app's answer: as it is for a uwsgi socket (whose front end does the rest), completed with framing,
//! Date and Connection for an HTTP one.

use std::fmt;

use super::chars::is_token;
use super::names::{
    self, CONNECTION, CONTENT_LENGTH, DATE, KEEP_ALIVE, SERVER, TE, TRAILER, TRANSFER_ENCODING, X_REQUEST_ID,
};
use super::status::reason;
use crate::base::bytes::{find_control, parse_decimal, push_decimal, trim_ows};

/// What the app did wrong. Nothing of its answer may be sent then (response splitting, RFC 9110 §5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    Status,
    Name,
    Value,
    Length,
    /// Longer than this, which is `response-headers-limit`.
    TooLong(usize),
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let HeadError::TooLong(limit) = self {
            return write!(f, "the headers are longer than response-headers-limit = {limit} bytes together");
        }
        f.write_str(match self {
            HeadError::Status => "the status is not three digits, a space and a phrase",
            HeadError::Name => "a header name is not a token",
            HeadError::Value => "a header value holds a control character",
            HeadError::Length => "the Content-Length is not one number",
            HeadError::TooLong(_) => "the headers are too long",
        })
    }
}

impl std::error::Error for HeadError {}

/// How the body of an answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// No body may follow, whatever the app yields.
    Nothing,
    /// Exactly so many bytes.
    Length(u64),
    Chunked,
    /// All until the connection closes.
    UntilClose,
}

/// What was settled when an HTTP head was finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    pub delivery: Delivery,
    pub keep_alive: bool,
}

/// What [`ResponseHead::finish`] must know of the request and of the server.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// The request's minor version.
    pub minor: u8,
    /// The request's method is HEAD.
    pub is_head: bool,
    /// Both the client and the server would keep the connection.
    pub keep_alive: bool,
    /// The length of the body where it is known although the app did not tell.
    pub length: Option<u64>,
    /// The current date, written once a second.
    pub date: &'a [u8],
    /// The Server header; empty for none.
    pub server: &'a [u8],
}

/// Most bytes of a head that an app may write unless `response-headers-limit` says otherwise.
pub const MAX_HEAD: usize = 65536;

/// The head of one answer: checked as the app sets it, kept as the bytes that go out. Made to be used again.
#[derive(Debug)]
pub struct ResponseHead {
    bytes: Vec<u8>,
    /// Most bytes of it that an app may write.
    limit: usize,
    code: u16,
    headers: u32,
    is_http: bool,
    length: Option<u64>,
    has_date: bool,
    has_server: bool,
    close: bool,
    set_coding: bool,
    has_request_id: bool,
}

impl Default for ResponseHead {
    fn default() -> ResponseHead {
        ResponseHead::new(MAX_HEAD)
    }
}

impl ResponseHead {
    /// Of at most `limit` bytes.
    pub fn new(limit: usize) -> ResponseHead {
        ResponseHead {
            bytes: Vec::new(),
            limit,
            code: 0,
            headers: 0,
            is_http: false,
            length: None,
            has_date: false,
            has_server: false,
            close: false,
            set_coding: false,
            has_request_id: false,
        }
    }

    /// Forgets everything but the buffer.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(MAX_HEAD);
        self.code = 0;
        self.headers = 0;
        self.length = None;
        self.has_date = false;
        self.has_server = false;
        self.close = false;
        self.set_coding = false;
        self.has_request_id = false;
    }

    /// For a uwsgi socket: `protocol` is the request's SERVER_PROTOCOL, HTTP/1.0 where that is empty.
    pub fn start_uwsgi(&mut self, protocol: &[u8], status: &[u8]) -> Result<(), HeadError> {
        let protocol = if protocol.is_empty() { b"HTTP/1.0" } else { protocol };
        if find_control(protocol, 0) != protocol.len() {
            return Err(HeadError::Status);
        }
        self.start(protocol, status, false)
    }

    /// For an HTTP socket. The version is the server's own, not the request's (RFC 9110 §6.2).
    pub fn start_http(&mut self, status: &[u8]) -> Result<(), HeadError> {
        self.start(b"HTTP/1.1", status, true)?;
        // An interim answer is not one (RFC 9110 §15.2), and Upgrade is ignored.
        if self.code < 200 {
            self.clear();
            return Err(HeadError::Status);
        }
        Ok(())
    }

    #[inline]
    fn start(&mut self, protocol: &[u8], status: &[u8], is_http: bool) -> Result<(), HeadError> {
        self.clear();
        let code = status_code(status).ok_or(HeadError::Status)?;
        self.code = code;
        self.is_http = is_http;
        self.bytes.extend_from_slice(protocol);
        self.bytes.push(b' ');
        if status.len() > 4 {
            self.bytes.extend_from_slice(status);
        } else {
            self.bytes.extend_from_slice(&status[..3]);
            self.bytes.push(b' ');
            self.bytes.extend_from_slice(reason(code).as_bytes());
        }
        self.bytes.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Has a status been set?
    pub fn is_set(&self) -> bool {
        self.code != 0
    }

    /// The status, or 0 while none is set.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// How many headers the app has set.
    pub fn headers(&self) -> u32 {
        self.headers
    }

    /// The Content-Length that the app has set.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Did the app set a Transfer-Encoding, which was left out?
    pub fn has_set_coding(&self) -> bool {
        self.set_coding
    }

    /// Has an X-Request-ID been set?
    pub fn has_request_id(&self) -> bool {
        self.has_request_id
    }

    /// Everything that goes out, once the head is finished.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// May this answer have a body (RFC 9110 §6.4.1)?
    pub fn allows_body(&self) -> bool {
        !matches!(self.code, 100..=199 | 204 | 304)
    }

    /// One header of the app.
    #[inline]
    pub fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        if !is_token(name) {
            return Err(HeadError::Name);
        }
        if find_control(value, 0) != value.len() {
            return Err(HeadError::Value);
        }
        if self.bytes.len() + name.len() + value.len() + 4 > self.limit {
            return Err(HeadError::TooLong(self.limit));
        }
        if self.note(name, value)? {
            self.headers += 1;
            push_header(&mut self.bytes, name, value);
        }
        Ok(())
    }

    /// Learns from a header what the end must know. Returns whether it is written as it is.
    #[inline]
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<bool, HeadError> {
        match names::lookup(name).0 {
            CONTENT_LENGTH => return self.note_length(value),
            // How the body goes out is the server's to decide, and to say.
            TRANSFER_ENCODING if self.is_http => {
                self.set_coding = true;
                return Ok(false);
            }
            CONNECTION if self.is_http => {
                let mut options = value.split(|&byte| byte == b',').map(trim_ows);
                self.close |= options.any(|option| option.eq_ignore_ascii_case(b"close"));
                return Ok(false);
            }
            // They speak of the connection, which is the server's (RFC 9110 §7.6.1). A client may believe a time for which
            // the connection is kept, and no trailers follow.
            KEEP_ALIVE | TE | TRAILER if self.is_http => return Ok(false),
            DATE => self.has_date = true,
            SERVER => self.has_server = true,
            X_REQUEST_ID => self.has_request_id = true,
            _ => {}
        }
        Ok(true)
    }

    fn note_length(&mut self, value: &[u8]) -> Result<bool, HeadError> {
        let length = parse_decimal(trim_ows(value)).ok_or(HeadError::Length)?;
        if self.length.replace(length).is_some() {
            return Err(HeadError::Length);
        }
        // RFC 9110 §8.6: a server MUST NOT send Content-Length with 204. That of a 205 is the server's to set.
        Ok(self.code != 204 && !(self.is_http && self.code == 205))
    }

    /// Ends the head as it is.
    pub fn finish_uwsgi(&mut self, is_head: bool) -> Settled {
        self.bytes.extend_from_slice(b"\r\n");
        let delivery = match self.length {
            _ if is_head || !self.allows_body() => Delivery::Nothing,
            Some(length) => Delivery::Length(length),
            None => Delivery::UntilClose,
        };
        Settled { delivery, keep_alive: false }
    }

    /// Ends the head with what the app left to the server.
    #[inline]
    pub fn finish(&mut self, exchange: &Exchange) -> Settled {
        let out = &mut self.bytes;
        let bodiless = self.code == 204 || self.code == 304;
        let delivery = match (self.length, exchange.length) {
            // RFC 9112 §6.3 item 1: the answer ends with its head. A HEAD's may still tell the length (RFC 9110 §9.3.2).
            _ if bodiless => Delivery::Nothing,
            // RFC 9110 §15.3.6: no content, and the message says so.
            _ if self.code == 205 => {
                out.extend_from_slice(b"Content-Length: 0\r\n");
                Delivery::Nothing
            }
            (Some(length), _) => Delivery::Length(length),
            (None, Some(length)) => {
                out.extend_from_slice(b"Content-Length: ");
                push_decimal(out, length);
                out.extend_from_slice(b"\r\n");
                Delivery::Length(length)
            }
            // RFC 9110 §9.3.2: the length that a GET would have is not known, and nothing else may be said of it.
            (None, None) if exchange.is_head => Delivery::Nothing,
            // RFC 9112 §6.1: only where the request was HTTP/1.1 or later.
            (None, None) if exchange.minor > 0 => {
                out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
                Delivery::Chunked
            }
            (None, None) => Delivery::UntilClose,
        };
        if !self.has_date {
            push_header(out, b"Date", exchange.date);
        }
        if !self.has_server && !exchange.server.is_empty() {
            push_header(out, b"Server", exchange.server);
        }
        let keep_alive = exchange.keep_alive && !self.close && delivery != Delivery::UntilClose;
        out.extend_from_slice(match (keep_alive, exchange.minor) {
            (false, _) => b"Connection: close\r\n\r\n",
            // RFC 9112 §9.3: a 1.0 client believes only in what is said.
            (true, 0) => b"Connection: keep-alive\r\n\r\n",
            (true, _) => b"\r\n",
        });
        Settled { delivery: if exchange.is_head { Delivery::Nothing } else { delivery }, keep_alive }
    }
}

/// The code of a status that is three digits, or three digits, a space and a phrase.
#[inline]
fn status_code(status: &[u8]) -> Option<u16> {
    let (&[a @ b'1'..=b'9', b, c], phrase) = status.split_first_chunk::<3>()? else { return None };
    let is_phrase =
        phrase.first().is_none_or(|&byte| byte == b' ') && find_control(phrase, 0) == phrase.len();
    let digits = [a, b, c].iter().all(u8::is_ascii_digit);
    let digit = |byte| u16::from(byte) - u16::from(b'0');
    (digits && is_phrase).then(|| digit(a) * 100 + digit(b) * 10 + digit(c))
}

#[inline]
fn push_header(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;

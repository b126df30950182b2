//! Where a request ends, and whether another may follow: the one place that decides it (RFC 9112 §6.3, §9.3).
//!
//! Two servers that disagree about this are how requests are smuggled, so whatever leaves room for doubt is refused.

use super::names::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use super::{Reject, Request, singletons, target};
use crate::base::bytes::{parse_decimal, trim_ows};

/// How the body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    None,
    /// So many bytes, at least one.
    Length(u64),
    Chunked,
}

/// What the head says about the rest of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    pub body: Body,
    /// The client would send another request on this connection.
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// The client wants to speak WebSocket from here on (RFC 6455 §4.1).
    pub websocket: bool,
}

/// No length that Python could hold is larger.
pub const MAX_LENGTH: u64 = i64::MAX as u64;

/// Decides from the head. A [`Reject`] means that the request must be answered with that status and the connection
/// closed.
#[inline]
pub fn decide(request: &Request) -> Result<Framing, Reject> {
    singletons::check(request.head.headers.known_repeated)?;
    let mut seen = Seen::default();
    for (_, value, id) in request.fields() {
        match id {
            HOST => seen.host(value)?,
            CONTENT_LENGTH => seen.content_length(value)?,
            TRANSFER_ENCODING => seen.transfer_encoding(value)?,
            CONNECTION => seen.connection(value),
            EXPECT => seen.expect(value)?,
            UPGRADE => seen.upgrade(value),
            _ => {}
        }
    }
    seen.verdict(request.minor())
}

#[derive(Default)]
struct Seen {
    marks: u8,
    length: Option<u64>,
    coding: Option<Coding>,
}

const HAS_HOST: u8 = 1;
const CLOSE: u8 = 2;
const KEEP_ALIVE: u8 = 4;
const EXPECTS: u8 = 8;
const UPGRADES: u8 = 16;
const WEBSOCKET: u8 = 32;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    Chunked,
    /// Some other coding, below a chunked one or still waiting for it.
    Unknown,
    /// A coding that is not known, and chunked above it.
    UnknownChunked,
}

impl Seen {
    fn marked(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }

    /// RFC 9112 §3.2: an invalid one MUST be refused.
    #[inline]
    fn host(&mut self, value: &[u8]) -> Result<(), Reject> {
        if !target::is_host_port(value) {
            return Err(Reject::bad("the Host is not host:port", "RFC 9112 §3.2"));
        }
        self.marks |= HAS_HOST;
        Ok(())
    }

    /// RFC 9112 §6.3 item 5 would let a list of equal lengths pass; no sound client sends one.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Reject> {
        let Some(length) = parse_decimal(value) else {
            return Err(Reject::bad("the Content-Length is not a number", "RFC 9112 §6.3"));
        };
        if length > MAX_LENGTH {
            return Err(Reject::new(413, "the Content-Length is out of all bounds", "RFC 9110 §8.6"));
        }
        self.length = Some(length);
        Ok(())
    }

    /// RFC 9112 §6.1: chunked comes last, and once. Several fields are one list.
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Reject> {
        for coding in value.split(|&byte| byte == b',').map(trim_ows) {
            if coding.is_empty() {
                return Err(Reject::bad("an empty transfer coding", "RFC 9112 §6.1"));
            }
            let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            self.coding = Some(match (self.coding, is_chunked) {
                (None, true) => Coding::Chunked,
                (Some(Coding::Unknown), true) => Coding::UnknownChunked,
                (None | Some(Coding::Unknown), false) => Coding::Unknown,
                (Some(Coding::Chunked | Coding::UnknownChunked), _) => {
                    return Err(Reject::bad("chunked is not the last coding, once", "RFC 9112 §6.1"));
                }
            });
        }
        Ok(())
    }

    /// RFC 9110 §7.6.1.
    #[inline]
    fn connection(&mut self, value: &[u8]) {
        if value.eq_ignore_ascii_case(b"keep-alive") {
            self.marks |= KEEP_ALIVE;
            return;
        }
        for option in value.split(|&byte| byte == b',').map(trim_ows) {
            if option.eq_ignore_ascii_case(b"close") {
                self.marks |= CLOSE;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.marks |= KEEP_ALIVE;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.marks |= UPGRADES;
            }
        }
    }

    /// RFC 9110 §7.8: protocols, the preferred one first. All but one are nothing to this server.
    fn upgrade(&mut self, value: &[u8]) {
        let mut protocols = value.split(|&byte| byte == b',').map(trim_ows);
        if protocols.any(|protocol| protocol.eq_ignore_ascii_case(b"websocket")) {
            self.marks |= WEBSOCKET;
        }
    }

    /// RFC 9110 §10.1.1: an expectation that is not known MAY be answered with 417.
    fn expect(&mut self, value: &[u8]) -> Result<(), Reject> {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Reject::new(417, "an expectation that is not known", "RFC 9110 §10.1.1"));
        }
        self.marks |= EXPECTS;
        Ok(())
    }

    #[inline]
    fn verdict(self, minor: u8) -> Result<Framing, Reject> {
        if minor > 0 && !self.marked(HAS_HOST) {
            return Err(Reject::bad("no Host", "RFC 9112 §3.2"));
        }
        let body = self.body(minor)?;
        Ok(Framing {
            body,
            // RFC 9112 §9.3: `close` wins; 1.1 persists by default, 1.0 only with `keep-alive`.
            keep_alive: !self.marked(CLOSE) && (minor > 0 || self.marked(KEEP_ALIVE)),
            // RFC 9110 §10.1.1: ignored in 1.0, and where no body follows.
            expect_continue: self.marked(EXPECTS) && minor > 0 && body != Body::None,
            // RFC 9110 §7.8: ignored in 1.0, and where Connection does not name it.
            websocket: self.marks & (UPGRADES | WEBSOCKET) == UPGRADES | WEBSOCKET && minor > 0,
        })
    }

    #[inline]
    fn body(&self, minor: u8) -> Result<Body, Reject> {
        let Some(coding) = self.coding else {
            return Ok(match self.length {
                None | Some(0) => Body::None,
                Some(length) => Body::Length(length),
            });
        };
        if minor == 0 {
            // RFC 9112 §6.1: "treat the message as if the framing is faulty".
            return Err(Reject::bad("Transfer-Encoding in HTTP/1.0", "RFC 9112 §6.1"));
        }
        if self.length.is_some() {
            // RFC 9112 §6.3 item 3: "ought to be handled as an error".
            return Err(Reject::bad("both Transfer-Encoding and Content-Length", "RFC 9112 §6.3"));
        }
        match coding {
            Coding::Chunked => Ok(Body::Chunked),
            // RFC 9112 §6.3 item 4: the length cannot be determined, the answer MUST be 400.
            Coding::Unknown => Err(Reject::bad("the last transfer coding is not chunked", "RFC 9112 §6.3")),
            // RFC 9112 §6.1: a coding that is not understood SHOULD be answered with 501.
            Coding::UnknownChunked => {
                Err(Reject::new(501, "a transfer coding that is not known", "RFC 9112 §6.1"))
            }
        }
    }
}

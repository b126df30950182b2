//! HTTP/1.1 and 1.0 as a server speaks them (RFC 9110, RFC 9112), from bytes to bytes.
//!
//! [`head`] finds the parts of a request head, [`framing`] alone decides where its body ends, [`singletons`] names the
//! fields that may not be repeated, [`chunked`] takes the body apart, [`environ`] names everything for CGI, [`response`] writes the answer, [`status`] knows phrases and canned answers;
//! [`conditional`], [`range`] and [`coding`] decide what is sent of a file.
//! What is ambiguous is refused with a [`Reject`], after which the connection must be closed.

pub mod chars;
pub mod chunked;
pub mod coding;
pub mod conditional;
pub mod environ;
pub mod forwarded;
pub mod framing;
pub mod head;
pub mod names;
pub mod range;
pub mod response;
pub mod singletons;
pub mod status;
mod target;

use std::fmt;

pub use chunked::{Decoder, Piece};
pub use framing::{Body, Framing};
pub use head::{Head, Limits, Progress, Request};

/// Why a request is refused, and with which status. The connection cannot be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    pub status: u16,
    pub reason: &'static str,
    /// The rule that was broken, for the log and for the corpus.
    pub clause: &'static str,
}

impl Reject {
    pub const fn new(status: u16, reason: &'static str, clause: &'static str) -> Reject {
        Reject { status, reason, clause }
    }

    pub const fn bad(reason: &'static str, clause: &'static str) -> Reject {
        Reject::new(400, reason, clause)
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.status, self.reason, self.clause)
    }
}

impl std::error::Error for Reject {}

/// A part of the buffer that was parsed: offsets, so that a head can be kept beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    #[inline]
    fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, end: end as u32 }
    }

    /// The bytes of this span in the buffer it was parsed from.
    #[inline]
    pub fn of(self, buf: &[u8]) -> &[u8] {
        &buf[self.start as usize..self.end as usize]
    }

    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

//! Requests on HTTP sockets.

pub mod forwarded;
pub mod head;
mod misplaced;
pub mod state;
pub mod upload;

use crate::proto::http::Framing;

/// A head that is whole and stands at the start of its connection's buffer.
#[derive(Clone, Copy)]
pub struct Parsed {
    pub framing: Framing,
    /// Its bytes, and those behind it that the exchange has of the body.
    pub length: usize,
    pub used: usize,
}

//! A request from its variables to its end, whichever protocol it came by.

pub mod access;
pub mod canned;
pub mod failure;
pub mod ids;
pub mod lifecycle;
pub mod mounts;
pub mod pipeline;
pub mod probes;
pub mod vars;

/// What the head of a request asks for, in either protocol.
pub trait Head {
    fn method(&self) -> &[u8];
    /// As it came: nothing of it is SCRIPT_NAME yet.
    fn path(&self) -> &[u8];
    fn query(&self) -> &[u8];
    fn host(&self) -> &[u8];
}

/// What a connection has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Taken {
    /// A request that the application is to answer: it is in the core, and its exchange has begun.
    Request,
    /// Nothing yet, nothing any more, or what the server has answered itself.
    Nothing,
}

impl Taken {
    pub fn is_request(self) -> bool {
        self == Taken::Request
    }
}

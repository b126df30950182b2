//! Requests on HTTP sockets.

pub mod forwarded;
pub mod head;
mod upload;

//! Requests on HTTP sockets.

pub mod forwarded;
pub mod head;
mod misplaced;
pub mod state;
pub mod upload;

//! What a worker does for its clients in its last moment, before harakiri kills it.

pub mod answers;
pub mod replies;
pub mod waiting;

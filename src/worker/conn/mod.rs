//! The connections of a worker.

pub mod leftover;
pub mod linger;

//! The connections of a worker.

pub mod linger;

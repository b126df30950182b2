//! Layer 3: what the processes of the tree share.
#![forbid(unsafe_code)]

pub mod metrics;
pub mod phase;
pub mod scoreboard;

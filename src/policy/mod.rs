//! Layer 4: decisions as pure functions of a snapshot and a clock.
#![forbid(unsafe_code)]

pub mod admission;
pub mod backoff;
pub mod balance;
pub mod placement;
pub mod recycle;

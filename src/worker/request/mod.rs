//! A request from its variables to its end, whichever protocol it came by.

pub mod canned;
pub mod lifecycle;
pub mod mounts;
pub mod probes;
pub mod vars;

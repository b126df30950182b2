//! Floor 4: what the server says about itself.
#![forbid(unsafe_code)]

pub mod line;

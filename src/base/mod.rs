//! Floor 0: what every room may use.

pub mod nearest;

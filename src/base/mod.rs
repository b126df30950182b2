//! Floor 0: what every room may use.

pub mod bytes;
pub mod date;
pub mod nearest;
pub mod reason;
pub mod x509;

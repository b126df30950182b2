//! What every module may use.

pub mod bytes;
pub mod date;
pub mod log_health;
pub mod metric;
pub mod nearest;
pub mod reason;
pub mod sync;
pub mod text;
pub mod x509;

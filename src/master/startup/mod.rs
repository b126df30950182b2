//! The beginning of a server, and the end of its process.

mod build;
mod daemonize;
mod limits;
mod listeners;
pub mod pidfile;
pub mod readiness;
pub mod serve;
mod stats;

//! Layer 6: the master. One thread, no application code, never a request: it starts workers, watches them, and stops them.
//!
//! `run` is the loop, and alone knows all parts. The parts own their state and know nothing of the loop.

mod accounts;
pub mod action;
pub mod configuration;
pub mod incident;
mod log_file;
mod metrics;
mod run;
mod server;
mod service;
mod services;
mod sources;
pub mod startup;
mod status;
mod workers;

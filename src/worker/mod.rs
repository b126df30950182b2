//! A worker process. Only `python/` uses the interpreter.

pub mod accept;
pub mod application;
mod begin;
pub mod body;
pub mod conn;
pub mod context;
pub mod core;
mod counting;
mod dispatch;
pub mod handoff;
pub mod harakiri;
mod http;
mod incoming;
pub mod leaving;
pub mod lifecycle;
pub mod lifeline;
#[cfg(feature = "python")]
pub mod python;
pub mod request;
pub mod response;
pub mod run;
pub mod setup;
pub mod shared;
mod statics;
#[cfg(test)]
mod tests;
pub mod thread;
mod uwsgi;
pub mod worker_log;

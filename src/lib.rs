//! rwsgi: an application server for WSGI sites. The layers are described in docs/design.md.
#![cfg_attr(not(feature = "python"), allow(dead_code))]

pub mod alarm;
pub mod base;
pub mod config;
#[cfg(feature = "python")]
mod entry;
pub mod log;
pub mod master;
pub mod net;
pub mod policy;
pub mod process;
pub mod proto;
pub mod report;
pub mod shm;
pub mod supervise;
pub mod sys;
pub mod top;
pub mod worker;

//! Sans-io parsers and writers. They see bytes, never a descriptor.
#![forbid(unsafe_code)]

pub mod http;
pub mod proxy;
pub mod trace;
pub mod uwsgi;

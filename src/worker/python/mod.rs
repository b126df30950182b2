//! The only module that uses Python: it loads the application, calls it for each request and takes its answer.

pub mod app;
mod attached;
mod autoreload;
mod dynamic;
mod environ;
mod exceptions;
mod ffi;
mod filewrapper;
mod imports;
mod input;
mod interpreter;
mod profile;
mod response;
mod run;
mod samples;
mod timeout;

pub use ffi::PythonForkHooks;
pub use interpreter::Interpreter;
pub use timeout::HarakiriTimeout;

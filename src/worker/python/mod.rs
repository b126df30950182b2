//! The only room that knows Python: it loads the application, hands it requests and takes its answers.

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
mod response;
mod run;
mod timeout;

pub use ffi::PythonForkHooks;
pub use interpreter::Interpreter;
pub use timeout::HarakiriTimeout;

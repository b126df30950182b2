//! The zygote of a generation: a process that loads the application once and forks the workers that serve it.
//!
//! The master itself stays free of application code: whatever an import starts (threads, sockets, atexit handlers)
//! happens here, and a reload is a fresh import in a new zygote, while the old generation serves on.

pub mod links;
pub mod process;
pub mod protocol;

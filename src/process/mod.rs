//! Layer 4: what a process of the server is, whatever it does: its user, and the language that runs in it.

pub mod privileges;
pub mod runtime;

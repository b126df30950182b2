//! Layer 4: what a process of the server is, whatever it does: its user, its title, its signals and exit
//! statuses, and the language that runs in it.

pub mod exit;
pub mod privileges;
pub mod runtime;
pub mod signals;
pub mod title;

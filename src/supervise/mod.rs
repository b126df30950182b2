//! Layer 5: child processes of any role: their identity and stage, when they are killed, what the log says of their
//! end, and when they are started again.
#![forbid(unsafe_code)]

mod child;
mod children;
pub mod exit;

pub use crate::sys::process::{Ended, reap};
pub use child::{Child, Leaving, Role, Stage};
pub use children::{Children, Due};

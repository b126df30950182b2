//! Floor 1: options, formats, and what a configuration means.
#![forbid(unsafe_code)]

mod settings;

pub use settings::*;

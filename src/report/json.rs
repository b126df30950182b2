//! uWSGI's stats document.

use super::Status;

/// What is shown, and how.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    pub minified: bool,
    pub cores: bool,
}

pub fn render(_status: &Status, _shown: Shown) -> String {
    format!("{{\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION"))
}

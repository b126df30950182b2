//! Floor 4: the log. Every process of the tree writes to it: lines of the server's own, and a line for each request.
#![forbid(unsafe_code)]

pub mod access;
pub mod format;
pub mod lines;
mod server;

use crate::sys::io;
use std::fs::OpenOptions;
use std::io::Result;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub use server::{dated, say, set_date_format};

/// Points output and errors at a file, which is made if need be.
pub fn open(path: &Path, truncate: bool) -> Result<()> {
    let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
    if truncate {
        file.set_len(0)?;
    }
    io::redirect_output(&file)
}

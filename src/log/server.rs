//! The server's own lines.

use crate::sys::{clock, io};
use std::ffi::CString;
use std::sync::{PoisonError, RwLock};

/// How the date of the server's own lines is written (`log-date`).
static DATE_FORMAT: RwLock<Option<CString>> = RwLock::new(None);

/// A strftime format; none, or an empty one, stands for the usual date.
pub fn set_date_format(format: Option<&str>) {
    let format = format.filter(|text| !text.is_empty()).and_then(|text| CString::new(text).ok());
    *DATE_FORMAT.write().unwrap_or_else(PoisonError::into_inner) = format;
}

fn date() -> String {
    let now = clock::wall_secs();
    match &*DATE_FORMAT.read().unwrap_or_else(PoisonError::into_inner) {
        Some(format) => clock::format(now, format),
        None => clock::ctime(now),
    }
}

/// One line of the server's own, with the date that uWSGI puts in front of such lines.
pub fn say(text: &str) {
    let _ = io::write_all_blocking(io::stderr(), dated(text).as_bytes());
}

/// A text as a line of the log.
pub fn dated(text: &str) -> String {
    format!("{} - {}\n", date(), text.trim_end())
}

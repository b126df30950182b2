//! What goes wrong with a body, and the status that its client gets.

use crate::base::reason::reason;
use crate::sys::socket::{EMFILE, ENFILE};
use std::fmt;
use std::io::{Error, ErrorKind};

/// Why a body cannot be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// The client closed the connection in the middle.
    Closed,
    /// Nothing came for as long as `socket-timeout` or `http-timeout` allows.
    TimedOut,
    /// The chunks are not chunks (RFC 9112 §7.1).
    Malformed,
    /// The trailer section behind the chunks is too large.
    Trailers,
    /// Longer than `limit-post`.
    TooLong,
    /// Longer than `post-buffering-limit`, and too long for memory.
    TooLongForFile,
    /// Another thread's read has not ended in time.
    Busy,
    /// The request is over, and its input with it.
    Over,
    /// A child that the application has forked wants more than has come: only the parent reads from the connection.
    InChild,
    /// The temporary file cannot be made, written or read, for this reason of the system's.
    Spool(Option<i32>),
}

impl BodyError {
    /// The status of the answer to such a request.
    pub fn status(self) -> u16 {
        match self {
            BodyError::TooLong | BodyError::TooLongForFile => 413,
            BodyError::Trailers => 431,
            BodyError::TimedOut | BodyError::Busy => 408,
            BodyError::Spool(number) => storage_status(number),
            BodyError::Closed | BodyError::Malformed | BodyError::Over | BodyError::InChild => 400,
        }
    }
}

/// RFC 4918 §11.5: 507 says that the server is short of room, and that this passes; without a free descriptor for
/// the file 503 says that it is too busy.
fn storage_status(number: Option<i32>) -> u16 {
    let Some(number) = number else { return 500 };
    match Error::from_raw_os_error(number).kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => 507,
        _ if matches!(number, EMFILE | ENFILE) => 503,
        _ => 500,
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyError::Closed => "the client closed the connection before the end of the body",
            BodyError::TimedOut => {
                "no bytes of the body came within http-timeout, or on a uwsgi socket within socket-timeout"
            }
            BodyError::Malformed => "the chunks of the body are malformed",
            BodyError::Trailers => "the trailer section of the body is too large",
            BodyError::TooLong => "the body is longer than limit-post allows",
            BodyError::TooLongForFile => "the body is longer than post-buffering-limit allows",
            BodyError::Busy => "another thread reads wsgi.input, and did not end in time",
            BodyError::Over => "wsgi.input was read after its request had ended",
            BodyError::InChild => {
                "a child process has no more of wsgi.input than had come when it was forked, and nothing if a thread was \
                 reading it then; the parent reads it"
            }
            BodyError::Spool(number) => {
                let why = number.map_or_else(
                    || "it ends too early".to_owned(),
                    |number| reason(Error::from_raw_os_error(number)),
                );
                let place = std::env::temp_dir();
                return write!(
                    f,
                    "the body's temporary file in {} (TMPDIR) cannot be used: {why}",
                    place.display()
                );
            }
        })
    }
}

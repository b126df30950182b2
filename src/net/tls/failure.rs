//! Why a session cannot go on, or has nothing to give now.

use std::fmt;
use std::io;

/// The end of a session.
#[derive(Debug)]
pub enum Failure {
    /// The client did not begin with a handshake: it speaks HTTP, most likely.
    NotTls,
    Tls(rustls::Error),
    /// The last answer has no end.
    BrokenOff,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotTls => f.write_str("the client does not speak TLS"),
            Failure::Tls(error) => error.fmt(f),
            Failure::BrokenOff => f.write_str("the answer was broken off"),
        }
    }
}

/// Why nothing could be received.
#[derive(Debug)]
pub enum RecvError {
    Io(io::Error),
    Failure(Failure),
}

impl From<io::Error> for RecvError {
    fn from(error: io::Error) -> RecvError {
        RecvError::Io(error)
    }
}

impl From<Failure> for RecvError {
    fn from(failure: Failure) -> RecvError {
        RecvError::Failure(failure)
    }
}

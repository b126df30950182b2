//! What a session can do once its handshake has begun, wherever that was done.

use rustls::AlertDescription;
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

/// Received in a row without a byte for the application; then others get their turn.
pub const TURNS: u32 = 64;

/// Why a session cannot go on.
#[derive(Debug)]
pub enum Failure {
    /// The client did not begin with a handshake: it speaks HTTP, most likely.
    NotTls,
    Tls(rustls::Error),
    /// What came behind a hand-over is against the protocol.
    Refused(AlertDescription),
    /// The client changes its keys, and a session that was handed over cannot.
    NewKeys,
    /// An answer without its end was the last.
    BrokenOff,
    /// Another worker has it.
    HandedOver,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotTls => f.write_str("the client does not speak TLS"),
            Failure::Tls(error) => error.fmt(f),
            Failure::Refused(alert) => write!(f, "a record was refused: {alert:?}"),
            Failure::NewKeys => {
                f.write_str("the client changes its keys, after its connection was handed over")
            }
            Failure::BrokenOff => f.write_str("the answer was broken off"),
            Failure::HandedOver => f.write_str("another worker has it"),
        }
    }
}

/// Why nothing could be received.
#[derive(Debug)]
pub enum Trouble {
    Io(io::Error),
    Failure(Failure),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Io(error)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Failure(failure)
    }
}

/// Nothing here waits.
pub trait Channel {
    /// Gives out up to `most` bytes; returns how many. 0: the client has closed.
    fn recv(
        &mut self,
        socket: BorrowedFd<'_>,
        most: usize,
        give: &mut dyn FnMut(&[u8]),
    ) -> Result<usize, Trouble>;

    /// There is something to be received without the socket.
    fn holds(&mut self) -> bool;

    /// Encrypts some of two parts; returns how much.
    fn write(&mut self, parts: [&[u8]; 2]) -> io::Result<usize>;

    /// Encrypted and not yet sent.
    fn owes(&self) -> bool;

    /// Sends it; `false`: the socket takes no more now.
    fn flush(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool>;

    /// Says, at the next flush, that nothing more comes.
    fn close(&mut self);

    /// The client's, DER.
    fn certificate(&self) -> Option<&[u8]>;

    /// Its keys should not be used for another request.
    fn is_worn(&self) -> bool;
}

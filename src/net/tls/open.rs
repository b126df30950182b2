//! A session whose ClientHello is here: rustls does the handshake and what follows. Nothing here waits.

use super::failure::{Failure, RecvError};
use crate::sys::io;
use rustls::server::ServerConnection;
use std::io::{BufRead, ErrorKind, IoSlice, Read, Result, Write};
use std::os::fd::BorrowedFd;

/// Received in a row without a byte for the application; then others get their turn.
const MAX_READS: u32 = 64;

pub struct Open(ServerConnection);

impl Open {
    pub fn new(session: ServerConnection) -> Open {
        Open(session)
    }

    // ── receiving ──

    /// Takes what had come before the session was there.
    pub fn feed(&mut self, mut bytes: &[u8], socket: BorrowedFd<'_>) -> std::result::Result<(), RecvError> {
        self.process(socket)?;
        while !bytes.is_empty() && self.0.read_tls(&mut bytes)? > 0 {
            self.process(socket)?;
        }
        Ok(())
    }

    /// Decrypts what has come, and sends what the handshake wants to say, or the alert that says why there is none.
    fn process(&mut self, socket: BorrowedFd<'_>) -> std::result::Result<(), Failure> {
        let processed = self.0.process_new_packets();
        let _ = self.flush(socket);
        processed.map(drop).map_err(Failure::Tls)
    }

    /// Takes more bytes from the socket; `false`: the client has gone. Without a close_notify before that, whatever has a
    /// length is known to be cut off.
    fn receive(&mut self, socket: BorrowedFd<'_>) -> std::result::Result<bool, RecvError> {
        if self.0.read_tls(&mut Socket(socket))? == 0 {
            return Ok(false);
        }
        self.process(socket)?;
        Ok(true)
    }

    /// Hands out what has been decrypted. `None`: nothing is there now; `Some(0)`: nothing comes any more.
    fn give_plain(&mut self, most: usize, give: &mut impl FnMut(&[u8])) -> Option<usize> {
        let mut reader = self.0.reader();
        let mut given = 0;
        while given < most {
            let Ok(chunk) = reader.fill_buf() else { break };
            if chunk.is_empty() {
                return Some(given);
            }
            let count = chunk.len().min(most - given);
            give(&chunk[..count]);
            reader.consume(count);
            given += count;
        }
        (given > 0).then_some(given)
    }

    /// Gives out up to `most` bytes; returns how many. 0: the client has closed.
    pub fn recv(
        &mut self,
        socket: BorrowedFd<'_>,
        most: usize,
        mut give: impl FnMut(&[u8]),
    ) -> std::result::Result<usize, RecvError> {
        for _ in 0..MAX_READS {
            if let Some(given) = self.give_plain(most, &mut give) {
                return Ok(given);
            }
            if !self.receive(socket)? {
                return Ok(0);
            }
        }
        Err(RecvError::Io(ErrorKind::WouldBlock.into()))
    }

    pub fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    /// Takes what is here of a handshake; `false`: the client has gone.
    pub fn shake_hands(&mut self, socket: BorrowedFd<'_>) -> std::result::Result<bool, RecvError> {
        while self.0.is_handshaking() {
            if !self.receive(socket)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// There is something to be received without the socket.
    pub fn has_buffered_input(&mut self) -> bool {
        // Empty: a close_notify, which is to be answered.
        self.0.reader().fill_buf().is_ok()
    }

    // ── sending ──

    /// Encrypts some of two parts; returns how much.
    pub fn write(&mut self, parts: [&[u8]; 2]) -> Result<usize> {
        self.0.writer().write_vectored(&parts.map(IoSlice::new))
    }

    /// Encrypted and not yet sent.
    pub fn has_pending_output(&self) -> bool {
        self.0.wants_write()
    }

    /// Sends it; `false`: the socket takes no more now.
    pub fn flush(&mut self, socket: BorrowedFd<'_>) -> Result<bool> {
        while self.0.wants_write() {
            match self.0.write_tls(&mut Socket(socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Says, at the next flush, that nothing more comes.
    pub fn close(&mut self) {
        self.0.send_close_notify();
    }

    /// The client's, DER.
    pub fn certificate(&self) -> Option<&[u8]> {
        self.0.peer_certificates()?.first().map(|own| &own[..])
    }
}

/// Where a session reads and writes.
pub struct Socket<'a>(pub BorrowedFd<'a>);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        io::recv_slice(self.0, buffer)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        io::send(self.0, bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> Result<usize> {
        io::send_parts(self.0, parts)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

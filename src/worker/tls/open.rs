//! A session that this worker has begun: rustls has it. It can become one that is [`Moved`].

use super::channel::{Channel, Failure, TURNS, Trouble};
use super::moved::Moved;
use super::records::{self, HEADER, Keys, Version};
use crate::sys::io;
use rustls::server::ServerConnection;
use std::io::{BufRead, ErrorKind, IoSlice, Read, Result, Write};
use std::os::fd::BorrowedFd;

pub struct Open {
    session: ServerConnection,
    fed: Fed,
}

/// What rustls was given of a record that is not whole: it does not give that back. Of long records, which are bodies, only
/// the length is known.
#[derive(Default)]
pub struct Fed {
    length: usize,
    bytes: Vec<u8>,
}

/// The longest record whose bytes are kept.
const LONG: usize = 4096;

impl Fed {
    pub fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let whole = records::length(bytes).filter(|&length| self.length == 0 && length <= bytes.len());
            let count = whole.unwrap_or_else(|| self.add_part(bytes));
            bytes = &bytes[count..];
        }
    }

    /// A header or what follows it, or as much as there is of one.
    fn add_part(&mut self, bytes: &[u8]) -> usize {
        let whole = if self.length < HEADER { HEADER } else { self.whole() };
        let count = bytes.len().min(whole - self.length);
        self.length += count;
        if self.length <= HEADER || whole <= LONG {
            self.bytes.extend_from_slice(&bytes[..count]);
        }
        if self.length >= HEADER && self.length == self.whole() {
            *self = Fed::default();
        }
        count
    }

    /// The length of the record whose header is here.
    fn whole(&self) -> usize {
        records::length(&self.bytes).unwrap_or(HEADER)
    }

    fn is_known(&self) -> bool {
        self.length == self.bytes.len()
    }
}

impl Open {
    pub fn new(session: ServerConnection, fed: Fed) -> Open {
        Open { session, fed }
    }

    /// Takes what had come before the session was there.
    pub fn feed(&mut self, mut bytes: &[u8], socket: BorrowedFd<'_>) -> std::result::Result<(), Trouble> {
        self.fed.add(bytes);
        self.process(socket)?;
        while !bytes.is_empty() && self.session.read_tls(&mut bytes)? > 0 {
            self.process(socket)?;
        }
        Ok(())
    }

    /// Decrypts what has come, and sends what the handshake wants to say, or the alert that says why there is none.
    fn process(&mut self, socket: BorrowedFd<'_>) -> std::result::Result<(), Failure> {
        let processed = self.session.process_new_packets();
        let _ = self.flush(socket);
        processed.map(drop).map_err(Failure::Tls)
    }

    /// Takes more bytes from the socket; `false`: the client has gone. Without a close_notify before that, whatever has a
    /// length is known to be cut off.
    fn receive(&mut self, socket: BorrowedFd<'_>) -> std::result::Result<bool, Trouble> {
        if self.session.read_tls(&mut Source { socket, fed: &mut self.fed })? == 0 {
            return Ok(false);
        }
        self.process(socket)?;
        Ok(true)
    }

    /// Hands out what has been decrypted. `None`: nothing is there now; `Some(0)`: nothing comes any more.
    fn give_plain(&mut self, most: usize, give: &mut dyn FnMut(&[u8])) -> Option<usize> {
        let mut reader = self.session.reader();
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

    // ── leaving rustls ──

    /// Bytes that would be in a letter, besides what has been decrypted.
    pub fn luggage(&self) -> usize {
        self.certificate().map_or(0, <[u8]>::len) + self.fed.length
    }

    pub fn can_move(&self) -> bool {
        !self.session.is_handshaking() && !self.session.wants_write() && self.fed.is_known()
    }

    /// Reads on until it can be moved, or nothing more is here.
    pub fn read_on(&mut self, socket: BorrowedFd<'_>) -> std::result::Result<(), Trouble> {
        while !self.can_move() && self.receive(socket)? {}
        Ok(())
    }

    /// Goes on without rustls, at once. Only when it can be moved.
    pub fn into_moved(mut self) -> std::result::Result<Moved, Failure> {
        let mut plain = Vec::new();
        self.give_plain(usize::MAX, &mut |bytes| plain.extend_from_slice(bytes));
        let has_ended = self.holds();
        let unsupported =
            || Failure::Tls(rustls::Error::General("its keys cannot be handed over".to_owned()));
        let version = self.session.protocol_version().and_then(Version::of).ok_or_else(unsupported)?;
        let certificate = self.certificate().unwrap_or_default().to_vec();
        let secrets = self.session.dangerous_extract_secrets().map_err(Failure::Tls)?;
        let reading = Keys::extracted(version, secrets.rx).ok_or_else(unsupported)?;
        let writing = Keys::extracted(version, secrets.tx).ok_or_else(unsupported)?;
        Ok(Moved::new(reading, writing, certificate, self.fed.bytes, plain).ended(has_ended))
    }

    /// What rustls keeps for the next thing that is sent: that it has followed new keys of the client (RFC 8446 §4.6.3).
    /// `false`: something of it is still to be sent.
    pub fn settle(&mut self, socket: BorrowedFd<'_>) -> bool {
        self.session.writer().write(&[]).is_ok() && self.flush(socket).unwrap_or(false)
    }
}

impl Channel for Open {
    fn recv(
        &mut self,
        socket: BorrowedFd<'_>,
        most: usize,
        give: &mut dyn FnMut(&[u8]),
    ) -> std::result::Result<usize, Trouble> {
        for _ in 0..TURNS {
            if let Some(given) = self.give_plain(most, give) {
                return Ok(given);
            }
            if !self.receive(socket)? {
                return Ok(0);
            }
        }
        Err(Trouble::Io(ErrorKind::WouldBlock.into()))
    }

    fn holds(&mut self) -> bool {
        // Empty: a close_notify, which is to be answered.
        self.session.reader().fill_buf().is_ok()
    }

    fn write(&mut self, parts: [&[u8]; 2]) -> Result<usize> {
        self.session.writer().write_vectored(&parts.map(IoSlice::new))
    }

    fn owes(&self) -> bool {
        self.session.wants_write()
    }

    fn flush(&mut self, socket: BorrowedFd<'_>) -> Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Sink(socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn close(&mut self) {
        self.session.send_close_notify();
    }

    fn certificate(&self) -> Option<&[u8]> {
        self.session.peer_certificates()?.first().map(|own| &own[..])
    }

    /// rustls makes new keys.
    fn is_worn(&self) -> bool {
        false
    }
}

/// Where a session reads.
struct Source<'a> {
    socket: BorrowedFd<'a>,
    fed: &'a mut Fed,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = io::recv_slice(self.socket, buffer)?;
        self.fed.add(&buffer[..count]);
        Ok(count)
    }
}

/// Where it writes.
pub struct Sink<'a>(pub BorrowedFd<'a>);

impl Write for Sink<'_> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(length: u16) -> Vec<u8> {
        let [high, low] = length.to_be_bytes();
        [&[23, 3, 3, high, low][..], &vec![7; length.into()]].concat()
    }

    /// Whatever the pieces are, what is known is the record that is not whole, or that there is a long one.
    #[test]
    fn a_record_that_is_not_whole_is_known() {
        let stream = [record(0), record(300), record(16_400), record(1), record(4000), record(9)].concat();
        for step in [1, 2, 5, 7, 299, 4096, 60_000] {
            let (mut fed, mut at) = (Fed::default(), 0);
            while at < stream.len() {
                let piece = &stream[at..stream.len().min(at + step)];
                fed.add(piece);
                at += piece.len();
                let (mut begin, mut end) = (0, 0);
                while end <= at && end < stream.len() {
                    (begin, end) = (end, end + records::length(&stream[end..]).unwrap());
                }
                let left = if end <= at { at - end } else { at - begin };
                assert_eq!(fed.length, left, "{step} {at}");
                if fed.is_known() {
                    assert_eq!(fed.bytes, &stream[at - left..at]);
                } else {
                    assert!(end - begin > LONG);
                }
            }
            assert_eq!(fed.length, 0);
        }
    }
}

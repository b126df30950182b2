//! A session whose handshake another worker has done: it goes on from the keys and numbers that came in a letter. There are
//! no handshakes here: what would need one ends the session.

use super::channel::{Channel, Failure, TURNS, Trouble};
use super::records::{self, Keys, MOST_ADDED, MOST_PLAIN, PACKED, Version};
use crate::sys;
use crate::worker::spare;
use rustls::{AlertDescription, ContentType, Error as TlsError};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::BorrowedFd;

/// Encrypted in one go.
const BATCH: usize = 4 * MOST_PLAIN;
/// Received in one go: at most, and at least asked for.
const RECEIVED: usize = 4 * (MOST_PLAIN + MOST_ADDED);
const STEP: usize = 4096;
/// Records in a row that bring nothing for the application, as many as rustls allows.
const MOST_FRUITLESS: u8 = 32;
/// An alert's first byte (RFC 8446 §6). In version 1.3 it counts for nothing.
const WARNING: u8 = 1;
const FATAL: u8 = 2;
/// Keys with fewer records left begin no new request: an answer may need many.
const FEW: u64 = 1 << 23;

/// Bytes of every letter.
pub const FIXED: usize = 2 * PACKED + 1 + 4 + 4;

pub struct Moved {
    reading: Keys,
    writing: Keys,
    /// Received and not decrypted. Like the others without capacity while it is empty.
    inbox: Vec<u8>,
    /// Decrypted and not wanted yet.
    plain: Vec<u8>,
    /// Encrypted and not sent.
    outbox: Vec<u8>,
    /// The client's, DER; empty: it has shown none.
    certificate: Vec<u8>,
    fruitless: u8,
    has_closed: bool,
    is_closed: bool,
}

/// What one record has brought.
enum Brought {
    /// It lies there, in the bytes of the record.
    Text(Range<usize>),
    Nothing,
    /// The client says nothing more.
    End,
}

impl Moved {
    pub fn new(reading: Keys, writing: Keys, certificate: Vec<u8>, inbox: Vec<u8>, plain: Vec<u8>) -> Moved {
        Moved {
            reading,
            writing,
            inbox,
            plain,
            outbox: Vec::new(),
            certificate,
            fruitless: 0,
            has_closed: false,
            is_closed: false,
        }
    }

    // ── in a letter ──

    /// Bytes that are in its letter besides [`FIXED`].
    pub fn luggage(&self) -> usize {
        self.certificate.len() + self.inbox.len() + self.plain.len()
    }

    /// The client has said that nothing more comes.
    pub fn ended(self, has_closed: bool) -> Moved {
        Moved { has_closed, ..self }
    }

    pub fn can_move(&self) -> bool {
        !(self.owes() || self.has_closed || self.is_closed)
    }

    pub fn pack(&self, out: &mut Vec<u8>) {
        self.reading.pack(out);
        self.writing.pack(out);
        out.push(self.fruitless);
        for part in [&self.certificate, &self.plain] {
            out.extend_from_slice(&(part.len() as u32).to_ne_bytes());
            out.extend_from_slice(part);
        }
        out.extend_from_slice(&self.inbox);
    }

    pub fn unpack(bytes: &[u8]) -> Option<Moved> {
        let (reading, rest) = bytes.split_first_chunk::<PACKED>()?;
        let (writing, rest) = rest.split_first_chunk::<PACKED>()?;
        let (&[fruitless], rest) = rest.split_first_chunk::<1>()?;
        let (certificate, rest) = split_part(rest)?;
        let (plain, inbox) = split_part(rest)?;
        let (reading, writing) = (Keys::unpack(reading)?, Keys::unpack(writing)?);
        let moved = Moved::new(reading, writing, certificate.to_vec(), inbox.to_vec(), plain.to_vec());
        Some(Moved { fruitless, ..moved })
    }

    // ── receiving ──

    /// What was decrypted before.
    fn give_plain(&mut self, most: usize, give: &mut dyn FnMut(&[u8])) -> usize {
        let count = self.plain.len().min(most);
        give(&self.plain[..count]);
        self.plain.drain(..count);
        if self.plain.is_empty() {
            self.plain = Vec::new();
        }
        count
    }

    /// `work` holds records of which `done` bytes are done with; more come from the socket until there is something to give.
    fn recv_with(
        &mut self,
        work: &mut Vec<u8>,
        done: &mut usize,
        socket: BorrowedFd<'_>,
        most: usize,
        give: &mut dyn FnMut(&[u8]),
    ) -> Result<usize, Trouble> {
        for _ in 0..TURNS {
            let given = self.open_all(work, done, most, give)?;
            if given > 0 || self.has_closed {
                return Ok(given);
            }
            work.drain(..std::mem::take(done));
            let wanted = (most + MOST_ADDED).clamp(STEP, RECEIVED);
            work.reserve(wanted);
            if sys::io::recv(socket, work, wanted)? == 0 {
                return Ok(0);
            }
        }
        Err(Trouble::Io(ErrorKind::WouldBlock.into()))
    }

    /// Decrypts whole records until `most` bytes have been given out; what is over waits.
    fn open_all(
        &mut self,
        work: &mut [u8],
        done: &mut usize,
        most: usize,
        give: &mut dyn FnMut(&[u8]),
    ) -> Result<usize, Failure> {
        let mut given = 0;
        while given < most && !self.has_closed {
            let version = self.reading.version();
            let length = records::checked_length(&work[*done..], version).map_err(Failure::Refused)?;
            let Some(record) = length.and_then(|length| work.get_mut(*done..*done + length)) else { break };
            *done += record.len();
            match self.open_one(record)? {
                Brought::Text(place) => {
                    let text = &record[place];
                    let (now, later) = text.split_at(text.len().min(most - given));
                    give(now);
                    given += now.len();
                    self.plain.extend_from_slice(later);
                }
                Brought::Nothing => {}
                Brought::End => self.has_closed = true,
            }
        }
        Ok(given)
    }

    fn open_one(&mut self, record: &mut [u8]) -> Result<Brought, Failure> {
        let (kind, place) = self.reading.open(record).map_err(Failure::Refused)?;
        let brought = match kind {
            ContentType::ApplicationData if !place.is_empty() => Brought::Text(place),
            ContentType::ApplicationData => Brought::Nothing,
            ContentType::Alert => self.hear(&record[place])?,
            ContentType::Handshake => self.decline()?,
            _ => return Err(Failure::Refused(AlertDescription::UnexpectedMessage)),
        };
        self.fruitless = if matches!(brought, Brought::Text(_)) { 0 } else { self.fruitless + 1 };
        if self.fruitless > MOST_FRUITLESS {
            return Err(Failure::Refused(AlertDescription::UnexpectedMessage));
        }
        Ok(brought)
    }

    /// An alert of the client (RFC 8446 §6, RFC 5246 §7.2).
    fn hear(&self, alert: &[u8]) -> Result<Brought, Failure> {
        let &[level, what] = alert else { return Err(Failure::Refused(AlertDescription::DecodeError)) };
        match AlertDescription::from(what) {
            AlertDescription::CloseNotify => Ok(Brought::End),
            AlertDescription::UserCanceled => Ok(Brought::Nothing),
            _ if self.reading.version() == Version::Tls12 && level == WARNING => Ok(Brought::Nothing),
            what => Err(Failure::Tls(TlsError::AlertReceived(what))),
        }
    }

    /// A message of a handshake. TLS 1.2 lets a server pass over a new one (RFC 5246 §7.2.2). In TLS 1.3 it is a KeyUpdate
    /// (RFC 8446 §4.6.3), and the secret that the next key is made of has not come along.
    fn decline(&mut self) -> Result<Brought, Failure> {
        match self.reading.version() {
            Version::Tls12 => {
                self.alert(WARNING, AlertDescription::NoRenegotiation);
                Ok(Brought::Nothing)
            }
            Version::Tls13 => Err(Failure::NewKeys),
        }
    }

    // ── sending ──

    /// RFC 8446 §6.2. Nobody is to blame for new keys: the client learns that the connection ends, as any may.
    fn say_why(&mut self, failure: &Failure) {
        match failure {
            Failure::Refused(what) => self.alert(FATAL, *what),
            Failure::NewKeys => self.alert(WARNING, AlertDescription::CloseNotify),
            _ => {}
        }
    }

    fn alert(&mut self, level: u8, what: AlertDescription) {
        if !self.is_closed {
            let _ = self.writing.seal(ContentType::Alert, [&[level, what.into()], &[]], &mut self.outbox);
        }
    }
}

/// A length and as many bytes; and the rest.
fn split_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_ne_bytes(*length) as usize)
}

impl Channel for Moved {
    fn recv(
        &mut self,
        socket: BorrowedFd<'_>,
        most: usize,
        give: &mut dyn FnMut(&[u8]),
    ) -> Result<usize, Trouble> {
        if !self.plain.is_empty() {
            return Ok(self.give_plain(most, give));
        }
        let (mut work, mut done) = (spare::take(), 0);
        work.append(&mut self.inbox);
        let given = self.recv_with(&mut work, &mut done, socket, most, give);
        self.inbox.extend_from_slice(&work[done..]);
        if self.inbox.is_empty() {
            self.inbox = Vec::new();
        }
        spare::put(work);
        if let Err(Trouble::Failure(failure)) = &given {
            self.say_why(failure);
        }
        if self.owes() {
            let _ = self.flush(socket);
        }
        given
    }

    fn holds(&mut self) -> bool {
        let whole = |length: Option<usize>| length.is_some_and(|length| length <= self.inbox.len());
        // What is to be refused is there to be looked at, too.
        let has_record = records::checked_length(&self.inbox, self.reading.version()).map_or(true, whole);
        has_record || !self.plain.is_empty() || self.has_closed
    }

    fn owes(&self) -> bool {
        !self.outbox.is_empty()
    }

    fn flush(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        let mut sent = 0;
        while sent < self.outbox.len() {
            match sys::io::send(socket, &self.outbox[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if sent > 0 || self.outbox.capacity() > self.outbox.len() {
                        let rest = self.outbox[sent..].to_vec();
                        spare::put(std::mem::replace(&mut self.outbox, rest));
                    }
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        spare::put(std::mem::take(&mut self.outbox));
        Ok(true)
    }

    fn write(&mut self, [first, second]: [&[u8]; 2]) -> io::Result<usize> {
        if self.is_closed {
            return Err(ErrorKind::NotConnected.into());
        }
        if self.outbox.is_empty() {
            self.outbox = spare::take();
        }
        let (mut taken, whole) = (0, first.len() + second.len());
        self.outbox.reserve(whole.min(BATCH) + whole.min(BATCH).div_ceil(MOST_PLAIN) * MOST_ADDED);
        while taken < whole.min(BATCH) {
            let first = &first[taken.min(first.len())..];
            let second = &second[(taken + first.len()).saturating_sub(whole - second.len())..];
            let first = &first[..first.len().min(MOST_PLAIN)];
            let second = &second[..second.len().min(MOST_PLAIN - first.len())];
            // The last number is for the alert that ends it.
            let sealed = (self.writing.left() > 1)
                .then(|| self.writing.seal(ContentType::ApplicationData, [first, second], &mut self.outbox));
            if sealed.flatten().is_none() {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            taken += first.len() + second.len();
        }
        Ok(taken)
    }

    fn close(&mut self) {
        self.alert(WARNING, AlertDescription::CloseNotify);
        self.is_closed = true;
    }

    fn certificate(&self) -> Option<&[u8]> {
        (!self.certificate.is_empty()).then_some(&self.certificate)
    }

    fn is_worn(&self) -> bool {
        self.writing.left() < FEW
    }
}

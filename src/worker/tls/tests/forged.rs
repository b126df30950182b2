//! Against a client that forges what no client sends, with the keys of one.

use super::super::channel::Failure;
use super::super::moved::Moved;
use super::super::records::{Keys, MOST_PLAIN, PACKED, Version};
use super::super::{Session, State};
use super::{Pair, suites, text};
use rustls::{AlertDescription, ContentType, Error, SupportedCipherSuite};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

struct Forger {
    version: Version,
    writing: Keys,
    reading: Keys,
    theirs: UnixStream,
    session: Session,
    ours: UnixStream,
}

impl Forger {
    /// The session has moved, and the client is a forger.
    fn new(suite: SupportedCipherSuite) -> Forger {
        let mut pair = Pair::new(suite);
        pair.move_on();
        let version = pair.client.protocol_version().and_then(Version::of).unwrap();
        let secrets = pair.client.dangerous_extract_secrets().unwrap();
        let keys = |secrets| Keys::extracted(version, secrets).unwrap();
        Forger {
            version,
            writing: keys(secrets.tx),
            reading: keys(secrets.rx),
            theirs: pair.theirs,
            session: pair.session,
            ours: pair.ours,
        }
    }

    fn sealed(&mut self, kind: ContentType, text: &[u8]) -> Vec<u8> {
        let mut record = Vec::new();
        self.writing.seal(kind, [text, &[]], &mut record).unwrap();
        record
    }

    /// What the server makes of these bytes.
    fn send(&mut self, bytes: &[u8]) -> Result<Vec<u8>, ErrorKind> {
        self.theirs.write_all(bytes).unwrap();
        let mut came = Vec::new();
        let got = self.session.recv(self.ours.as_fd(), 100_000, |bytes| came.extend_from_slice(bytes));
        got.map(|_| came).map_err(|error| error.kind())
    }

    /// The alert that the server has sent: its level, and what it says.
    fn alert(&mut self) -> Option<(u8, AlertDescription)> {
        let mut record = [0; 100];
        self.theirs.set_nonblocking(true).unwrap();
        let length = self.theirs.read(&mut record).ok()?;
        let (kind, place) = self.reading.open(&mut record[..length]).unwrap();
        assert_eq!((kind, place.len()), (ContentType::Alert, 2));
        Some((record[place.start], record[place.start + 1].into()))
    }

    /// It ends the session, with this alert.
    fn is_refused(&mut self, bytes: &[u8], alert: AlertDescription) {
        assert_eq!(self.send(bytes), Err(ErrorKind::InvalidData));
        assert!(
            matches!(self.session.failure(), Some(Failure::Refused(what)) if *what == alert),
            "{alert:?}"
        );
        assert_eq!(self.alert(), Some((2, alert)));
        self.session.close(self.ours.as_fd());
        assert_eq!(self.alert(), None);
    }
}

#[test]
fn forged_records_are_refused() {
    for suite in suites() {
        for at in [5, 13, 20] {
            let mut forger = Forger::new(suite);
            let mut record = forger.sealed(ContentType::ApplicationData, b"forged");
            record[at] ^= 1;
            forger.is_refused(&record, AlertDescription::BadRecordMac);
        }
        let mut forger = Forger::new(suite);
        let record = forger.sealed(ContentType::ApplicationData, b"again");
        assert_eq!(forger.send(&record), Ok(b"again".to_vec()));
        forger.is_refused(&record, AlertDescription::BadRecordMac);
        Forger::new(suite).is_refused(&[23, 3, 3, 0, 4, 1, 2, 3, 4], AlertDescription::BadRecordMac);
        Forger::new(suite).is_refused(&[23, 3, 3, 255, 255], AlertDescription::RecordOverflow);
        Forger::new(suite).is_refused(b"GET / HTTP/1.1\r\n\r\n", AlertDescription::UnexpectedMessage);
    }
}

#[test]
fn what_is_against_the_protocol_is_refused() {
    for suite in suites() {
        let mut forger = Forger::new(suite);
        let other = forger.sealed(ContentType::ChangeCipherSpec, &[1]);
        forger.is_refused(&other, AlertDescription::UnexpectedMessage);
        let mut forger = Forger::new(suite);
        let long = forger.sealed(ContentType::ApplicationData, &text(MOST_PLAIN + 1));
        forger.is_refused(&long, AlertDescription::RecordOverflow);
        let mut forger = Forger::new(suite);
        let short = forger.sealed(ContentType::Alert, &[1]);
        forger.is_refused(&short, AlertDescription::DecodeError);
        let mut forger = Forger::new(suite);
        let nothing: Vec<u8> =
            (0..33).flat_map(|_| forger.sealed(ContentType::ApplicationData, b"")).collect();
        forger.is_refused(&nothing, AlertDescription::UnexpectedMessage);
        let mut forger = Forger::new(suite);
        let mut old = forger.sealed(ContentType::ApplicationData, b"old");
        if forger.version == Version::Tls12 {
            old[2] = 1;
            forger.is_refused(&old, AlertDescription::ProtocolVersion);
        }
    }
}

#[test]
fn alerts_are_heard() {
    for suite in suites() {
        let mut forger = Forger::new(suite);
        let cancel = forger.sealed(ContentType::Alert, &[1, AlertDescription::UserCanceled.into()]);
        assert_eq!(forger.send(&cancel), Err(ErrorKind::WouldBlock));
        let warning = forger.sealed(ContentType::Alert, &[1, AlertDescription::UnrecognisedName.into()]);
        let heard = forger.send(&warning);
        if forger.version == Version::Tls12 {
            assert_eq!(heard, Err(ErrorKind::WouldBlock));
            let fatal = forger.sealed(ContentType::Alert, &[2, AlertDescription::InternalError.into()]);
            assert_eq!(forger.send(&fatal), Err(ErrorKind::InvalidData));
        } else {
            // RFC 8446 §6: whatever level it says.
            assert_eq!(heard, Err(ErrorKind::InvalidData));
        }
        assert!(matches!(forger.session.failure(), Some(Failure::Tls(Error::AlertReceived(_)))));
        assert_eq!(forger.alert(), None);
    }
}

/// RFC 5246 §7.2.2: a warning, and the session goes on.
#[test]
fn a_new_handshake_is_declined() {
    for suite in suites().into_iter().filter(|suite| suite.tls13().is_none()) {
        let mut forger = Forger::new(suite);
        let hello = forger.sealed(ContentType::Handshake, &[1, 0, 0, 0]);
        assert_eq!(forger.send(&hello), Err(ErrorKind::WouldBlock));
        assert_eq!(forger.alert(), Some((1, AlertDescription::NoRenegotiation)));
        let request = forger.sealed(ContentType::ApplicationData, b"goes on");
        assert_eq!(forger.send(&request), Ok(b"goes on".to_vec()));
        let many: Vec<u8> =
            (0..33).flat_map(|_| forger.sealed(ContentType::Handshake, &[1, 0, 0, 0])).collect();
        assert_eq!(forger.send(&many), Err(ErrorKind::InvalidData));
    }
}

/// RFC 8446 §5.4.
#[test]
fn padding_is_no_text() {
    for suite in suites().into_iter().filter(|suite| suite.tls13().is_some()) {
        let mut forger = Forger::new(suite);
        let padded = [&b"text"[..], &[23], &[0; 500]].concat();
        let record = forger.sealed(0.into(), &padded);
        assert_eq!(forger.send(&record), Ok(b"text".to_vec()));
        let only_padding = forger.sealed(0.into(), &[0; 100]);
        forger.is_refused(&only_padding, AlertDescription::UnexpectedMessage);
    }
}

/// What a letter says of one direction, with another number in it.
fn renumbered(keys: &Keys, number: u64) -> Keys {
    let mut packed = Vec::new();
    keys.pack(&mut packed);
    packed[PACKED - 8..].copy_from_slice(&number.to_ne_bytes());
    Keys::unpack(packed.first_chunk().unwrap()).unwrap()
}

#[test]
fn a_key_wears_out() {
    for suite in suites() {
        let limit = suite.tls13().map_or(1 << 24, |suite| suite.common.confidentiality_limit);
        if limit == u64::MAX || format!("{suite:?}").contains("CHACHA") {
            continue;
        }
        let forger = Forger::new(suite);
        let ours = forger.ours.as_fd();
        let at = |left: u64| {
            let keys = || renumbered(&forger.writing, limit - left);
            let moved = Moved::new(keys(), keys(), Vec::new(), Vec::new(), Vec::new());
            Session { state: State::Moved(moved), variables: None, exports_certificate: false }
        };
        assert!(!at(limit).is_worn() && at(1000).is_worn());
        let mut session = at(3);
        assert_eq!(session.send(ours, [b"one", &[]]).unwrap(), 3);
        assert_eq!(session.send(ours, [b"two", &[]]).unwrap(), 3);
        assert_eq!(session.send(ours, [b"three", &[]]).unwrap_err().kind(), ErrorKind::ConnectionAborted);
        session.close(ours);
        assert!(session.send(ours, [b"four", &[]]).is_err());
    }
}

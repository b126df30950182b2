//! A session of this server, moved as often as one likes, against a client of rustls.

mod forged;

use super::channel::Failure;
use super::moved::Moved;
use super::open::{Fed, Open};
use super::records::MOST_PLAIN;
use super::{Session, State};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConfig, ServerConnection,
    SignatureScheme, SupportedCipherSuite,
};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Takes the server for whoever it says it is.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// All that a client and this server can agree on with an ECDSA key.
fn suites() -> Vec<SupportedCipherSuite> {
    let mut suites = provider::default_provider().cipher_suites;
    suites.retain(|suite| !format!("{suite:?}").contains("_RSA_"));
    assert_eq!(suites.len(), 6);
    suites
}

struct Pair {
    client: ClientConnection,
    theirs: UnixStream,
    session: Session,
    ours: UnixStream,
}

fn configs(suite: SupportedCipherSuite) -> (ClientConfig, ServerConfig) {
    let provider = Arc::new(CryptoProvider { cipher_suites: vec![suite], ..provider::default_provider() });
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
    let key = PrivatePkcs8KeyDer::from(document.as_ref().to_vec()).into();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let certified = CertifiedKey::new(vec![CertificateDer::from(b"any".to_vec())], key);
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    (client.enable_secret_extraction, server.enable_secret_extraction) = (true, true);
    (client, server)
}

impl Pair {
    /// The handshake is done, and one message has gone each way.
    fn new(suite: SupportedCipherSuite) -> Pair {
        let (client, server) = configs(suite);
        let (theirs, ours) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let open = Open::new(ServerConnection::new(Arc::new(server)).unwrap(), Fed::default());
        let mut pair = Pair {
            client: ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap(),
            theirs,
            session: Session { state: State::Open(open), variables: None, exports_certificate: false },
            ours,
        };
        while pair.client.is_handshaking() {
            pair.pump();
            assert_eq!(pair.receive().unwrap_err(), ErrorKind::WouldBlock);
        }
        pair.ask(b"before");
        pair.answer(b"after");
        pair
    }

    /// The client sends and receives what it can.
    fn pump(&mut self) {
        while self.client.wants_write() {
            if self.client.write_tls(&mut self.theirs).is_err() {
                break;
            }
        }
        while self.client.read_tls(&mut self.theirs).is_ok_and(|count| count > 0) {
            self.client.process_new_packets().unwrap();
        }
    }

    fn receive(&mut self) -> Result<Vec<u8>, ErrorKind> {
        let mut came = Vec::new();
        let got = self.session.recv(self.ours.as_fd(), 100_000, |bytes| came.extend_from_slice(bytes));
        assert_eq!(got.as_ref().map_or(0, |&got| got), came.len());
        got.map(|_| came).map_err(|error| error.kind())
    }

    /// From the client.
    fn ask(&mut self, text: &[u8]) {
        let (mut sent, mut came) = (0, Vec::new());
        while came.len() < text.len() {
            sent += self.client.writer().write(&text[sent..]).unwrap();
            self.pump();
            match self.receive() {
                Ok(part) => came.extend_from_slice(&part),
                Err(kind) => assert_eq!(kind, ErrorKind::WouldBlock),
            }
        }
        assert!(came == text);
    }

    /// From the server, the beginning and the end in two buffers.
    fn answer(&mut self, text: &[u8]) {
        let (first, second) = text.split_at(text.len() / 3);
        let (mut sent, mut came) = (0, Vec::new());
        while came.len() < text.len() {
            let rest = [&first[sent.min(first.len())..], &second[sent.saturating_sub(first.len())..]];
            match self.session.send(self.ours.as_fd(), rest) {
                Ok(count) => sent += count,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            self.pump();
            let _ = self.client.reader().read_to_end(&mut came);
        }
        assert!(came == text);
    }

    fn move_on(&mut self) {
        assert!(self.session.detach(self.ours.as_fd()));
        let mut letter = Vec::new();
        self.session.pack(&mut letter);
        assert_eq!(letter.len(), super::FIXED + self.session.luggage().unwrap());
        self.session.let_go();
        assert!(self.session.resume(&letter));
        assert!(matches!(self.session.state, State::Moved(_)));
    }
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

#[test]
fn a_moved_session_goes_on() {
    for suite in suites() {
        let mut pair = Pair::new(suite);
        for length in [1, 500, MOST_PLAIN - 1, MOST_PLAIN, MOST_PLAIN + 1, 300_000, 2] {
            pair.move_on();
            for _ in 0..2 {
                pair.ask(&text(length));
                pair.answer(&text(length));
            }
        }
        pair.client.send_close_notify();
        pair.pump();
        assert_eq!(pair.receive(), Ok(Vec::new()), "{suite:?}");
        assert!(pair.session.holds() && !pair.session.detach(pair.ours.as_fd()));
        for _ in 0..2 {
            pair.session.close(pair.ours.as_fd());
        }
        pair.pump();
        assert_eq!(pair.client.reader().read(&mut [0; 9]).unwrap(), 0);
    }
}

/// Before it moves: rustls follows. Behind it nobody can.
#[test]
fn new_keys_before_and_behind_a_move() {
    for suite in suites().into_iter().filter(|suite| suite.tls13().is_some()) {
        let mut pair = Pair::new(suite);
        pair.client.refresh_traffic_keys().unwrap();
        pair.ask(b"with new keys");
        pair.client.refresh_traffic_keys().unwrap();
        pair.pump();
        assert_eq!(pair.receive(), Err(ErrorKind::WouldBlock));
        pair.move_on();
        pair.answer(b"with new keys");
        pair.ask(b"with new keys");
        pair.client.refresh_traffic_keys().unwrap();
        pair.pump();
        assert_eq!(pair.receive(), Err(ErrorKind::InvalidData));
        assert!(matches!(pair.session.failure(), Some(Failure::NewKeys)));
        pair.pump();
        assert_eq!(pair.client.reader().read(&mut [0; 9]).unwrap(), 0);
    }
}

#[test]
fn half_a_record_moves_along() {
    for suite in suites() {
        for moved_before in [false, true] {
            let mut pair = Pair::new(suite);
            if moved_before {
                pair.move_on();
            }
            let mut record = Vec::new();
            pair.client.writer().write_all(&text(1000)).unwrap();
            pair.client.write_tls(&mut record).unwrap();
            for part in record.chunks(400) {
                assert_eq!(pair.receive(), Err(ErrorKind::WouldBlock));
                assert!(!pair.session.holds());
                pair.move_on();
                pair.theirs.write_all(part).unwrap();
            }
            assert_eq!(pair.receive(), Ok(text(1000)), "{suite:?}");
            pair.answer(b"all of it");
        }
    }
}

/// rustls has it, and does not give it back.
#[test]
fn half_a_long_record_stays_until_it_is_whole() {
    let mut pair = Pair::new(suites()[0]);
    let mut record = Vec::new();
    pair.client.writer().write_all(&text(8000)).unwrap();
    pair.client.write_tls(&mut record).unwrap();
    pair.theirs.write_all(&record[..5000]).unwrap();
    assert_eq!(pair.receive(), Err(ErrorKind::WouldBlock));
    pair.session.read_on(pair.ours.as_fd());
    assert!(pair.session.luggage().is_none() && !pair.session.detach(pair.ours.as_fd()));
    pair.theirs.write_all(&record[5000..]).unwrap();
    pair.session.read_on(pair.ours.as_fd());
    pair.move_on();
    pair.move_on();
    assert!(pair.session.holds());
    assert_eq!(pair.receive(), Ok(text(8000)));
    pair.answer(b"all of it");
}

#[test]
fn what_is_not_read_moves_along() {
    for moved_before in [false, true] {
        let mut pair = Pair::new(suites()[1]);
        if moved_before {
            pair.move_on();
        }
        pair.client.writer().write_all(&text(100)).unwrap();
        pair.client.send_close_notify();
        pair.pump();
        let mut came = Vec::new();
        let socket = pair.ours.as_fd();
        assert_eq!(pair.session.recv(socket, 40, |part| came.extend_from_slice(part)).unwrap(), 40);
        assert!(pair.session.holds());
        // With the end behind it there is nothing to be gained.
        assert_eq!(pair.session.detach(socket), moved_before);
        assert_eq!(pair.session.recv(socket, 100, |part| came.extend_from_slice(part)).unwrap(), 60);
        assert!(came == text(100) && pair.session.holds());
        assert_eq!(pair.receive(), Ok(Vec::new()));
    }
}

#[test]
fn what_is_not_sent_stays() {
    for moved_before in [false, true] {
        let mut pair = Pair::new(suites()[1]);
        if moved_before {
            pair.move_on();
        }
        while pair.session.send(pair.ours.as_fd(), [&text(100_000), &[]]).is_ok() {}
        assert!(pair.session.owes() && !pair.session.detach(pair.ours.as_fd()));
        assert!(pair.session.failure().is_none());
    }
}

/// Whoever finds it in the table while every thread is busy brings the handshake to its end.
#[test]
fn a_handshake_ends_before_the_session_moves() {
    for suite in suites() {
        let (client, server) = configs(suite);
        let (theirs, ours) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        ours.set_nonblocking(true).unwrap();
        let open = Open::new(ServerConnection::new(Arc::new(server)).unwrap(), Fed::default());
        let client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
        let session = Session { state: State::Open(open), variables: None, exports_certificate: false };
        let mut pair = Pair { client, theirs, session, ours };
        pair.client.writer().write_all(b"the first").unwrap();
        let mut steps = 0;
        while pair.session.luggage().is_none() {
            pair.pump();
            pair.session.read_on(pair.ours.as_fd());
            steps += 1;
            assert!(steps < 9, "{suite:?}");
        }
        pair.move_on();
        // In TLS 1.2 the server is ready before the client.
        (0..2).for_each(|_| pair.pump());
        assert_eq!(pair.receive(), Ok(b"the first".to_vec()));
        pair.answer(b"an answer");
    }
}

#[test]
fn a_letter_that_cannot_be_read_is_none() {
    let mut letter = Vec::new();
    let mut pair = Pair::new(suites()[0]);
    pair.move_on();
    pair.session.pack(&mut letter);
    for length in 1..letter.len() {
        assert!(Moved::unpack(&letter[..length]).is_none());
    }
    letter[1] = 9;
    assert!(Moved::unpack(&letter).is_none());
}

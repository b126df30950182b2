//! TLS on a connection: bytes of the socket in, bytes of the client out, and the other way round. Nothing here waits.

use crate::base::x509::Certificate;
use crate::config::Settings;
use crate::sys::io;
use rustls::server::{Acceptor, ServerConfig, ServerConnection};
use std::fmt;
use std::io::{BufRead, Error, ErrorKind, IoSlice, Read, Result, Write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// What a TLS listener answers with.
#[derive(Debug)]
pub struct Service {
    settings: Arc<Settings>,
    /// Its place among the listeners of the settings.
    listener: usize,
}

impl Service {
    /// `None`: no TLS is spoken there.
    pub fn of(settings: &Arc<Settings>, listener: usize) -> Option<Arc<Service>> {
        let service = Service { settings: settings.clone(), listener };
        service.context(None).map(|_| Arc::new(service))
    }

    /// The context for the name that a client asks for.
    fn context(&self, name: Option<&str>) -> Option<Arc<ServerConfig>> {
        let mut named = self.settings.tls.names.iter();
        let found = name.and_then(|name| named.find(|(one, _)| one.fits(name)));
        let identity = match found {
            Some((_, identity)) => identity,
            None => self.settings.listeners.get(self.listener)?.tls.as_deref()?,
        };
        identity.context.as_ref().map(|context| context.0.clone())
    }
}

/// Why a session cannot go on.
#[derive(Debug)]
pub enum Failure {
    /// The client did not begin with a handshake: it speaks HTTP, most likely.
    NotTls,
    Tls(rustls::Error),
    /// An answer without its end was the last.
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

#[expect(clippy::large_enum_variant, reason = "the largest is the usual one, and the session is in a box")]
enum State {
    /// The name that the client asks for is not known yet.
    Hello(Box<Hello>),
    Open(ServerConnection),
    Broken(Failure),
}

struct Hello {
    acceptor: Acceptor,
    service: Arc<Service>,
    /// Some of the client's bytes have been taken.
    begun: bool,
}

pub struct Session {
    state: State,
    /// Received from the socket and not looked at.
    ahead: Vec<u8>,
    /// Made for the first request.
    variables: Option<Vec<(&'static str, Vec<u8>)>>,
    exports_certificate: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

/// The first byte of a handshake record (RFC 8446 §5.1).
pub const HANDSHAKE: u8 = 22;
/// Received at most in one step of a handshake.
const STEP: usize = 4096;
/// Received in a row without a byte for the application; then others get their turn.
const TURNS: u32 = 64;

impl Session {
    pub fn new(service: Arc<Service>) -> Session {
        Session {
            exports_certificate: service.settings.tls.export_certificate,
            state: State::Hello(Box::new(Hello { acceptor: Acceptor::default(), service, begun: false })),
            ahead: Vec::new(),
            variables: None,
        }
    }

    pub fn is_untouched(&self) -> bool {
        matches!(&self.state, State::Hello(hello) if !hello.begun) && self.ahead.is_empty()
    }

    pub fn failure(&self) -> Option<&Failure> {
        if let State::Broken(failure) = &self.state { Some(failure) } else { None }
    }

    pub fn push_back(&mut self, bytes: &mut Vec<u8>) {
        self.ahead.append(bytes);
    }

    fn fail(&mut self, failure: Failure) -> Error {
        self.state = State::Broken(failure);
        ErrorKind::InvalidData.into()
    }

    // ── receiving ──

    /// Gives out up to `most` bytes; returns how many. 0: the client has closed.
    pub fn recv(
        &mut self,
        socket: BorrowedFd<'_>,
        most: usize,
        mut give: impl FnMut(&[u8]),
    ) -> Result<usize> {
        for _ in 0..TURNS {
            match &mut self.state {
                State::Hello(..) => {
                    if !self.greet(socket)? {
                        return Ok(0);
                    }
                }
                State::Open(session) => {
                    if let Some(given) = give_plain(session, most, &mut give) {
                        return Ok(given);
                    }
                    if !self.receive(socket)? {
                        return Ok(0);
                    }
                }
                State::Broken(_) => return Err(ErrorKind::InvalidData.into()),
            }
        }
        Err(ErrorKind::WouldBlock.into())
    }

    /// Reads on until the client has told which name it asks for; `false`: it has gone.
    fn greet(&mut self, socket: BorrowedFd<'_>) -> Result<bool> {
        let State::Hello(hello) = &mut self.state else { return Ok(true) };
        if self.ahead.is_empty() && io::recv(socket, &mut self.ahead, STEP)? == 0 {
            return Ok(false);
        }
        if !hello.begun && self.ahead.first() != Some(&HANDSHAKE) {
            return Err(self.fail(Failure::NotTls));
        }
        hello.begun = true;
        let mut rest = &self.ahead[..];
        hello.acceptor.read_tls(&mut rest)?;
        let taken = self.ahead.len() - rest.len();
        self.ahead.drain(..taken);
        let opened = match hello.acceptor.accept() {
            Ok(None) => return Ok(true),
            Ok(Some(accepted)) => match hello.service.context(accepted.client_hello().server_name()) {
                Some(context) => accepted.into_connection(context),
                None => return Err(ErrorKind::InvalidData.into()),
            },
            Err(failed) => Err(failed),
        };
        match opened {
            Ok(session) => {
                self.state = State::Open(session);
                self.process(socket).map(|()| true)
            }
            Err((error, mut alert)) => {
                let _ = alert.write(&mut Sink(socket));
                Err(self.fail(Failure::Tls(error)))
            }
        }
    }

    /// Takes more bytes from the socket; `false`: the client has gone. Without a close_notify before that, whatever has a
    /// length is known to be cut off.
    fn receive(&mut self, socket: BorrowedFd<'_>) -> Result<bool> {
        let State::Open(session) = &mut self.state else { return Ok(false) };
        let came = session.read_tls(&mut Source { ahead: &mut self.ahead, socket });
        if came? == 0 {
            return Ok(false);
        }
        self.process(socket).map(|()| true)
    }

    /// Decrypts what has come, and sends what the handshake wants to say, or the alert that says why there is none.
    fn process(&mut self, socket: BorrowedFd<'_>) -> Result<()> {
        if self.ahead.is_empty() && self.ahead.capacity() > 0 {
            self.ahead = Vec::new();
        }
        let State::Open(session) = &mut self.state else { return Ok(()) };
        let processed = session.process_new_packets();
        if session.wants_write() {
            let _ = flush(session, socket);
        }
        match processed {
            Ok(_) => Ok(()),
            Err(error) => Err(self.fail(Failure::Tls(error))),
        }
    }

    /// There is something to be received without the socket.
    pub fn holds(&mut self) -> bool {
        match &mut self.state {
            // Empty: a close_notify, which is to be answered.
            State::Open(session) => !self.ahead.is_empty() || session.reader().fill_buf().is_ok(),
            State::Hello(..) => !self.ahead.is_empty(),
            State::Broken(_) => false,
        }
    }

    // ── sending ──

    /// Encrypts and sends as much as goes without waiting, a little more of it than the socket takes.
    pub fn send(&mut self, socket: BorrowedFd<'_>, parts: [&[u8]; 2]) -> Result<usize> {
        let State::Open(session) = &mut self.state else { return Err(ErrorKind::NotConnected.into()) };
        let [first, second] = parts;
        let (mut taken, whole) = (0, first.len() + second.len());
        loop {
            if !flush(session, socket)? {
                return if taken > 0 { Ok(taken) } else { Err(ErrorKind::WouldBlock.into()) };
            }
            if taken == whole {
                return Ok(taken);
            }
            let rest = [&first[taken.min(first.len())..], &second[taken.saturating_sub(first.len())..]];
            taken += session.writer().write_vectored(&rest.map(IoSlice::new))?;
        }
    }

    /// Encrypted and not yet sent.
    pub fn owes(&self) -> bool {
        matches!(&self.state, State::Open(session) if session.wants_write())
    }

    /// Nothing more is said, not even that nothing more comes: RFC 8446 §6.1 makes that a truncation.
    pub fn break_off(&mut self) {
        self.state = State::Broken(Failure::BrokenOff);
    }

    /// Says that nothing more comes.
    pub fn close(&mut self, socket: BorrowedFd<'_>) {
        if let State::Open(session) = &mut self.state {
            session.send_close_notify();
            let _ = flush(session, socket);
        }
    }

    // ── what the application is told ──

    /// uWSGI's variables: HTTPS, and what the client's certificate says.
    pub fn variables(&mut self) -> &[(&'static str, Vec<u8>)] {
        if self.variables.is_none() {
            self.variables = Some(self.make_variables());
        }
        self.variables.as_deref().unwrap_or_default()
    }

    fn make_variables(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut variables = vec![("HTTPS", b"on".to_vec())];
        let State::Open(session) = &self.state else { return variables };
        let Some(own) = session.peer_certificates().and_then(<[_]>::first) else { return variables };
        variables.push(("HTTPS_CLIENT_CERTIFICATE", own.to_vec()));
        if let Some(parsed) = Certificate::parse(own) {
            variables.push(("HTTPS_DN", parsed.subject_line().into_bytes()));
        }
        if self.exports_certificate {
            variables.push(("HTTPS_CC", pem(own)));
        }
        variables
    }
}

/// Hands out what has been decrypted. `None`: nothing is there now; `Some(0)`: nothing comes any more.
fn give_plain(session: &mut ServerConnection, most: usize, give: &mut impl FnMut(&[u8])) -> Option<usize> {
    let mut reader = session.reader();
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

/// `false`: the socket takes no more now.
fn flush(session: &mut ServerConnection, socket: BorrowedFd<'_>) -> Result<bool> {
    while session.wants_write() {
        match session.write_tls(&mut Sink(socket)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Where a session reads: what has come already, then the socket.
struct Source<'a> {
    ahead: &'a mut Vec<u8>,
    socket: BorrowedFd<'a>,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.ahead.is_empty() {
            return io::recv_slice(self.socket, buffer);
        }
        let count = self.ahead.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.ahead[..count]);
        self.ahead.drain(..count);
        Ok(count)
    }
}

/// Where it writes.
struct Sink<'a>(BorrowedFd<'a>);

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

/// RFC 7468: 64 characters a line.
fn pem(der: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = b"-----BEGIN CERTIFICATE-----\n".to_vec();
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            let digit = |at: usize| DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            out.extend((0..4).map(|at| if at <= group.len() { digit(at) } else { b'=' }));
        }
        out.push(b'\n');
    }
    out.extend_from_slice(b"-----END CERTIFICATE-----\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_is_base64_in_lines() {
        let body = |der: &[u8]| {
            let text = String::from_utf8(pem(der)).unwrap();
            text.lines().filter(|line| !line.starts_with('-')).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(body(b"f"), ["Zg=="]);
        assert_eq!(body(b"fo"), ["Zm8="]);
        assert_eq!(body(b"foobar"), ["Zm9vYmFy"]);
        assert_eq!(body(&[255; 49]).iter().map(String::len).collect::<Vec<_>>(), [64, 4]);
    }
}

//! TLS on a connection: bytes of the socket in, bytes of the client out, and the other way round. Nothing here waits.
//! All of the protocol is rustls, and the keys never leave it.

mod facts;
mod failure;
mod open;

use crate::config::Settings;
use crate::sys::io;
use facts::Variables;
pub use failure::Failure;
use failure::RecvError;
use open::{Open, Socket};
use rustls::server::{Acceptor, ServerConfig};
use std::fmt;
use std::io::{Error, ErrorKind, Result};
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

#[expect(clippy::large_enum_variant, reason = "a connection boxes its session, and most are open")]
enum State {
    /// The name that the client asks for is not known yet.
    Hello(Box<Hello>),
    Open(Open),
    Broken(Failure),
}

struct Hello {
    acceptor: Acceptor,
    service: Arc<Service>,
    /// Received from the socket and not looked at.
    ahead: Vec<u8>,
    /// Some of the client's bytes have been taken.
    begun: bool,
}

pub struct Session {
    state: State,
    /// Made for the first request.
    variables: Option<Variables>,
    exports_certificate: bool,
    /// Its handshake is done, and [`Session::note_handshake`] has said so.
    is_noted: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

/// The first byte of a handshake record (RFC 8446 §5.1).
pub const HANDSHAKE: u8 = 22;
/// Received at most in one step of a handshake.
const READ_CHUNK: usize = 4096;

impl Session {
    pub fn new(service: Arc<Service>) -> Session {
        let exports_certificate = service.settings.tls.export_certificate;
        let hello = Hello { acceptor: Acceptor::default(), service, ahead: Vec::new(), begun: false };
        Session {
            state: State::Hello(Box::new(hello)),
            variables: None,
            exports_certificate,
            is_noted: false,
        }
    }

    pub fn failure(&self) -> Option<&Failure> {
        if let State::Broken(failure) = &self.state { Some(failure) } else { None }
    }

    pub fn push_back(&mut self, bytes: &mut Vec<u8>) {
        if let State::Hello(hello) = &mut self.state {
            hello.ahead.append(bytes);
        }
    }

    fn open(&mut self) -> Option<&mut Open> {
        if let State::Open(open) = &mut self.state { Some(open) } else { None }
    }

    fn fail(&mut self, failure: Failure) -> Error {
        self.state = State::Broken(failure);
        ErrorKind::InvalidData.into()
    }

    fn recv_error(&mut self, error: RecvError) -> Error {
        match error {
            RecvError::Io(error) => error,
            RecvError::Failure(failure) => self.fail(failure),
        }
    }

    // ── receiving ──

    /// Gives out up to `most` bytes; returns how many. 0: the client has closed.
    pub fn recv(&mut self, socket: BorrowedFd<'_>, most: usize, give: impl FnMut(&[u8])) -> Result<usize> {
        while let State::Hello(..) = self.state {
            if !self.greet(socket)? {
                return Ok(0);
            }
        }
        let Some(open) = self.open() else { return Err(ErrorKind::InvalidData.into()) };
        if open.has_pending_output() {
            open.flush(socket)?;
        }
        let received = open.recv(socket, most, give);
        received.map_err(|error| self.recv_error(error))
    }

    /// Reads on until the ClientHello with the server name is here; `false`: the client has gone.
    fn greet(&mut self, socket: BorrowedFd<'_>) -> Result<bool> {
        let State::Hello(hello) = &mut self.state else { return Ok(true) };
        if hello.ahead.is_empty() && io::recv(socket, &mut hello.ahead, READ_CHUNK)? == 0 {
            return Ok(false);
        }
        if !hello.begun && hello.ahead.first() != Some(&HANDSHAKE) {
            return Err(self.fail(Failure::NotTls));
        }
        hello.begun = true;
        let mut rest = &hello.ahead[..];
        hello.acceptor.read_tls(&mut rest)?;
        let taken = hello.ahead.len() - rest.len();
        hello.ahead.drain(..taken);
        let opened = match hello.acceptor.accept() {
            Ok(None) => return Ok(true),
            Ok(Some(accepted)) => match hello.service.context(accepted.client_hello().server_name()) {
                Some(context) => accepted.into_connection(context),
                None => return Err(ErrorKind::InvalidData.into()),
            },
            Err(failed) => Err(failed),
        };
        let ahead = std::mem::take(&mut hello.ahead);
        match opened {
            Ok(session) => {
                let mut open = Open::new(session);
                let begun = open.feed(&ahead, socket);
                self.state = State::Open(open);
                begun.map(|()| true).map_err(|error| self.recv_error(error))
            }
            Err((error, mut alert)) => {
                let _ = alert.write(&mut Socket(socket));
                Err(self.fail(Failure::Tls(error)))
            }
        }
    }

    /// A handshake has begun and is not done.
    pub fn is_handshaking(&self) -> bool {
        match &self.state {
            State::Hello(hello) => hello.begun,
            State::Open(open) => open.is_handshaking(),
            State::Broken(_) => false,
        }
    }

    /// Its handshake is done: `true` once.
    pub fn note_handshake(&mut self) -> bool {
        let is_news = !self.is_noted && self.open().is_some_and(|open| !open.is_handshaking());
        self.is_noted |= is_news;
        is_news
    }

    /// Goes on with a handshake as far as the client's bytes are here. If it fails, the next `recv` returns the error.
    pub fn shake_hands(&mut self, socket: BorrowedFd<'_>) {
        while matches!(&self.state, State::Hello(hello) if hello.begun) {
            if !self.greet(socket).unwrap_or(false) {
                return;
            }
        }
        if let State::Open(open) = &mut self.state
            && let Err(error) = open.shake_hands(socket)
        {
            self.recv_error(error);
        }
    }

    /// There is something to be received without the socket.
    pub fn has_buffered_input(&mut self) -> bool {
        match &mut self.state {
            State::Hello(hello) => !hello.ahead.is_empty(),
            State::Open(open) => open.has_buffered_input(),
            State::Broken(_) => false,
        }
    }

    // ── sending ──

    /// Encrypts and sends as much as goes without waiting, a little more of it than the socket takes.
    pub fn send(&mut self, socket: BorrowedFd<'_>, parts: [&[u8]; 2]) -> Result<usize> {
        let Some(open) = self.open() else { return Err(ErrorKind::NotConnected.into()) };
        let [first, second] = parts;
        let (mut taken, whole) = (0, first.len() + second.len());
        loop {
            if !open.flush(socket)? {
                return if taken > 0 { Ok(taken) } else { Err(ErrorKind::WouldBlock.into()) };
            }
            if taken == whole {
                return Ok(taken);
            }
            taken +=
                open.write([&first[taken.min(first.len())..], &second[taken.saturating_sub(first.len())..]])?;
        }
    }

    /// Encrypted and not yet sent.
    pub fn has_pending_output(&self) -> bool {
        matches!(&self.state, State::Open(open) if open.has_pending_output())
    }

    /// Nothing more is said, not even that nothing more comes: RFC 8446 §6.1 makes that a truncation.
    pub fn break_off(&mut self) {
        self.state = State::Broken(Failure::BrokenOff);
    }

    /// Says that nothing more comes.
    pub fn close(&mut self, socket: BorrowedFd<'_>) {
        if let Some(open) = self.open() {
            open.close();
            let _ = open.flush(socket);
        }
    }

    /// It has taken nothing from the socket: another worker can begin it in this one's place.
    pub fn is_untouched(&self) -> bool {
        matches!(&self.state, State::Hello(hello) if !hello.begun && hello.ahead.is_empty())
    }

    // ── variables for the application ──

    pub fn variables(&mut self) -> &[(&'static str, Vec<u8>)] {
        if self.variables.is_none() {
            let exports = self.exports_certificate;
            let certificate = self.open().and_then(|open| open.certificate());
            self.variables = Some(facts::variables(certificate, exports));
        }
        self.variables.as_deref().unwrap_or_default()
    }
}

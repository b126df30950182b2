//! TLS on a connection: bytes of the socket in, bytes of the client out, and the other way round. Nothing here waits. rustls
//! does the handshake and what follows, until the connection is handed over: then it goes on from its keys alone.

pub mod channel;
mod facts;
pub mod moved;
mod open;
pub mod records;
#[cfg(test)]
mod tests;

use crate::config::Settings;
use crate::sys::io;
pub use channel::Failure;
use channel::{Channel, Trouble};
use facts::Variables;
pub use moved::FIXED;
use moved::Moved;
use open::{Fed, Open, Sink};
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

enum State {
    /// The name that the client asks for is not known yet.
    Hello(Box<Hello>),
    Open(Open),
    Moved(Moved),
    Broken(Failure),
}

struct Hello {
    acceptor: Acceptor,
    service: Arc<Service>,
    /// Received from the socket and not looked at.
    ahead: Vec<u8>,
    fed: Fed,
    /// Some of the client's bytes have been taken.
    begun: bool,
}

pub struct Session {
    state: State,
    /// Made for the first request.
    variables: Option<Variables>,
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

impl Session {
    pub fn new(service: Arc<Service>) -> Session {
        let exports_certificate = service.settings.tls.export_certificate;
        let (acceptor, fed, ahead) = (Acceptor::default(), Fed::default(), Vec::new());
        let hello = Hello { acceptor, service, ahead, fed, begun: false };
        Session { state: State::Hello(Box::new(hello)), variables: None, exports_certificate }
    }

    pub fn failure(&self) -> Option<&Failure> {
        if let State::Broken(failure) = &self.state { Some(failure) } else { None }
    }

    pub fn push_back(&mut self, bytes: &mut Vec<u8>) {
        if let State::Hello(hello) = &mut self.state {
            hello.ahead.append(bytes);
        }
    }

    fn channel(&mut self) -> Option<&mut dyn Channel> {
        match &mut self.state {
            State::Open(open) => Some(open),
            State::Moved(moved) => Some(moved),
            State::Hello(..) | State::Broken(_) => None,
        }
    }

    fn fail(&mut self, failure: Failure) -> Error {
        self.state = State::Broken(failure);
        ErrorKind::InvalidData.into()
    }

    fn trouble(&mut self, trouble: Trouble) -> Error {
        match trouble {
            Trouble::Io(error) => error,
            Trouble::Failure(failure) => self.fail(failure),
        }
    }

    // ── receiving ──

    /// Gives out up to `most` bytes; returns how many. 0: the client has closed.
    pub fn recv(
        &mut self,
        socket: BorrowedFd<'_>,
        most: usize,
        mut give: impl FnMut(&[u8]),
    ) -> Result<usize> {
        while let State::Hello(..) = self.state {
            if !self.greet(socket)? {
                return Ok(0);
            }
        }
        let Some(channel) = self.channel() else { return Err(ErrorKind::InvalidData.into()) };
        if channel.owes() {
            channel.flush(socket)?;
        }
        let received = channel.recv(socket, most, &mut give);
        received.map_err(|trouble| self.trouble(trouble))
    }

    /// Reads on until the client has told which name it asks for; `false`: it has gone.
    fn greet(&mut self, socket: BorrowedFd<'_>) -> Result<bool> {
        let State::Hello(hello) = &mut self.state else { return Ok(true) };
        if hello.ahead.is_empty() && io::recv(socket, &mut hello.ahead, STEP)? == 0 {
            return Ok(false);
        }
        if !hello.begun && hello.ahead.first() != Some(&HANDSHAKE) {
            return Err(self.fail(Failure::NotTls));
        }
        hello.begun = true;
        let mut rest = &hello.ahead[..];
        hello.acceptor.read_tls(&mut rest)?;
        let taken = hello.ahead.len() - rest.len();
        hello.fed.add(&hello.ahead[..taken]);
        hello.ahead.drain(..taken);
        let opened = match hello.acceptor.accept() {
            Ok(None) => return Ok(true),
            Ok(Some(accepted)) => match hello.service.context(accepted.client_hello().server_name()) {
                Some(context) => accepted.into_connection(context),
                None => return Err(ErrorKind::InvalidData.into()),
            },
            Err(failed) => Err(failed),
        };
        let (fed, ahead) = (std::mem::take(&mut hello.fed), std::mem::take(&mut hello.ahead));
        match opened {
            Ok(session) => {
                let mut open = Open::new(session, fed);
                let begun = open.feed(&ahead, socket);
                self.state = State::Open(open);
                begun.map(|()| true).map_err(|trouble| self.trouble(trouble))
            }
            Err((error, mut alert)) => {
                let _ = alert.write(&mut Sink(socket));
                Err(self.fail(Failure::Tls(error)))
            }
        }
    }

    /// There is something to be received without the socket.
    pub fn holds(&mut self) -> bool {
        match &mut self.state {
            State::Hello(hello) => !hello.ahead.is_empty(),
            _ => self.channel().is_some_and(|channel| channel.holds()),
        }
    }

    // ── sending ──

    /// Encrypts and sends as much as goes without waiting, a little more of it than the socket takes.
    pub fn send(&mut self, socket: BorrowedFd<'_>, parts: [&[u8]; 2]) -> Result<usize> {
        let Some(channel) = self.channel() else { return Err(ErrorKind::NotConnected.into()) };
        let [first, second] = parts;
        let (mut taken, whole) = (0, first.len() + second.len());
        loop {
            if !channel.flush(socket)? {
                return if taken > 0 { Ok(taken) } else { Err(ErrorKind::WouldBlock.into()) };
            }
            if taken == whole {
                return Ok(taken);
            }
            taken += channel
                .write([&first[taken.min(first.len())..], &second[taken.saturating_sub(first.len())..]])?;
        }
    }

    /// Encrypted and not yet sent.
    pub fn owes(&self) -> bool {
        match &self.state {
            State::Open(open) => open.owes(),
            State::Moved(moved) => moved.owes(),
            State::Hello(..) | State::Broken(_) => false,
        }
    }

    /// Nothing more is said, not even that nothing more comes: RFC 8446 §6.1 makes that a truncation.
    pub fn break_off(&mut self) {
        self.state = State::Broken(Failure::BrokenOff);
    }

    /// Says that nothing more comes.
    pub fn close(&mut self, socket: BorrowedFd<'_>) {
        if let Some(channel) = self.channel() {
            channel.close();
            let _ = channel.flush(socket);
        }
    }

    /// Its keys have been used much: the connection should end with the next answer.
    pub fn is_worn(&self) -> bool {
        matches!(&self.state, State::Moved(moved) if moved.is_worn())
    }

    // ── handing over ──

    /// Bytes that go along to another worker besides [`FIXED`]; `None`: it has to stay, at least for now.
    pub fn luggage(&self) -> Option<usize> {
        match &self.state {
            State::Hello(hello) => (!hello.begun && hello.ahead.is_empty()).then_some(0),
            State::Open(open) => open.can_move().then(|| open.luggage()),
            State::Moved(moved) => moved.can_move().then(|| moved.luggage()),
            State::Broken(_) => None,
        }
    }

    /// One that has to stay is read on, for as long as something is here: a handshake may come to its end, a record may
    /// become whole.
    pub fn read_on(&mut self, socket: BorrowedFd<'_>) {
        if matches!(&self.state, State::Hello(hello) if hello.begun) && self.greet(socket).is_err() {
            return;
        }
        if let State::Open(open) = &mut self.state
            && let Err(trouble) = open.read_on(socket)
        {
            self.trouble(trouble);
        }
    }

    /// Makes it one that [`Session::pack`] can write down; `false`: it has to stay.
    pub fn detach(&mut self, socket: BorrowedFd<'_>) -> bool {
        if let State::Open(open) = &mut self.state
            && !(open.can_move() && open.settle(socket))
        {
            return false;
        }
        match std::mem::replace(&mut self.state, State::Broken(Failure::HandedOver)) {
            State::Open(open) => match open.into_moved() {
                Ok(moved) => self.state = State::Moved(moved),
                Err(failure) => self.state = State::Broken(failure),
            },
            other => self.state = other,
        }
        self.luggage().is_some()
    }

    /// Nothing is written for a session that has not begun.
    pub fn pack(&self, out: &mut Vec<u8>) {
        if let State::Moved(moved) = &self.state {
            moved.pack(out);
        }
    }

    /// Another worker goes on with it: this one's keys must not be used again, not even to say goodbye.
    pub fn let_go(&mut self) {
        self.state = State::Broken(Failure::HandedOver);
    }

    /// Goes on where another worker has stopped; `false`: that cannot be read.
    pub fn resume(&mut self, packed: &[u8]) -> bool {
        if packed.is_empty() {
            return true;
        }
        let moved = Moved::unpack(packed);
        moved.map(|moved| self.state = State::Moved(moved)).is_some()
    }

    // ── what the application is told ──

    pub fn variables(&mut self) -> &[(&'static str, Vec<u8>)] {
        if self.variables.is_none() {
            let exports = self.exports_certificate;
            let certificate = self.channel().and_then(|channel| channel.certificate());
            self.variables = Some(facts::variables(certificate, exports));
        }
        self.variables.as_deref().unwrap_or_default()
    }
}

//! Drives the parsers as a connection does: bytes come in pieces, requests come out. Shared by the corpus test and the fuzz
//! targets, which all rest on one law: how the bytes were cut never shows in the outcome.

use rwsgi::proto::http::forwarded::Fields;
use rwsgi::proto::http::{
    Body, Decoder, Framing, Head, Limits, Piece, Progress, Reject, Request, environ, framing, head,
};
use rwsgi::proto::{proxy, uwsgi};

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// One request, as an app would see it.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    pub minor: u8,
    pub fields: Pairs,
    pub cgi: Pairs,
    pub framing: Framing,
    pub body: Vec<u8>,
}

/// How a stream of requests ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Between two requests, or after one that closes.
    Clean,
    /// Within a request.
    Incomplete,
    Refused(Reject),
}

/// An HTTP connection without a socket.
#[derive(Default)]
pub struct Connection {
    buf: Vec<u8>,
    progress: Progress,
    head: Head,
    scratch: Vec<u8>,
    open: Option<(Message, BodyState)>,
    pub messages: Vec<Message>,
    closed: bool,
    refused: Option<Reject>,
}

enum BodyState {
    Left(u64),
    Chunks(Decoder),
}

impl Connection {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
        while !self.closed && self.refused.is_none() {
            match self.advance() {
                Ok(true) => {}
                Ok(false) => break,
                Err(reject) => self.refused = Some(reject),
            }
        }
    }

    pub fn end(self) -> (Vec<Message>, End) {
        let end = match self.refused {
            Some(reject) => End::Refused(reject),
            None if !self.closed && (self.open.is_some() || !self.buf.is_empty()) => End::Incomplete,
            None => End::Clean,
        };
        (self.messages, end)
    }

    /// One step. `Ok(false)`: nothing more can be done with the bytes that are there.
    fn advance(&mut self) -> Result<bool, Reject> {
        match self.open.take() {
            None => self.read_head(),
            Some((message, state)) => self.read_body(message, state),
        }
    }

    fn read_head(&mut self) -> Result<bool, Reject> {
        let limits = Limits::default();
        let Some(len) = head::parse(&self.buf, &limits, &mut self.progress, &mut self.head)? else {
            return Ok(false);
        };
        let request = Request::new(&self.buf, &self.head);
        let message = message(&request, framing::decide(&request)?, &mut self.scratch);
        self.buf.drain(..len);
        let state = match message.framing.body {
            Body::None => BodyState::Left(0),
            Body::Length(length) => BodyState::Left(length),
            Body::Chunked => BodyState::Chunks(Decoder::new()),
        };
        self.open = Some((message, state));
        Ok(true)
    }

    fn read_body(&mut self, mut message: Message, mut state: BodyState) -> Result<bool, Reject> {
        let (used, whole, starved) = match &mut state {
            BodyState::Left(left) => {
                let used = (*left).min(self.buf.len() as u64) as usize;
                message.body.extend_from_slice(&self.buf[..used]);
                *left -= used as u64;
                (used, *left == 0, true)
            }
            BodyState::Chunks(decoder) => {
                let (used, piece) = decoder.feed(&self.buf)?;
                if let Piece::Data(range) = &piece {
                    assert_eq!(range.end, used);
                    message.body.extend_from_slice(&self.buf[range.clone()]);
                }
                assert!(used <= self.buf.len() && (piece != Piece::More || used == self.buf.len()));
                (used, piece == Piece::End, piece == Piece::More)
            }
        };
        self.buf.drain(..used);
        if !whole {
            self.open = Some((message, state));
            return Ok(!starved);
        }
        self.closed = !message.framing.keep_alive;
        self.messages.push(message);
        Ok(true)
    }
}

fn message(request: &Request, framing: Framing, scratch: &mut Vec<u8>) -> Message {
    let origin = environ::Connection {
        server_name: b"localhost",
        server_port: b"80",
        remote_addr: b"127.0.0.1",
        ..environ::Connection::default()
    };
    let mut cgi = Pairs::new();
    environ::for_each(request, &origin, environ::Options::default(), scratch, |name, value| {
        cgi.push((name.to_vec(), value.to_vec()));
    });
    Message {
        method: request.method().to_vec(),
        target: request.target().to_vec(),
        minor: request.minor(),
        fields: request.fields().map(|(name, value, _)| (name.to_vec(), value.to_vec())).collect(),
        cgi,
        framing,
        body: Vec::new(),
    }
}

/// Feeds HTTP in pieces.
pub fn http<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Message>, End) {
    let mut connection = Connection::default();
    pieces.into_iter().for_each(|piece| connection.feed(piece));
    connection.end()
}

/// Decodes one chunked body from pieces: what it holds, and how many bytes it took if it ended.
pub fn chunked<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Vec<u8>, Option<usize>), Reject> {
    let (mut decoder, mut data, mut total) = (Decoder::new(), Vec::new(), 0);
    for piece in pieces {
        let mut rest = piece;
        loop {
            let (used, found) = decoder.feed(rest)?;
            total += used;
            match found {
                Piece::Data(range) => data.extend_from_slice(&rest[range]),
                Piece::More => break,
                Piece::End => return Ok((data, Some(total))),
            }
            rest = &rest[used..];
        }
    }
    Ok((data, None))
}

/// A uwsgi packet and the bytes after it.
#[derive(Debug, PartialEq, Eq)]
pub struct Packet {
    pub head: uwsgi::Head,
    pub vars: Pairs,
    pub body: Vec<u8>,
}

/// Feeds a uwsgi packet in pieces. `Ok(None)`: it is not whole.
pub fn uwsgi<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<Packet>, uwsgi::PacketError> {
    let (mut buf, mut found) = (Vec::new(), None);
    for piece in pieces {
        buf.extend_from_slice(piece);
        match &mut found {
            None => found = packet(&buf)?,
            Some(packet) => packet.body.extend_from_slice(piece),
        }
    }
    Ok(found)
}

fn packet(buf: &[u8]) -> Result<Option<Packet>, uwsgi::PacketError> {
    let limits = uwsgi::Limits::default();
    let Some(packet) = uwsgi::parse(buf, &limits)? else { return Ok(None) };
    let owned = |(key, value): (&[u8], &[u8])| (key.to_vec(), value.to_vec());
    let vars: Result<Pairs, _> = packet.vars(&limits).map(|pair| pair.map(owned)).collect();
    let vars = vars.map_err(uwsgi::PacketError::Block)?;
    Ok(Some(Packet { head: packet.head, vars, body: buf[packet.len()..].to_vec() }))
}

/// Feeds the start of a connection in pieces, until there is a PROXY header or there cannot be one.
pub fn proxy(pieces: &mut dyn Iterator<Item = &[u8]>) -> Result<Option<proxy::Header>, proxy::NotProxy> {
    let mut buf = Vec::new();
    for piece in pieces {
        buf.extend_from_slice(piece);
        if let Some(header) = proxy::parse(&buf)? {
            return Ok(Some(header));
        }
    }
    Ok(None)
}

/// Four lines: Forwarded, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host.
pub fn forwarded(bytes: &[u8]) -> Fields<'_> {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    Fields { forwarded: next(), addresses: next(), proto: next(), host: next(), ..Fields::default() }
}

/// `bytes` cut after each line end.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n')
}

/// `bytes` one by one.
pub fn single(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.chunks(1)
}

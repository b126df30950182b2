//! The request head: request line and header fields (RFC 9112 §2 to §5). It is parsed in place and in one pass; what it
//! yields are offsets.
//!
//! A head that is not whole yet costs a look at its new bytes: [`Progress`], all that a waiting connection has to keep,
//! knows how far was looked, and the parser runs again only when a line has ended. The outcome never depends on how the
//! bytes were cut: a line is refused when it is whole, or when it grows over a limit.

use super::chars::{TOKEN, UNDERSCORE, class_of, span_of_class};
use super::names::{self, Id};
use super::target::{self, Target};
use super::{Reject, Span};
use crate::base::bytes::{find_byte, find_control, skip_letters};

/// The longest method that is read. RFC 9112 §3: a longer one SHOULD be answered with 501.
pub const MAX_METHOD: usize = 32;

/// RFC 9112 §2.2: old clients send an empty line behind a body. It begins no request.
pub fn is_empty_line(bytes: &[u8]) -> bool {
    b"\r\n".starts_with(bytes)
}

/// What a head may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the request line without its CRLF. RFC 9112 §3 recommends at least 8,000. Beyond: 414.
    pub request_line: usize,
    /// Number of header fields. Beyond: 431.
    pub headers: usize,
    /// Bytes of the whole head with the empty line at its end: a read buffer of this size always suffices. Beyond: 431.
    pub head: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { request_line: 8190, headers: 100, head: 65_535 }
    }
}

/// How far an unfinished head was looked at. A fresh one for each request; [`parse`] resets it when the head is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    seen: u32,
    line: u32,
    in_headers: bool,
}

/// One header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub name: Span,
    pub value: Span,
    pub id: Id,
}

/// A parsed head: offsets into the buffer that was parsed. Reused from request to request.
#[derive(Clone, Debug, Default)]
pub struct Head {
    method: Span,
    pub(super) target: Target,
    minor: u8,
    pub(super) headers: Headers,
}

/// The header fields of a head.
#[derive(Clone, Debug, Default)]
pub(super) struct Headers {
    pub list: Vec<Header>,
    /// Some name that has no number came twice.
    other_repeated: bool,
    /// The numbers of the known names that came twice.
    pub known_repeated: u64,
    /// Some name has an underscore.
    pub underscored: bool,
    known: u64,
    others: u64,
}

/// A head together with the bytes that it points to.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub(super) buf: &'a [u8],
    pub(super) head: &'a Head,
}

impl<'a> Request<'a> {
    /// `buf` must begin with the bytes that `head` was parsed from.
    pub fn new(buf: &'a [u8], head: &'a Head) -> Request<'a> {
        Request { buf, head }
    }

    pub fn method(&self) -> &'a [u8] {
        self.head.method.of(self.buf)
    }

    /// The target as it was sent.
    pub fn target(&self) -> &'a [u8] {
        self.head.target.whole.of(self.buf)
    }

    /// The path of the target, its escapes not decoded; empty in an absolute-form target that has none.
    pub fn path(&self) -> &'a [u8] {
        self.head.target.path.of(self.buf)
    }

    /// The host that is asked, with its port where one was sent; empty where none was.
    pub fn host(&self) -> &'a [u8] {
        let authority = self.head.target.authority.of(self.buf);
        if !authority.is_empty() {
            // RFC 9112 §3.2.2: an absolute-form target's authority replaces the Host.
            return authority;
        }
        self.fields().find(|&(_, _, id)| id == names::HOST).map_or(b"", |(_, value, _)| value)
    }

    pub fn query(&self) -> &'a [u8] {
        self.head.target.query.of(self.buf)
    }

    /// The minor version: 0, or 1 for HTTP/1.1 and above (RFC 9110 §6.2).
    pub fn minor(&self) -> u8 {
        self.head.minor
    }

    /// Each field in order: name, value, number of the name.
    #[inline]
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8], Id)> + use<'a> {
        let buf = self.buf;
        self.head
            .headers
            .list
            .iter()
            .map(move |header| (header.name.of(buf), header.value.of(buf), header.id))
    }
}

impl Headers {
    fn clear(&mut self) {
        self.list.clear();
        (self.known, self.others, self.underscored) = (0, 0, false);
        (self.known_repeated, self.other_repeated) = (0, false);
    }

    /// Did some name come twice?
    #[inline]
    pub fn is_repeated(&self) -> bool {
        self.other_repeated || self.known_repeated != 0
    }

    #[inline]
    fn push(&mut self, buf: &[u8], name: Span, value: Span, classes: u8) {
        let (id, hash) = names::lookup(name.of(buf));
        let id = if classes & UNDERSCORE != 0 { names::UNDERSCORED } else { id };
        match id {
            names::UNDERSCORED => self.underscored = true,
            names::OTHER => {
                let bit = 1 << (hash % 64);
                // The hash only says that a name is new; that it is not takes a comparison.
                self.other_repeated |= self.others & bit != 0 && self.holds(buf, name);
                self.others |= bit;
            }
            id => {
                let bit = 1 << id;
                self.known_repeated |= self.known & bit;
                self.known |= bit;
            }
        }
        self.list.push(Header { name, value, id });
    }

    #[cold]
    fn holds(&self, buf: &[u8], name: Span) -> bool {
        self.list.iter().any(|header| header.name.of(buf).eq_ignore_ascii_case(name.of(buf)))
    }
}

/// Parses the head at the start of `buf`. `Ok(Some(len))`: `head` holds it, and the body starts at `len`. `Ok(None)`: more
/// bytes are needed; call again with the same bytes and those that came after.
#[inline]
pub fn parse(
    buf: &[u8],
    limits: &Limits,
    progress: &mut Progress,
    head: &mut Head,
) -> Result<Option<usize>, Reject> {
    let window = &buf[..buf.len().min(limits.head)];
    if progress.seen > 0 && find_byte(window, b'\n', progress.seen as usize).is_none() {
        return progress.wait(window, limits);
    }
    head.headers.clear();
    let mut parser = Parser { buf: window, at: 0, line: 0, in_headers: false };
    match parser.run(limits, head) {
        Ok(()) => {
            *progress = Progress::default();
            Ok(Some(parser.at))
        }
        Err(reject) => parser.stop(reject, limits, progress),
    }
}

impl Progress {
    /// The last line has not ended: more bytes are needed, unless it is too long already.
    fn wait(&mut self, window: &[u8], limits: &Limits) -> Result<Option<usize>, Reject> {
        self.seen = window.len() as u32;
        if !self.in_headers && window.len() - self.line as usize >= limits.request_line + 2 {
            return Err(LONG_LINE);
        }
        if window.len() >= limits.head {
            return Err(LONG_HEAD);
        }
        Ok(None)
    }
}

const LONG_LINE: Reject = Reject::new(414, "the request line is too long", "RFC 9110 §15.5.15");
const LONG_HEAD: Reject = Reject::new(431, "the request head is too large", "RFC 6585 §5");
const MANY_HEADERS: Reject = Reject::new(431, "too many header fields", "RFC 6585 §5");

struct Parser<'a> {
    buf: &'a [u8],
    at: usize,
    /// Where the line that is being parsed starts.
    line: usize,
    in_headers: bool,
}

impl Parser<'_> {
    #[inline]
    fn run(&mut self, limits: &Limits, head: &mut Head) -> Result<(), Reject> {
        self.request_line(limits, head)?;
        self.in_headers = true;
        loop {
            self.line = self.at;
            if let Some(b"\r\n") = self.buf.get(self.at..self.at + 2) {
                self.at += 2;
                return Ok(());
            }
            if head.headers.list.len() == limits.headers {
                return Err(MANY_HEADERS);
            }
            self.header(&mut head.headers)?;
        }
    }

    /// Decides whether what the parser stumbled over is an error or merely the end of the bytes that are there.
    #[cold]
    fn stop(
        &self,
        reject: Reject,
        limits: &Limits,
        progress: &mut Progress,
    ) -> Result<Option<usize>, Reject> {
        // No method begins so: TLS on a plain port, or no HTTP at all. It may never send a line end.
        if self.buf.first().is_some_and(|&byte| class_of(byte) & TOKEN == 0 && byte != b'\r') {
            return Err(NO_METHOD);
        }
        match find_byte(self.buf, b'\n', self.line) {
            Some(end) if !self.in_headers && end - self.line > limits.request_line + 1 => Err(LONG_LINE),
            Some(_) => Err(reject),
            None => {
                (progress.line, progress.in_headers) = (self.line as u32, self.in_headers);
                progress.wait(self.buf, limits)
            }
        }
    }

    #[inline]
    fn request_line(&mut self, limits: &Limits, head: &mut Head) -> Result<(), Reject> {
        // RFC 9112 §2.2: a server SHOULD ignore at least one empty line before the request line.
        if self.buf.starts_with(b"\r\n") {
            (self.at, self.line) = (2, 2);
        }
        head.method = self.method()?;
        self.at = target::parse(self.buf, self.at, head.method.of(self.buf), &mut head.target)?;
        if self.buf.get(self.at) != Some(&b' ') {
            return Err(target::bad_end(self.buf.get(self.at)));
        }
        head.minor = match self.buf.get(self.at + 1..self.at + 11) {
            Some(b"HTTP/1.1\r\n") => 1,
            Some(other) => version(other)?,
            None => return Err(BAD_VERSION),
        };
        self.at += 11;
        if self.at - self.line > limits.request_line + 2 {
            return Err(LONG_LINE);
        }
        Ok(())
    }

    #[inline]
    fn method(&mut self) -> Result<Span, Reject> {
        let (end, _) = span_of_class(self.buf, self.at, TOKEN);
        let method = Span::new(self.at, end);
        if method.is_empty() || self.buf.get(end) != Some(&b' ') {
            return Err(NO_METHOD);
        }
        if end - self.at > MAX_METHOD {
            return Err(Reject::new(501, "the method is too long to be one", "RFC 9112 §3"));
        }
        self.at = end + 1;
        Ok(method)
    }

    #[inline]
    fn header(&mut self, headers: &mut Headers) -> Result<(), Reject> {
        let (mut colon, mut classes) = (skip_letters(self.buf, self.at), 0);
        if self.buf.get(colon) != Some(&b':') {
            (colon, classes) = span_of_class(self.buf, colon, TOKEN);
        }
        if colon == self.at || self.buf.get(colon) != Some(&b':') {
            return Err(self.bad_name(colon));
        }
        let end = find_control(self.buf, colon + 1);
        let Some(b"\r\n") = self.buf.get(end..end + 2) else {
            return Err(bad_value(self.buf.get(end)));
        };
        let name = Span::new(self.at, colon);
        headers.push(self.buf, name, trimmed(self.buf, colon + 1, end), classes);
        self.at = end + 2;
        Ok(())
    }

    #[cold]
    fn bad_name(&self, end: usize) -> Reject {
        let at_start = end == self.at;
        match self.buf.get(end) {
            // RFC 9112 §2.2: white space between the request line and the first field. §5.2: a folded line.
            Some(b' ' | b'\t') if at_start => Reject::bad("a header line is folded", "RFC 9112 §5.2"),
            Some(b' ' | b'\t') => Reject::bad("white space before a header's colon", "RFC 9112 §5.1"),
            Some(b':') => Reject::bad("a header has no name", "RFC 9110 §5.1"),
            Some(b'\n') => Reject::bad("a line ends in a bare LF", "RFC 9112 §2.2"),
            Some(b'\r') if at_start => BARE_CR,
            Some(b'\r') => Reject::bad("a header line has no colon", "RFC 9112 §5"),
            _ => Reject::bad("a header name is not a token", "RFC 9110 §5.1"),
        }
    }
}

const NO_METHOD: Reject = Reject::bad("the method is not a token", "RFC 9110 §9.1");
const BAD_VERSION: Reject = Reject::bad("the version is not HTTP/1.x", "RFC 9112 §2.3");
const BARE_CR: Reject = Reject::bad("a bare CR", "RFC 9112 §2.2");

/// The span of a field value without the white space around it (RFC 9112 §5.1).
#[inline]
fn trimmed(buf: &[u8], mut start: usize, mut end: usize) -> Span {
    let is_space = |byte| byte == b' ' || byte == b'\t';
    while start < end && is_space(buf[start]) {
        start += 1;
    }
    while start < end && is_space(buf[end - 1]) {
        end -= 1;
    }
    Span::new(start, end)
}

#[cold]
fn bad_value(byte: Option<&u8>) -> Reject {
    match byte {
        Some(b'\r') => BARE_CR,
        Some(b'\n') => Reject::bad("a line ends in a bare LF", "RFC 9112 §2.2"),
        _ => Reject::bad("a header value holds a control byte", "RFC 9110 §5.5"),
    }
}

/// Any version but the one that is always sent.
#[cold]
fn version(text: &[u8]) -> Result<u8, Reject> {
    match text {
        [b'H', b'T', b'T', b'P', b'/', major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9', b'\r', b'\n'] => {
            if *major != b'1' {
                // RFC 9110 §15.6.6.
                return Err(Reject::new(505, "the major version is not 1", "RFC 9110 §15.6.6"));
            }
            // RFC 9110 §6.2: a higher minor version is handled as the highest that the recipient knows.
            Ok(u8::from(*minor != b'0'))
        }
        _ => Err(BAD_VERSION),
    }
}

//! A request's body: what has arrived with the head, what is still to come, and where it ends.

pub mod chunked;
pub mod error;
pub mod reader;
pub mod spool;

use crate::net::client::Client;
use crate::proto::http::Body as Announced;
use chunked::Chunks;
use error::BodyError;
use std::fs::File;
use std::io::ErrorKind;

/// What is still to come from the socket.
#[derive(Debug, Default)]
pub enum RemainingBody {
    #[default]
    Nothing,
    Bytes(u64),
    Chunks(Chunks),
}

#[derive(Debug, Default)]
pub struct Body {
    /// Received and not yet read: `ahead[at..]`.
    pub(super) ahead: Vec<u8>,
    pub(super) at: usize,
    pub(super) remaining: RemainingBody,
    /// The whole body in a file (`post-buffering`); then `ahead` is only a window of it. The place of the file itself
    /// is shared with what the application forks: `consumed` is used in its stead.
    pub(super) spool: Option<File>,
    /// The file that it is written to, while it arrives.
    pub(super) sink: Option<File>,
    /// Bytes that went there.
    pub(super) spooled: u64,
    /// Bytes handed to the app.
    pub(super) consumed: u64,
    /// Bytes that came together with the head, and those that came behind them, chunk sizes among them.
    first: u64,
    received: u64,
    /// The first failure; every later read repeats it.
    pub(super) failed: Option<BodyError>,
    /// Read ahead as a whole, so that the app may seek.
    pub(super) buffered: bool,
    surplus: Vec<u8>,
}

/// Received at most in one step.
const READ_CHUNK: usize = 65536;
/// The same, on the way to a file.
const FILE_READ_CHUNK: usize = 4 * READ_CHUNK;
impl Body {
    pub fn clear(&mut self) {
        self.ahead.clear();
        if self.ahead.capacity() > 2 * READ_CHUNK {
            self.ahead = Vec::new();
        }
        self.at = 0;
        self.remaining = RemainingBody::Nothing;
        self.spool = None;
        self.sink = None;
        self.spooled = 0;
        self.consumed = 0;
        self.first = 0;
        self.received = 0;
        self.failed = None;
        self.buffered = false;
        self.surplus.clear();
    }

    /// Moves the body to its connection, which waits in the table. An empty buffer stays here: thousands may wait.
    pub fn put_aside(&mut self) -> Body {
        let mut body = std::mem::take(self);
        if body.ahead.is_empty() {
            self.ahead = std::mem::take(&mut body.ahead);
        }
        body
    }

    /// Moves it back when more of it has come.
    pub fn take_up(&mut self, mut body: Body) {
        if body.ahead.is_empty() {
            self.ahead.clear();
            body.ahead = std::mem::take(&mut self.ahead);
        }
        *self = body;
    }

    /// A body as its request has announced it, the first bytes of which came with the head. Returns how many of `first`
    /// belong to it. `limit`: the longest chunked body; 0: any length.
    pub fn begin(&mut self, announced: Announced, limit: u64, first: &[u8]) -> usize {
        let used = match announced {
            Announced::None => self.begin_sized(0, first),
            Announced::Length(length) => self.begin_sized(length, first),
            Announced::Chunked => {
                self.begin_chunked(limit, first);
                first.len()
            }
        };
        self.first = used as u64;
        used
    }

    /// A body of `length` bytes, the first of which came with the head. Returns how many of `first` belong to it.
    fn begin_sized(&mut self, length: u64, first: &[u8]) -> usize {
        self.clear();
        let taken = (first.len() as u64).min(length) as usize;
        self.ahead.extend_from_slice(&first[..taken]);
        if length > taken as u64 {
            self.remaining = RemainingBody::Bytes(length - taken as u64);
        }
        taken
    }

    /// A chunked body (RFC 9112 §7.1) of at most `limit` bytes; 0: any length.
    fn begin_chunked(&mut self, limit: u64, first: &[u8]) {
        self.clear();
        let mut chunks = Chunks::new(limit);
        chunks.feed(first, &mut self.ahead);
        match chunks.state() {
            Ok(true) => self.surplus = chunks.into_surplus(),
            Ok(false) => self.remaining = RemainingBody::Chunks(chunks),
            Err(error) => self.failed = Some(error),
        }
    }

    /// Bytes behind the body's end that belong to the connection's next request.
    pub fn take_surplus(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.surplus)
    }

    /// Nothing is left on the socket: another request may follow.
    pub fn is_drained(&self) -> bool {
        matches!(self.remaining, RemainingBody::Nothing) && self.failed.is_none()
    }

    pub fn received(&self) -> u64 {
        self.received
    }

    /// All bytes of it that have come.
    pub fn length_on_wire(&self) -> u64 {
        (self.first + self.received).saturating_sub(self.surplus.len() as u64)
    }

    pub fn failed(&self) -> Option<BodyError> {
        self.failed
    }

    pub(super) fn fail<T>(&mut self, error: BodyError) -> Result<T, BodyError> {
        // The connection may linger, and others need the room on the disk.
        self.sink = None;
        self.failed = Some(error);
        Err(error)
    }

    /// One recv; `false` when nothing is there yet.
    pub(super) fn receive(&mut self, client: &mut Client) -> Result<bool, BodyError> {
        let got = match &mut self.remaining {
            RemainingBody::Nothing => return Ok(true),
            RemainingBody::Bytes(left) => {
                let step = if self.sink.is_some() { FILE_READ_CHUNK } else { READ_CHUNK };
                let most = (*left).min(step as u64) as usize;
                self.ahead.reserve(most);
                client.recv(&mut self.ahead, most).inspect(|&got| *left -= got as u64)
            }
            RemainingBody::Chunks(chunks) => chunks.receive(client, &mut self.ahead),
        };
        match got {
            Ok(0) => self.fail(BodyError::Closed),
            Ok(got) => {
                self.received += got as u64;
                self.settle().map(|()| true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(_) => self.fail(BodyError::Closed),
        }
    }

    /// Has the last byte come?
    fn settle(&mut self) -> Result<(), BodyError> {
        let done = match &self.remaining {
            RemainingBody::Bytes(left) => Ok(*left == 0),
            RemainingBody::Chunks(chunks) => chunks.state(),
            RemainingBody::Nothing => return Ok(()),
        };
        match done {
            Ok(false) => Ok(()),
            Ok(true) => {
                if let RemainingBody::Chunks(chunks) = std::mem::take(&mut self.remaining) {
                    self.surplus = chunks.into_surplus();
                }
                Ok(())
            }
            Err(error) => self.fail(error),
        }
    }

    /// Throws away what has come and the app has not read. `true`: nothing is left on the socket. Gives up after `most`
    /// bytes.
    pub fn drain(&mut self, client: &mut Client, most: u64) -> bool {
        let mut thrown = 0;
        while !matches!(self.remaining, RemainingBody::Nothing) && thrown < most && self.failed.is_none() {
            self.ahead.clear();
            self.at = 0;
            match self.receive(client) {
                Ok(true) => thrown += self.ahead.len() as u64,
                _ => return false,
            }
        }
        self.is_drained()
    }
}

#[cfg(test)]
mod tests {
    use super::reader::Want;
    use super::spool::Storage;
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    /// A client that has sent this.
    fn client(sent: &[u8]) -> (Client, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.write_all(sent).unwrap();
        (Client::plain(ours.into()), theirs)
    }

    fn body(announced: Announced, first: &[u8]) -> Body {
        let mut body = Body::default();
        body.begin(announced, 0, first);
        body
    }

    /// What a read gives, and whether it has all that it wants.
    fn read(
        body: &mut Body,
        client: &mut Client,
        most: u64,
        line: bool,
    ) -> (String, Result<bool, BodyError>) {
        let (mut out, mut want) = (Vec::new(), Want { most, line });
        let read = body.read(client, &mut want, &mut out);
        (String::from_utf8(out).unwrap(), read)
    }

    #[test]
    fn a_body_ends_where_its_length_says() {
        let (mut client, _theirs) = client(b"defNEXT");
        let mut body = Body::default();
        assert_eq!(body.begin(Announced::Length(6), 0, b"abc"), 3);
        assert_eq!(body.known_length(100), Some(6));
        assert_eq!(read(&mut body, &mut client, 2, false), ("ab".into(), Ok(true)));
        assert_eq!(read(&mut body, &mut client, 100, false), ("cdef".into(), Ok(true)));
        assert!(body.is_drained());
        let mut next = Vec::new();
        client.recv(&mut next, 100).unwrap();
        assert_eq!(next, b"NEXT");
    }

    #[test]
    fn what_came_behind_the_body_is_not_taken() {
        let mut body = Body::default();
        assert_eq!(body.begin(Announced::Length(2), 0, b"abGET /"), 2);
        assert_eq!(body.begin(Announced::None, 0, b"GET /"), 0);
        assert!(body.is_drained() && body.take_surplus().is_empty());
        assert_eq!(body.begin(Announced::Chunked, 0, b"1\r\na\r\n0\r\n\r\nGET /"), 16);
        assert_eq!(body.take_surplus(), b"GET /");
        assert!(body.is_drained());
    }

    #[test]
    fn lines_are_read_as_they_come() {
        let (mut client, mut theirs) = client(b"one\ntw");
        let mut body = body(Announced::Length(9), b"");
        assert_eq!(read(&mut body, &mut client, 2, true), ("on".into(), Ok(true)));
        assert_eq!(read(&mut body, &mut client, 9, true), ("e\n".into(), Ok(true)));
        assert_eq!(read(&mut body, &mut client, 9, true), ("tw".into(), Ok(false)));
        theirs.write_all(b"o\nx\n").unwrap();
        assert_eq!(read(&mut body, &mut client, 9, true), ("o\n".into(), Ok(true)));
        assert_eq!(read(&mut body, &mut client, 9, true), ("x".into(), Ok(true)));
        assert_eq!(read(&mut body, &mut client, 9, true), (String::new(), Ok(true)));
    }

    #[test]
    fn a_failure_is_told_again() {
        let (mut client, theirs) = client(b"x");
        drop(theirs);
        let mut body = body(Announced::Length(5), b"");
        assert_eq!(read(&mut body, &mut client, 9, false), ("x".into(), Err(BodyError::Closed)));
        assert_eq!(read(&mut body, &mut client, 9, false).1, Err(BodyError::Closed));
        assert!(!body.is_drained() && body.is_ready_for(9));
        body.begin(Announced::Chunked, 3, b"4\r\nabcd\r\n");
        assert_eq!(body.failed(), Some(BodyError::TooLong));
        body.begin(Announced::Chunked, 0, b"nonsense\r\n");
        assert_eq!(body.failed(), Some(BodyError::Malformed));
    }

    #[test]
    fn a_body_that_was_read_ahead_can_seek() {
        for memory in [100, 3] {
            let (mut client, mut theirs) = client(b"def");
            let storage = Storage { memory, file: 0, may_open: true };
            let mut body = body(Announced::Length(9), b"abc");
            assert_eq!(body.gather(&mut client, storage, 1000), Ok(false));
            assert!(!body.is_seekable() && body.has_file() == (memory == 3));
            let mut elsewhere = Body::default();
            elsewhere.take_up(body.put_aside());
            theirs.write_all(b"ghi").unwrap();
            assert_eq!(elsewhere.gather(&mut client, storage, 1000), Ok(true));
            assert!(elsewhere.is_seekable() && elsewhere.buffered_len() == 9);
            assert_eq!(read(&mut elsewhere, &mut client, 4, false), ("abcd".into(), Ok(true)));
            elsewhere.seek(7);
            assert_eq!(read(&mut elsewhere, &mut client, 9, false), ("hi".into(), Ok(true)));
            assert_eq!(elsewhere.tell(), 9);
        }
    }

    #[test]
    fn files_have_a_limit_and_take_a_descriptor() {
        let (mut client, _theirs) = client(b"abcdef");
        let storage = Storage { memory: 3, file: 5, may_open: true };
        let mut long = body(Announced::Length(6), b"");
        assert_eq!(long.gather(&mut client, storage, 1000), Err(BodyError::TooLongForFile));
        let mut other = body(Announced::Length(6), b"");
        let none = Storage { may_open: false, ..storage };
        let refused = other.gather(&mut client, none, 1000);
        assert_eq!(refused.map_err(BodyError::status), Err(503));
    }

    #[test]
    fn what_nobody_reads_is_thrown_away() {
        let (mut client, mut theirs) = client(b"abc");
        let mut body = body(Announced::Length(6), b"");
        assert!(!body.drain(&mut client, 1000));
        theirs.write_all(b"def").unwrap();
        assert!(body.drain(&mut client, 1000) && body.is_drained());
    }
}

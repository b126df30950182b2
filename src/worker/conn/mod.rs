//! The connections that wait: for a request or the rest of one, for a client to read its answer, or to be closed gracefully. No thread is spent on them.

pub mod deadline;
pub mod keep;
pub mod leftover;
pub mod linger;
pub mod places;
pub mod stale;
pub mod table;
pub mod upkeep;

use super::body::Body;
use crate::config::{Http, Protocol};
use crate::net::client::Client;
use crate::net::listener::Bound;
use crate::net::send_queue::SendQueue;
use crate::proto::http::head::{Progress, is_empty_line};
use crate::sys::{clock, epoll, io};
use deadline::{Flow, LINGER, Limits, Overdue, overdue};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::time::Duration;

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// A request has begun to arrive, or the connection is new.
    Head,
    /// The last request is answered.
    Idle,
    /// The head is here, its body is not.
    Body,
    /// The application is done, and the client has not read all of its answer.
    Reader,
    /// The last answer is sent. What the client still sends is read and dropped, or closing would take the answer with it
    /// (RFC 9112 §9.6).
    Close,
}

/// A request whose body is on its way. Its head stands at the start of the connection's buffer.
#[derive(Debug)]
pub struct Upload {
    pub head: usize,
    pub body: Body,
    pub begun_us: u64,
}

/// What is left of an answer.
#[derive(Debug)]
pub struct Leftover {
    pub queue: SendQueue,
    pub share: Share,
    /// How long it was at first.
    pub length: u64,
    pub begun_us: u64,
    /// Another request may follow.
    pub keep: bool,
}

/// What the memory of one answer takes of that for all; given back when this is dropped.
#[derive(Debug)]
pub struct Share {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl Share {
    pub fn take(all: &Arc<AtomicUsize>, bytes: usize) -> Share {
        all.fetch_add(bytes, Relaxed);
        Share { all: all.clone(), bytes }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Relaxed);
    }
}

#[derive(Debug)]
pub struct Conn {
    /// Taken while a request runs on it.
    pub client: Option<Client>,
    pub protocol: Protocol,
    pub listener: usize,
    /// `None` on unix sockets.
    pub peer: Option<SocketAddr>,
    /// The peer may say for whom it asks.
    pub trusted: bool,
    /// A PROXY header comes first.
    pub awaits_proxy: bool,
    /// What has arrived and is not a whole request yet. Without capacity while there is nothing.
    pub buf: Vec<u8>,
    pub progress: Progress,
    pub waits: Waits,
    pub since_us: u64,
    /// When the last bytes of a request came that is not whole.
    pub heard_us: u64,
    /// Requests that were begun on it.
    pub requests: u64,
    pub upload: Option<Box<Upload>>,
    pub leftover: Option<Box<Leftover>>,
    /// Its place in the table, which is its token, once it is watched.
    pub key: Option<usize>,
    /// What it is watched for; 0: it is not watched.
    pub events: u32,
}

impl Conn {
    pub fn new(client: Client, protocol: Protocol, listener: usize, now_us: u64) -> Conn {
        Conn {
            client: Some(client),
            protocol,
            listener,
            peer: None,
            trusted: false,
            awaits_proxy: false,
            buf: Vec::new(),
            progress: Progress::default(),
            waits: Waits::Head,
            since_us: now_us,
            heard_us: now_us,
            requests: 0,
            upload: None,
            leftover: None,
            key: None,
            events: 0,
        }
    }

    /// One that was just accepted from a listener, whose number among the listeners is `index`.
    pub fn accepted(
        client: Client,
        bound: &Bound,
        index: usize,
        peer: Option<SocketAddr>,
        http: &Http,
    ) -> Conn {
        let mut conn = Conn::new(client, bound.protocol, index, clock::monotonic_us());
        conn.peer = peer;
        conn.trusted = peer.is_none_or(|peer| http.trusts(peer.ip()));
        conn.awaits_proxy = http.proxy_protocol && conn.trusted && bound.protocol == Protocol::Http;
        conn
    }

    /// It can go on without the application: the standby poller looks after it while every thread is busy.
    pub fn needs_service(&self) -> bool {
        matches!(self.waits, Waits::Body | Waits::Reader)
            || self.client.as_ref().is_some_and(Client::is_handshaking)
    }

    /// For lines of the log; nothing on unix sockets.
    pub fn from_whom(&self) -> String {
        self.peer.map_or_else(String::new, |peer| format!(" (from {peer})"))
    }

    /// Why it has waited too long, if it has.
    pub fn overdue(&self, now_us: u64, limits: &Limits) -> Option<Overdue> {
        let limit = match (self.waits, self.protocol) {
            (Waits::Idle, _) => limits.idle,
            (Waits::Head, Protocol::Http) => limits.head,
            (Waits::Head, Protocol::Uwsgi) => limits.packet,
            (Waits::Body | Waits::Reader, _) => limits.stall,
            (Waits::Close, _) => LINGER,
        };
        overdue(now_us, self.since_us, limit, self.flow(), limits)
    }

    fn flow(&self) -> Option<Flow> {
        match (self.waits, &self.upload, &self.leftover) {
            (Waits::Body, Some(upload), _) => {
                Some(Flow { begun_us: upload.begun_us, bytes: upload.body.received() })
            }
            // A front end takes its time.
            (Waits::Reader, _, Some(left)) if self.protocol == Protocol::Http => {
                Some(Flow { begun_us: left.begun_us, bytes: left.length - left.queue.len() })
            }
            _ => None,
        }
    }

    /// Bytes of memory that what has come of its request takes.
    pub fn request_memory(&self) -> usize {
        match self.waits {
            Waits::Head | Waits::Idle | Waits::Body => {
                self.buf.capacity() + self.upload.as_ref().map_or(0, |upload| upload.body.memory())
            }
            Waits::Reader | Waits::Close => 0,
        }
    }

    /// Descriptors that it holds: its socket, and the file that its body goes to or its answer comes from.
    pub fn descriptors(&self) -> usize {
        let uploads = self.upload.as_ref().is_some_and(|upload| upload.body.has_file());
        let downloads = self.leftover.as_ref().is_some_and(|left| left.queue.has_file());
        1 + usize::from(uploads) + usize::from(downloads)
    }

    /// What it is to be watched for.
    pub fn awaited(&mut self) -> u32 {
        match self.waits {
            Waits::Reader => epoll::WRITE,
            Waits::Close => epoll::READ,
            // There is room for pending output; of buffered input the socket knows nothing, but room there is mostly.
            _ if self
                .client
                .as_mut()
                .is_some_and(|client| client.has_pending_output() || client.has_buffered_input()) =>
            {
                epoll::READ | epoll::WRITE
            }
            _ => epoll::READ,
        }
    }

    /// Has the client done its part, and nobody here has looked? Every thread may have been busy for longer than it may
    /// wait.
    pub fn has_moved(&self) -> bool {
        let Some(client) = self.client.as_ref().filter(|_| self.waits != Waits::Close) else { return false };
        let is_ready = |write| epoll::wait_one(client, write, Duration::ZERO).unwrap_or(false);
        (self.events & epoll::WRITE != 0 && is_ready(true))
            || (self.waits != Waits::Reader && is_ready(false))
    }

    /// Is there something to be read that is not in its buffer yet?
    pub fn has_bytes(&mut self) -> bool {
        self.client
            .as_mut()
            .is_some_and(|client| client.has_buffered_input() || io::has_bytes(client.as_fd()))
    }

    /// Is there something of the next request?
    pub fn has_begun(&mut self) -> bool {
        self.client.is_some() && (!is_empty_line(&self.buf) || self.has_bytes())
    }
}

/// What has become of a connection that was looked after.
pub enum Serviced {
    /// What comes next is a core's.
    Ready(Conn),
    /// It waits on.
    Waits(Conn),
    Over,
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::sys::io;

    pub fn conn(waits: Waits, since_us: u64) -> Conn {
        let (_, writing) = io::pipe(true).unwrap();
        Conn { waits, ..Conn::new(Client::plain(writing), Protocol::Http, 0, since_us) }
    }

    #[test]
    fn a_share_is_given_back() {
        let all = Arc::default();
        let share = Share::take(&all, 7);
        assert_eq!(all.load(Relaxed), 7);
        drop(share);
        assert_eq!(all.load(Relaxed), 0);
    }
}

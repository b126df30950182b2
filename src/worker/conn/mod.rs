//! The connections that wait: for a request or the rest of one, for a client to read its answer, or to be closed
//! gracefully. No thread is spent on them.

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
#[derive(Debug)]
pub enum State {
    /// A request has begun to arrive, or the connection is new.
    Head,
    /// The last request is answered.
    Idle,
    /// The head is here, its body is not.
    Body(Box<Upload>),
    /// The application is done, and the client has not read all of its answer.
    Sending(Box<Leftover>),
    /// The last answer is sent. What the client still sends is read and dropped, or closing would take the answer with
    /// it (RFC 9112 §9.6).
    Lingering,
}

impl State {
    /// Its place among those of the scoreboard.
    #[inline]
    pub fn number(&self) -> usize {
        match self {
            State::Idle => 0,
            State::Head | State::Body(_) => 1,
            State::Sending(_) => 2,
            State::Lingering => 3,
        }
    }
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
    pub state: State,
    /// Since when it waits; 0: it has not waited in the table yet.
    pub since_us: u64,
    /// When the last bytes of a request came that is not whole.
    pub heard_us: u64,
    /// Since when its next request waits to be begun; 0: it does not.
    pub ready_us: u64,
    /// Requests that were begun on it.
    pub requests: u64,
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
            state: State::Head,
            since_us: now_us,
            heard_us: now_us,
            ready_us: 0,
            requests: 0,
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
        let mut conn = Conn::new(client, bound.protocol, index, 0);
        conn.peer = peer;
        conn.trusted = peer.is_none_or(|peer| http.trusts(peer.ip()));
        conn.awaits_proxy = http.proxy_protocol && conn.trusted && bound.protocol == Protocol::Http;
        conn
    }

    /// It comes into the table: many connections never do, and ask no clock.
    #[inline]
    pub fn begin_to_wait(&mut self) {
        if self.since_us == 0 {
            self.since_us = clock::monotonic_us();
            self.heard_us = self.since_us;
        }
    }

    /// It can go on without the application: the standby poller looks after it while every thread is busy.
    pub fn needs_service(&self) -> bool {
        matches!(self.state, State::Body(_) | State::Sending(_))
            || self.client.as_ref().is_some_and(Client::is_handshaking)
    }

    /// For lines of the log; nothing on unix sockets.
    pub fn from_whom(&self) -> String {
        self.peer.map_or_else(String::new, |peer| format!(" (from {peer})"))
    }

    /// Why it has waited too long, if it has. While its request waits to be begun, the client has done its part.
    pub fn overdue(&self, now_us: u64, limits: &Limits) -> Option<Overdue> {
        if self.ready_us != 0 {
            return None;
        }
        let limit = match (&self.state, self.protocol) {
            (State::Idle, _) => limits.idle,
            (State::Head, Protocol::Http) => limits.head,
            (State::Head, Protocol::Uwsgi) => limits.packet,
            (State::Body(_) | State::Sending(_), _) => limits.stall,
            (State::Lingering, _) => LINGER,
        };
        overdue(now_us, self.since_us, limit, self.flow(), limits)
    }

    fn flow(&self) -> Option<Flow> {
        match &self.state {
            State::Body(upload) => Some(Flow { begun_us: upload.begun_us, bytes: upload.body.received() }),
            // A front end takes its time.
            State::Sending(left) if self.protocol == Protocol::Http => {
                Some(Flow { begun_us: left.begun_us, bytes: left.length - left.queue.len() })
            }
            _ => None,
        }
    }

    /// May what comes next on it be a request for the application?
    pub fn may_begin_request(&self) -> bool {
        self.awaits_head() && !self.client.as_ref().is_some_and(Client::is_handshaking)
    }

    /// Is a request, or the rest of its head, the next thing to be read?
    pub fn awaits_head(&self) -> bool {
        matches!(self.state, State::Head | State::Idle)
    }

    /// Its last answer is sent, and it is only read on until it closes.
    pub fn is_lingering(&self) -> bool {
        matches!(self.state, State::Lingering)
    }

    /// Is what its client sends a part of a request?
    pub fn reads_on(&self) -> bool {
        matches!(self.state, State::Head | State::Idle | State::Body(_))
    }

    /// Bytes of memory that what has come of its request takes.
    pub fn request_memory(&self) -> usize {
        match &self.state {
            State::Head | State::Idle => self.buf.capacity(),
            State::Body(upload) => self.buf.capacity() + upload.body.memory(),
            State::Sending(_) | State::Lingering => 0,
        }
    }

    /// Descriptors that it holds: its socket, and the file that its body goes to or its answer comes from.
    pub fn descriptors(&self) -> usize {
        let has_file = match &self.state {
            State::Body(upload) => upload.body.has_file(),
            State::Sending(left) => left.queue.has_file(),
            _ => false,
        };
        1 + usize::from(has_file)
    }

    /// What it is to be watched for.
    pub fn awaited(&mut self) -> u32 {
        match self.state {
            State::Sending(_) => epoll::WRITE,
            State::Lingering => epoll::READ,
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

    /// Has the client done its part, and no thread has looked? Every thread may have been busy for longer than it may
    /// wait.
    pub fn has_moved(&self) -> bool {
        let Some(client) = self.client.as_ref().filter(|_| !self.is_lingering()) else {
            return false;
        };
        let is_ready = |write| epoll::wait_one(client, write, Duration::ZERO).unwrap_or(false);
        (self.events & epoll::WRITE != 0 && is_ready(true))
            || (!matches!(self.state, State::Sending(_)) && is_ready(false))
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

    pub fn conn(state: State, since_us: u64) -> Conn {
        let (_, writing) = io::pipe(true).unwrap();
        Conn { state, ..Conn::new(Client::plain(writing), Protocol::Http, 0, since_us) }
    }

    pub fn upload() -> State {
        State::Body(Box::new(Upload { head: 0, body: Body::default(), begun_us: 0 }))
    }

    pub fn leftover(bytes: usize) -> State {
        let mut queue = SendQueue::default();
        queue.push_bytes(vec![0; bytes]);
        let share = Share::take(&Arc::default(), bytes);
        let length = bytes as u64;
        State::Sending(Box::new(Leftover { queue, share, length, begun_us: 0, keep: true }))
    }

    #[test]
    fn what_it_waits_for_decides_who_looks_after_it() {
        let of = |state| {
            let mut conn = conn(state, 0);
            (conn.awaits_head(), conn.reads_on(), conn.needs_service(), conn.awaited())
        };
        assert_eq!(of(State::Head), (true, true, false, epoll::READ));
        assert_eq!(of(State::Idle), (true, true, false, epoll::READ));
        assert_eq!(of(upload()), (false, true, true, epoll::READ));
        assert_eq!(of(leftover(1)), (false, false, true, epoll::WRITE));
        assert_eq!(of(State::Lingering), (false, false, false, epoll::READ));
    }

    #[test]
    fn only_requests_take_of_their_memory() {
        let of = |state| Conn { buf: vec![0; 10], ..conn(state, 0) }.request_memory();
        assert_eq!([of(State::Head), of(State::Idle), of(upload())], [10; 3]);
        assert_eq!([of(leftover(5)), of(State::Lingering)], [0; 2]);
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

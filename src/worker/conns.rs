//! The connections that wait: for a request or the rest of one, for a client to read its answer, or to be closed gracefully. No thread is spent on them.

mod stale;

use super::Bound;
use super::body::Body;
use crate::config::{Http, Protocol};
use crate::net::client::Client;
use crate::net::send_queue::SendQueue;
use crate::proto::http::head::Progress;
use crate::sys::clock;
use std::net::SocketAddr;
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

    /// Why a connection has waited too long, if it has.
    pub fn overdue(&self, now_us: u64, limits: &Limits) -> Option<Overdue> {
        let limit = match (self.waits, self.protocol) {
            (Waits::Idle, _) => limits.idle,
            (Waits::Head, Protocol::Http) => limits.head,
            (Waits::Head, Protocol::Uwsgi) => limits.packet,
            (Waits::Body | Waits::Reader, _) => limits.stall,
            (Waits::Close, _) => CLOSE,
        };
        if now_us.saturating_sub(self.since_us) >= limit.as_micros() as u64 {
            return Some(Overdue::Silent);
        }
        let (begun_us, bytes) = match (self.waits, &self.upload, &self.leftover) {
            (Waits::Body, Some(upload), _) => (upload.begun_us, upload.body.received()),
            // A front end takes its time.
            (Waits::Reader, _, Some(left)) if self.protocol == Protocol::Http => {
                (left.begun_us, left.length - left.queue.len())
            }
            _ => return None,
        };
        let time = Duration::from_micros(now_us.saturating_sub(begun_us));
        is_below(limits.rate, bytes, time.saturating_sub(limits.stall)).then_some(Overdue::Trickling)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// Nothing came, or went, for as long as it may.
    Silent,
    /// Something did, but too little.
    Trickling,
}

/// How long a connection is read on before it is closed.
const CLOSE: Duration = Duration::from_secs(2);

/// Are `bytes` in this time less than a rate allows? A rate of 0 allows everything.
pub fn is_below(rate: u64, bytes: u64, time: Duration) -> bool {
    u128::from(bytes) * 1_000_000 < u128::from(rate) * time.as_micros()
}

/// How long connections may wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until a uwsgi packet is whole.
    pub packet: Duration,
    /// Until an HTTP head is whole.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For the next byte of a body, or of an answer.
    pub stall: Duration,
    /// Bytes a second, on the average of all time beyond `stall`; 0: any number.
    pub rate: u64,
}

/// The table. A key stays reserved while its connection is away for a request.
#[derive(Debug)]
pub struct Conns {
    places: Vec<Option<Conn>>,
    free: Vec<usize>,
    /// How many of those in their places can go on without the application.
    serviceable: Arc<AtomicUsize>,
    /// Most connections that the worker keeps waiting; beyond, it accepts no more until some have gone.
    most: usize,
    /// Most descriptors that it spends on them.
    most_descriptors: usize,
    /// Of those in their places: descriptors beside their sockets, and memory of requests that are not whole.
    files: usize,
    request_memory: usize,
}

impl Conns {
    pub fn new(most: usize, most_descriptors: usize) -> Conns {
        Conns {
            places: Vec::new(),
            free: Vec::new(),
            serviceable: Arc::default(),
            most: most.max(1),
            most_descriptors: most_descriptors.max(1),
            files: 0,
            request_memory: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn serviceable(&self) -> Arc<AtomicUsize> {
        self.serviceable.clone()
    }

    pub fn is_full(&self) -> bool {
        self.len() >= self.most || self.descriptors() >= self.most_descriptors
    }

    fn descriptors(&self) -> usize {
        self.len() + self.files
    }

    /// May one be spent on a file? Connections that were let in without one may want one all at once.
    pub fn has_descriptors(&self) -> bool {
        self.descriptors() < self.most_descriptors
    }

    /// Is there room again, and not only for one?
    pub fn has_room(&self) -> bool {
        let most_of = |most: usize| most - most.div_ceil(16);
        self.len() <= most_of(self.most) && self.descriptors() <= most_of(self.most_descriptors)
    }

    /// Bytes that what has come of requests takes.
    pub fn request_memory(&self) -> usize {
        self.request_memory
    }

    /// A key for a connection that has none.
    pub fn reserve(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        })
    }

    pub fn put(&mut self, key: usize, conn: Conn) {
        self.serviceable.fetch_add(usize::from(conn.needs_service()), Relaxed);
        self.files += conn.descriptors() - 1;
        self.request_memory += conn.request_memory();
        self.places[key] = Some(conn);
    }

    /// The connection of an event; `None` when it is away or gone, since events of one wait may be older than what was
    /// done after it.
    pub fn take(&mut self, key: usize) -> Option<Conn> {
        let conn = self.places.get_mut(key)?.take()?;
        self.serviceable.fetch_sub(usize::from(conn.needs_service()), Relaxed);
        self.files -= conn.descriptors() - 1;
        self.request_memory -= conn.request_memory();
        Some(conn)
    }

    /// The connection with this key is closed.
    pub fn release(&mut self, key: usize) {
        self.take(key);
        if key < self.places.len() {
            self.free.push(key);
        }
    }

    /// Takes out everything that has waited too long.
    pub fn overdue(&mut self, now_us: u64, limits: &Limits) -> Vec<Conn> {
        self.take_where(|conn| conn.overdue(now_us, limits).is_some())
    }

    /// Takes out all HTTP connections that wait for a request, or the rest of its head.
    pub fn take_waiting(&mut self) -> Vec<Conn> {
        self.take_where(|conn| {
            conn.protocol == Protocol::Http && matches!(conn.waits, Waits::Head | Waits::Idle)
        })
    }

    fn take_where(&mut self, wanted: impl Fn(&Conn) -> bool) -> Vec<Conn> {
        let is_wanted = |key: &usize| self.places[*key].as_ref().is_some_and(&wanted);
        let keys: Vec<usize> = (0..self.places.len()).filter(is_wanted).collect();
        keys.into_iter().filter_map(|key| self.take(key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::io;

    pub(super) fn conn(waits: Waits, since_us: u64) -> Conn {
        let (_, writing) = io::pipe(true).unwrap();
        Conn { waits, ..Conn::new(Client::plain(writing), Protocol::Http, 0, since_us) }
    }

    #[test]
    fn a_key_is_reserved_while_its_connection_is_away() {
        let mut conns = Conns::new(10, 10);
        let key = conns.reserve();
        conns.put(key, conn(Waits::Idle, 0));
        assert!(conns.take(key).is_some());
        assert!(conns.take(key).is_none());
        assert_ne!(conns.reserve(), key);
        conns.release(key);
        assert_eq!(conns.reserve(), key);
    }

    #[test]
    fn those_that_can_go_on_are_counted_while_they_are_in_their_places() {
        let mut conns = Conns::new(10, 10);
        let serviceable = conns.serviceable();
        for waits in [Waits::Reader, Waits::Body, Waits::Idle, Waits::Close] {
            let key = conns.reserve();
            conns.put(key, conn(waits, 0));
        }
        assert_eq!(serviceable.load(Relaxed), 2);
        let taken = conns.take(0).unwrap();
        assert_eq!(serviceable.load(Relaxed), 1);
        conns.put(0, taken);
        conns.release(0);
        conns.take_where(|_| true);
        assert_eq!(serviceable.load(Relaxed), 0);
    }

    #[test]
    fn a_share_is_given_back() {
        let all = Arc::default();
        let share = Share::take(&all, 7);
        assert_eq!(all.load(Relaxed), 7);
        drop(share);
        assert_eq!(all.load(Relaxed), 0);
    }

    #[test]
    fn a_full_table_says_so_until_there_is_room() {
        for mut conns in [Conns::new(2, 10), Conns::new(10, 2)] {
            let keys = [conns.reserve(), conns.reserve()];
            assert!(conns.is_full() && !conns.has_room());
            conns.release(keys[0]);
            assert!(!conns.is_full() && conns.has_room());
        }
    }

    #[test]
    fn each_wait_has_its_limit() {
        let mut conns = Conns::new(10, 10);
        for waits in [Waits::Head, Waits::Idle, Waits::Body] {
            let key = conns.reserve();
            conns.put(key, conn(waits, 0));
        }
        let limits = Limits {
            packet: Duration::from_secs(9),
            head: Duration::from_secs(1),
            idle: Duration::from_secs(3),
            stall: Duration::from_secs(4),
            rate: 0,
        };
        assert!(conns.overdue(999_999, &limits).is_empty());
        assert_eq!(conns.overdue(1_000_000, &limits)[0].waits, Waits::Head);
        assert_eq!(conns.overdue(3_000_000, &limits)[0].waits, Waits::Idle);
        assert_eq!(conns.overdue(4_000_000, &limits)[0].waits, Waits::Body);
    }

    #[test]
    fn a_rate_is_an_average() {
        let second = Duration::from_secs(1);
        assert!(is_below(100, 99, second) && !is_below(100, 100, second));
        assert!(!is_below(100, 1000, 10 * second) && is_below(100, 1000, 11 * second));
        assert!(!is_below(100, 0, Duration::ZERO) && !is_below(0, 0, 1000 * second));
        assert!(is_below(u64::MAX, u64::MAX / 2, second));
    }
}

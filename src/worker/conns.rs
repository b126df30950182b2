//! The connections that wait: for their first request, for the rest of one, or for the next. No thread is spent on them.

use crate::config::Protocol;
use crate::proto::http::head::Progress;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Most connections that a worker keeps waiting; beyond, it accepts no more until some have gone.
pub const MOST: usize = 16 * 1024;

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// A request has begun to arrive, or the connection is new.
    Head,
    /// The last request is answered.
    Idle,
}

#[derive(Debug)]
pub struct Conn {
    /// Taken while a request runs on it.
    pub client: Option<OwnedFd>,
    pub protocol: Protocol,
    pub listener: usize,
    /// `None` on unix sockets.
    pub peer: Option<SocketAddr>,
    /// What has arrived and is not a whole request yet. Without capacity while there is nothing.
    pub buf: Vec<u8>,
    pub progress: Progress,
    pub waits: Waits,
    pub since_us: u64,
    /// Its place in the table, which is its token, once it is watched.
    pub key: Option<usize>,
}

impl Conn {
    pub fn new(client: OwnedFd, protocol: Protocol, listener: usize, now_us: u64) -> Conn {
        Conn {
            client: Some(client),
            protocol,
            listener,
            peer: None,
            buf: Vec::new(),
            progress: Progress::default(),
            waits: Waits::Head,
            since_us: now_us,
            key: None,
        }
    }

    fn is_overdue(&self, now_us: u64, limits: &Limits) -> bool {
        let limit = match (self.waits, self.protocol) {
            (Waits::Idle, _) => limits.idle,
            (Waits::Head, Protocol::Http) => limits.head,
            (Waits::Head, Protocol::Uwsgi) => limits.packet,
        };
        now_us.saturating_sub(self.since_us) >= limit.as_micros() as u64
    }
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
}

/// The table. A key stays reserved while its connection is away for a request.
#[derive(Debug, Default)]
pub struct Conns {
    places: Vec<Option<Conn>>,
    free: Vec<usize>,
}

impl Conns {
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn is_full(&self) -> bool {
        self.len() >= MOST
    }

    /// A key for a connection that has none.
    pub fn reserve(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        })
    }

    pub fn put(&mut self, key: usize, conn: Conn) {
        self.places[key] = Some(conn);
    }

    /// The connection of an event; `None` when it is away or gone, since events of one wait may be older than what was
    /// done after it.
    pub fn take(&mut self, key: usize) -> Option<Conn> {
        self.places.get_mut(key)?.take()
    }

    /// The connection with this key is closed.
    pub fn release(&mut self, key: usize) {
        if let Some(place) = self.places.get_mut(key) {
            *place = None;
            self.free.push(key);
        }
    }

    /// Takes out everything that has waited too long.
    pub fn overdue(&mut self, now_us: u64, limits: &Limits) -> Vec<Conn> {
        self.take_where(|conn| conn.is_overdue(now_us, limits))
    }

    pub fn take_idle(&mut self) -> Vec<Conn> {
        self.take_where(|conn| conn.waits == Waits::Idle)
    }

    fn take_where(&mut self, wanted: impl Fn(&Conn) -> bool) -> Vec<Conn> {
        let found = self.places.iter_mut().filter(|place| place.as_ref().is_some_and(&wanted));
        found.filter_map(Option::take).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::io;

    fn conn(waits: Waits, since_us: u64) -> Conn {
        let (_, writing) = io::pipe(true).unwrap();
        Conn { waits, ..Conn::new(writing, Protocol::Http, 0, since_us) }
    }

    #[test]
    fn a_key_is_reserved_while_its_connection_is_away() {
        let mut conns = Conns::default();
        let key = conns.reserve();
        conns.put(key, conn(Waits::Idle, 0));
        assert!(conns.take(key).is_some());
        assert!(conns.take(key).is_none());
        assert_ne!(conns.reserve(), key);
        conns.release(key);
        assert_eq!(conns.reserve(), key);
    }

    #[test]
    fn each_wait_has_its_limit() {
        let mut conns = Conns::default();
        for waits in [Waits::Head, Waits::Idle] {
            let key = conns.reserve();
            conns.put(key, conn(waits, 0));
        }
        let limits = Limits {
            packet: Duration::from_secs(9),
            head: Duration::from_secs(1),
            idle: Duration::from_secs(3),
        };
        assert!(conns.overdue(999_999, &limits).is_empty());
        assert_eq!(conns.overdue(1_000_000, &limits)[0].waits, Waits::Head);
        assert_eq!(conns.overdue(3_000_000, &limits)[0].waits, Waits::Idle);
    }
}

//! The places of a connection table, apart from the epoll that watches them.

use super::Conn;
use super::deadline::Limits;
use crate::config::Protocol;
use crate::shm::scoreboard::WorkerSlot;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::*};

/// A key stays reserved while its connection is away for a request.
pub struct Places {
    places: Vec<Option<Conn>>,
    free: Vec<usize>,
    /// How many of those in their places can go on without the application.
    serviceable: Arc<AtomicUsize>,
    /// Most connections that the worker keeps waiting; beyond, it accepts no more until some have gone.
    most: usize,
    /// Most descriptors that it spends on them.
    most_descriptors: usize,
    /// Of those in their places: descriptors beside their sockets, memory of requests that are not whole, and how many are
    /// only read on until they close.
    files: usize,
    request_memory: usize,
    lingering: usize,
    /// Where they are shown by state.
    shown: Option<WorkerSlot>,
}

impl Places {
    pub fn new(most: usize, most_descriptors: usize) -> Places {
        Places {
            places: Vec::new(),
            free: Vec::new(),
            serviceable: Arc::default(),
            most: most.max(1),
            most_descriptors: most_descriptors.max(1),
            files: 0,
            request_memory: 0,
            lingering: 0,
            shown: None,
        }
    }

    /// From now on the scoreboard shows how many connections are in which state.
    pub fn show(&mut self, slot: WorkerSlot) {
        self.shown = Some(slot);
    }

    #[inline]
    fn count(&self, conn: &Conn, change: impl FnOnce(u64) -> u64) {
        if let Some(slot) = self.shown {
            let word = slot.connections_in(conn.state.number());
            word.store(change(word.load(Relaxed)), Relaxed);
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
        self.lingering += usize::from(conn.is_lingering());
        self.count(&conn, |count| count + 1);
        self.places[key] = Some(conn);
    }

    /// The connection of an event; `None` when it is away or gone, since events of one wait may be older than what was
    /// done after it.
    pub fn take(&mut self, key: usize) -> Option<Conn> {
        let conn = self.places.get_mut(key)?.take()?;
        self.serviceable.fetch_sub(usize::from(conn.needs_service()), Relaxed);
        self.files -= conn.descriptors() - 1;
        self.request_memory -= conn.request_memory();
        self.lingering -= usize::from(conn.is_lingering());
        self.count(&conn, |count| count.saturating_sub(1));
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

    /// Takes out all HTTP connections that wait for a request, or the rest of its head, and all that wait to be begun.
    pub fn take_waiting(&mut self) -> Vec<Conn> {
        self.take_where(|conn| conn.awaits_head() && (conn.protocol == Protocol::Http || conn.ready_us != 0))
    }

    /// The same, and those that wait for the rest of a body.
    pub fn take_reading(&mut self) -> Vec<Conn> {
        self.take_where(|conn| conn.reads_on() && (conn.protocol == Protocol::Http || conn.ready_us != 0))
    }

    /// The keys of those that are only read on until they close, the longest first.
    pub fn lingering(&self) -> Vec<usize> {
        if self.lingering == 0 {
            return Vec::new();
        }
        let lingering = self.iter().filter(|(_, conn)| conn.is_lingering());
        let mut found: Vec<_> = lingering.map(|(key, conn)| (conn.since_us, key)).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, key)| key).collect()
    }

    /// All that are in their places, with their keys.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Conn)> {
        self.places.iter().enumerate().filter_map(|(key, conn)| Some((key, conn.as_ref()?)))
    }

    pub fn get(&self, key: usize) -> Option<&Conn> {
        self.places.get(key)?.as_ref()
    }

    fn take_where(&mut self, wanted: impl Fn(&Conn) -> bool) -> Vec<Conn> {
        let is_wanted = |key: &usize| self.places[*key].as_ref().is_some_and(&wanted);
        let keys: Vec<usize> = (0..self.places.len()).filter(is_wanted).collect();
        keys.into_iter().filter_map(|key| self.take(key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::tests::{conn, leftover, upload};
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_key_is_reserved_while_its_connection_is_away() {
        let mut conns = Places::new(10, 10);
        let key = conns.reserve();
        conns.put(key, conn(State::Idle, 0));
        assert!(conns.take(key).is_some());
        assert!(conns.take(key).is_none());
        assert_ne!(conns.reserve(), key);
        conns.release(key);
        assert_eq!(conns.reserve(), key);
    }

    #[test]
    fn those_that_can_go_on_are_counted_while_they_are_in_their_places() {
        let mut conns = Places::new(10, 10);
        let serviceable = conns.serviceable();
        for state in [leftover(1), upload(), State::Idle, State::Lingering] {
            let key = conns.reserve();
            conns.put(key, conn(state, 0));
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
    fn a_full_table_says_so_until_there_is_room() {
        for mut conns in [Places::new(2, 10), Places::new(10, 2)] {
            let keys = [conns.reserve(), conns.reserve()];
            assert!(conns.is_full() && !conns.has_room());
            conns.release(keys[0]);
            assert!(!conns.is_full() && conns.has_room());
        }
    }

    #[test]
    fn those_that_linger_are_known_the_longest_first() {
        let mut conns = Places::new(10, 10);
        for (state, since_us) in
            [(State::Lingering, 7), (State::Idle, 1), (State::Lingering, 5), (State::Lingering, 6)]
        {
            let key = conns.reserve();
            conns.put(key, conn(state, since_us));
        }
        assert_eq!(conns.lingering(), [2, 3, 0]);
        conns.release(3);
        assert!(conns.take(2).is_some());
        assert_eq!((conns.lingering(), conns.lingering), (vec![0], 1));
    }

    #[test]
    fn who_waits_is_taken_out() {
        let found = |take: fn(&mut Places) -> Vec<Conn>| {
            let mut conns = Places::new(10, 10);
            let begins = |since_us, ready_us| {
                let conn = conn(State::Head, since_us);
                Conn { protocol: Protocol::Uwsgi, ready_us, ..conn }
            };
            let http = [(State::Idle, 1), (upload(), 2), (State::Lingering, 3)]
                .map(|(state, since)| conn(state, since));
            for conn in http.into_iter().chain([begins(4, 0), begins(5, 1)]) {
                let key = conns.reserve();
                conns.put(key, conn);
            }
            take(&mut conns).iter().map(|conn| conn.since_us).collect::<Vec<_>>()
        };
        assert_eq!((found(Places::take_waiting), found(Places::take_reading)), (vec![1, 5], vec![1, 2, 5]));
    }

    #[test]
    fn each_wait_has_its_limit() {
        let mut conns = Places::new(10, 10);
        for state in [State::Head, State::Idle, upload()] {
            let key = conns.reserve();
            conns.put(key, conn(state, 0));
        }
        let limits = Limits {
            packet: Duration::from_secs(9),
            head: Duration::from_secs(1),
            idle: Duration::from_secs(3),
            stall: Duration::from_secs(4),
            rate: 0,
        };
        assert!(conns.overdue(999_999, &limits).is_empty());
        assert!(matches!(conns.overdue(1_000_000, &limits)[0].state, State::Head));
        assert!(matches!(conns.overdue(3_000_000, &limits)[0].state, State::Idle));
        assert!(matches!(conns.overdue(4_000_000, &limits)[0].state, State::Body(_)));
    }
}

//! Connections of the table that have something to be read which the process should not begin yet, in the order in which
//! they came to the server. They stay in their places of the table, unwatched.

use crate::shm::scoreboard::WorkerSlot;
use crate::worker::conn::Conn;
use crate::worker::conn::table::ConnTable;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::*};

pub struct Held {
    /// Since when each waits, and its key.
    keys: Mutex<VecDeque<(u64, usize)>>,
    /// On the scoreboard: how many wait.
    slot: WorkerSlot,
    /// A thread looks again in a moment whether one may be begun.
    is_looked_after: AtomicBool,
}

impl Held {
    pub fn new(slot: WorkerSlot) -> Held {
        Held { keys: Mutex::default(), slot, is_looked_after: AtomicBool::new(false) }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.slot.waiting().load(Relaxed) == 0
    }

    /// Puts a connection in its place: one that another worker has given may have waited for longer than others here.
    pub fn put(&self, key: usize, since_us: u64) {
        let mut keys = self.keys.lock();
        let place = keys.iter().rposition(|&(since, _)| since <= since_us).map_or(0, |index| index + 1);
        keys.insert(place, (since_us, key));
        self.publish(&keys);
    }

    fn publish(&self, keys: &VecDeque<(u64, usize)>) {
        self.slot.oldest_us().store(keys.front().map_or(0, |&(since, _)| since), Relaxed);
        self.slot.waiting().store(keys.len() as u64, Relaxed);
    }

    /// Takes the connection that has waited longest out of the table, of those that are `wanted`.
    pub fn take(&self, table: &ConnTable, wanted: impl Fn(&Conn) -> bool) -> Option<Conn> {
        let (mut keys, mut places) = (self.keys.lock(), table.lock());
        // A key may stand for one that has left the table meanwhile.
        while keys.front().is_some_and(|&(_, key)| places.get(key).is_none()) {
            keys.pop_front();
        }
        let first = keys.iter().position(|&(_, key)| places.get(key).is_some_and(&wanted));
        let taken = first.and_then(|index| keys.remove(index)).and_then(|(_, key)| places.take(key));
        self.publish(&keys);
        taken
    }

    /// Takes the one that came last.
    pub fn take_last(&self, table: &ConnTable, wanted: impl Fn(&Conn) -> bool) -> Option<Conn> {
        let (mut keys, mut places) = (self.keys.lock(), table.lock());
        let last = keys.iter().rposition(|&(_, key)| places.get(key).is_some_and(&wanted));
        let taken = last.and_then(|index| keys.remove(index)).and_then(|(_, key)| places.take(key));
        self.publish(&keys);
        taken
    }

    /// The worker leaves: the table is emptied in another way.
    pub fn clear(&self) {
        let mut keys = self.keys.lock();
        keys.clear();
        self.publish(&keys);
    }

    /// Does a thread look again in a moment?
    pub fn is_looked_after(&self) -> bool {
        self.is_looked_after.load(Acquire)
    }

    /// The calling thread looks again in a moment, until [`Held::end_look`]. `false`: another does.
    pub fn begin_look(&self) -> bool {
        !self.is_looked_after.swap(true, AcqRel)
    }

    pub fn end_look(&self) {
        self.is_looked_after.store(false, Release);
    }
}

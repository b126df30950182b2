//! Connections that go from one worker to another: from a busy one to an idle one, and from one that leaves to those that
//! stay.

pub mod encode;
pub mod last_look;
pub mod mailbox;
pub mod standby;

use super::Shared;
use super::conns::Conn;
use crate::net::client::Client;
use crate::shm::scoreboard::{Command, Stage};
use crate::sys::{clock, io};
use encode::is_movable;
use std::cmp::Reverse;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::*;

/// Connections that a busy worker puts into the mailbox of one that idles: more would wait there in turn.
const MAX_FOR_IDLE: u64 = 8;
/// How often the master is told that there are unread messages: it takes back what stays unread.
const TELL_US: u64 = 50_000;

impl Shared {
    /// Does the worker in another slot serve?
    fn neighbour_serves(&self, slot: usize) -> bool {
        let worker = self.scoreboard.worker(slot);
        slot != self.slot_index && worker.stage() == Stage::Ready && worker.command() == Command::Serve
    }

    /// Do other workers serve beside this one, to whom a busy one can give connections?
    pub(super) fn has_neighbours(&self) -> bool {
        self.settings.instance.processes > 1 && !self.mailboxes.is_empty()
    }

    /// Is there, beside this one, a worker that serves, or will when the pause is over?
    pub(super) fn has_successor(&self) -> bool {
        let goes_on = |slot: usize| {
            let worker = self.scoreboard.worker(slot);
            worker.stage() == Stage::Ready && matches!(worker.command(), Command::Serve | Command::Pause)
        };
        (0..self.mailboxes.len()).any(|slot| slot != self.slot_index && goes_on(slot))
    }

    /// A worker that runs nothing, in whose mailbox there is room; the emptiest first.
    pub(super) fn idle_neighbour(&self) -> Option<usize> {
        let now = clock::monotonic_us();
        let unread = |slot: usize| self.scoreboard.worker(slot).mailbox_len().load(Relaxed);
        let is_idle = |&slot: &usize| {
            self.neighbour_serves(slot)
                && self.scoreboard.worker(slot).in_flight().load(Relaxed) == 0
                && unread(slot) < MAX_FOR_IDLE
                && mailbox::has_room(self.scoreboard, slot, now)
        };
        (0..self.mailboxes.len()).filter(is_idle).min_by_key(|&slot| (unread(slot), slot))
    }

    /// The worker that takes over what this one leaves: of the newest generation, the one with the least to do.
    pub(super) fn successor(&self) -> Option<usize> {
        let now = clock::monotonic_us();
        let order = |&slot: &usize| {
            let worker = self.scoreboard.worker(slot);
            let load = (worker.mailbox_len().load(Relaxed), worker.in_flight().load(Relaxed));
            (Reverse(worker.generation().load(Relaxed)), load)
        };
        let takes =
            |&slot: &usize| self.neighbour_serves(slot) && mailbox::has_room(self.scoreboard, slot, now);
        (0..self.mailboxes.len()).filter(takes).min_by_key(order)
    }

    /// Gives a connection to the worker in a slot, or hands it back. This worker's epoll must have forgotten it.
    pub(super) fn give(&self, mut conn: Conn, slot: usize) -> Option<Conn> {
        let Some(mailbox) = self.mailboxes.get(slot).filter(|_| is_movable(&conn)) else { return Some(conn) };
        let Some(client) = &conn.client else { return Some(conn) };
        if !mailbox::post(self.scoreboard, mailbox, slot, &encode::encode(&conn), client.as_fd()) {
            return Some(conn);
        }
        conn.client.take().into_iter().for_each(Client::release);
        self.take_back(slot);
        self.tell_of_messages();
        None
    }

    /// A worker that has left meanwhile takes nothing any more.
    fn take_back(&self, slot: usize) {
        let has_left = || mailbox::has_left(self.scoreboard, slot);
        while let Some(conn) = last_look::take_back(has_left, || self.take_from(slot)) {
            self.keep(conn);
        }
    }

    /// A connection that another process has given.
    pub(super) fn take_given(&self) -> Option<Conn> {
        if !self.is_assigned() {
            return None;
        }
        let taken = self.take_from(self.slot_index);
        if taken.is_none() && !io::has_spare_number() {
            self.out_of_descriptors();
        }
        taken
    }

    pub(super) fn take_from(&self, slot: usize) -> Option<Conn> {
        let (bytes, socket) = mailbox::take(self.scoreboard, &self.mailboxes, slot)?;
        encode::decode(&bytes, |listener| self.client(socket, listener))
            .filter(|conn| conn.listener < self.listeners.len())
    }

    fn tell_of_messages(&self) {
        let (now, last) = (clock::monotonic_us(), self.told_us.load(Relaxed));
        if now.saturating_sub(last) >= TELL_US
            && self.told_us.compare_exchange(last, now, Relaxed, Relaxed).is_ok()
        {
            self.tell_master();
        }
    }
}

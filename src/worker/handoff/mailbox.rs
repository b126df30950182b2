//! Mailboxes: a socket pair for each slot of the scoreboard, made before the first fork, through which any process
//! gives the worker in a slot a connection. What a worker has not read can be taken back by everybody.

use super::encode::{MAX_MESSAGE, encode, is_movable};
use super::last_look;
use crate::net::client::Client;
use crate::shm::scoreboard::{Scoreboard, Stage};
use crate::sys::{clock, io, scm};
use crate::worker::conn::Conn;
use parking_lot::Mutex;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::*;

/// The two ends of a slot's mailbox.
#[derive(Debug)]
pub struct Mailbox {
    pub taking: OwnedFd,
    giving: OwnedFd,
    /// Threads of this process read it one after another.
    reading: Mutex<()>,
}

/// A mailbox for each slot.
pub fn make(slots: usize) -> std::io::Result<Vec<Mailbox>> {
    let one =
        |_| io::packet_pair().map(|(taking, giving)| Mailbox { taking, giving, reading: Mutex::new(()) });
    (0..slots).map(one).collect()
}

/// Messages that may lie unread in one mailbox.
const MAX_UNREAD: u64 = 128;
/// A worker that has not read for so long is stopped, or cannot look: it is given nothing more.
const STALE_US: u64 = 20_000;
/// What has not been read for so long is taken back, unless the worker is seen to be there: others have as much to do.
const TAKE_BACK_US: u64 = 100_000;
/// For how long a worker that has not read is given nothing then: a frozen one has nothing else to do, and would be given
/// the same connections again.
pub const AVOID_US: u64 = 1_000_000;

/// A connection on its way from one process to another.
#[derive(Debug)]
pub struct Message {
    bytes: Vec<u8>,
    client: Client,
}

impl Message {
    /// `None`: the connection has to stay where it is.
    pub fn of(mut conn: Conn) -> Option<Message> {
        if !is_movable(&conn) {
            return None;
        }
        let bytes = encode(&conn);
        conn.client.take().map(|client| Message { bytes, client })
    }
}

/// Has the worker in a slot read its mailbox for the last time? One that boots will read it.
pub fn has_left(scoreboard: Scoreboard, slot: usize) -> bool {
    matches!(scoreboard.worker(slot).stage(), Stage::Retiring | Stage::Gone)
}

/// For how long the worker in a slot has left messages unread.
pub fn unread_for(scoreboard: Scoreboard, slot: usize, now_us: u64) -> Option<u64> {
    let worker = scoreboard.worker(slot);
    (worker.mailbox_len().load(Relaxed) > 0).then(|| now_us.saturating_sub(worker.mailbox_us().load(Relaxed)))
}

/// Are the messages of a slot to be taken back? Nobody has looked at them for long: the worker may be stopped.
pub fn is_unattended(scoreboard: Scoreboard, slot: usize, now_us: u64) -> bool {
    let unseen_us = now_us.saturating_sub(scoreboard.worker(slot).attended_us().load(Relaxed));
    unread_for(scoreboard, slot, now_us).is_some_and(|unread_us| unread_us.min(unseen_us) >= TAKE_BACK_US)
}

/// May the worker in a slot be given a connection, as far as its mailbox and its table go?
pub fn has_room(scoreboard: Scoreboard, slot: usize, now_us: u64) -> bool {
    let worker = scoreboard.worker(slot);
    worker.table_full().load(Relaxed) == 0
        && now_us >= worker.avoided_until_us().load(Relaxed)
        && worker.mailbox_len().load(Relaxed) < MAX_UNREAD
        && unread_for(scoreboard, slot, now_us).is_none_or(|time| time < STALE_US)
}

/// Puts a message into the mailbox of a slot, if there is room.
pub fn post(
    scoreboard: Scoreboard,
    mailbox: &Mailbox,
    slot: usize,
    bytes: &[u8],
    fd: BorrowedFd<'_>,
) -> bool {
    let worker = scoreboard.worker(slot);
    if worker.mailbox_len().fetch_add(1, Relaxed) == 0 {
        worker.mailbox_us().store(clock::monotonic_us(), Relaxed);
    }
    let is_sent = scm::send(mailbox.giving.as_fd(), bytes, fd).is_ok();
    if !is_sent {
        count_out(scoreboard, slot);
    }
    is_sent
}

/// One message less. What a predecessor in this slot has left was not counted in it.
fn count_out(scoreboard: Scoreboard, slot: usize) {
    let less = |unread: u64| Some(unread.saturating_sub(1));
    let _ = scoreboard.worker(slot).mailbox_len().fetch_update(Relaxed, Relaxed, less);
}

/// Takes a message out of the mailbox of a slot, unless this process could not hold its descriptor.
pub fn take(scoreboard: Scoreboard, mailboxes: &[Mailbox], slot: usize) -> Option<(Vec<u8>, OwnedFd)> {
    let mailbox = mailboxes.get(slot)?;
    let mut bytes = Vec::new();
    let _reading = mailbox.reading.lock();
    loop {
        let received = scm::receive(mailbox.taking.as_fd(), &mut bytes, MAX_MESSAGE);
        if received.as_ref().is_err_and(|error| error.kind() != ErrorKind::InvalidData) {
            return None;
        }
        count_out(scoreboard, slot);
        scoreboard.worker(slot).mailbox_us().store(clock::monotonic_us(), Relaxed);
        if let Ok(socket) = received {
            return Some((bytes, socket));
        }
        // Without its one descriptor it is no connection: the next may be.
    }
}

/// Counts nothing as unread in the mailbox of a slot, where nothing is: a process that was killed while it gave a
/// connection has counted one that will never come.
pub fn recount(scoreboard: Scoreboard, slot: usize) {
    scoreboard.worker(slot).mailbox_len().store(0, Relaxed);
}

/// Gives a message to the one of these workers that has the least to do, or hands it back when none has room.
pub fn deliver(
    scoreboard: Scoreboard,
    mailboxes: &[Mailbox],
    mut message: Message,
    takes: impl Fn(usize) -> bool,
) -> Result<(), Message> {
    let (load, now) = (|slot: &usize| load(scoreboard, *slot), clock::monotonic_us());
    let fits = |&slot: &usize| takes(slot) && has_room(scoreboard, slot, now);
    let mut slots: Vec<usize> = (0..mailboxes.len()).filter(fits).collect();
    slots.sort_by_key(load);
    for slot in slots {
        if !post(scoreboard, &mailboxes[slot], slot, &message.bytes, message.client.as_fd()) {
            continue;
        }
        message.client.release();
        // If it left meanwhile, this message or another is still there.
        let taken = last_look::take_back(|| has_left(scoreboard, slot), || take(scoreboard, mailboxes, slot));
        let Some((bytes, socket)) = taken else { return Ok(()) };
        message = Message { bytes, client: Client::plain(socket) };
    }
    Err(message)
}

fn load(scoreboard: Scoreboard, slot: usize) -> (u64, u64) {
    let worker = scoreboard.worker(slot);
    (worker.in_flight().load(Relaxed), worker.mailbox_len().load(Relaxed))
}

/// Passes the unread messages of a slot's mailbox to these workers; returns those that none of them has room for.
pub fn forward_undelivered(
    scoreboard: Scoreboard,
    mailboxes: &[Mailbox],
    from: usize,
    takes: impl Fn(usize) -> bool,
) -> Vec<Message> {
    let mut left = Vec::new();
    while let Some((bytes, socket)) = take(scoreboard, mailboxes, from) {
        let message = Message { bytes, client: Client::plain(socket) };
        left.extend(deliver(scoreboard, mailboxes, message, |slot| slot != from && takes(slot)).err());
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Protocol;
    use crate::shm::scoreboard::Command;

    fn server(slots: usize) -> (Scoreboard, Vec<Mailbox>) {
        let scoreboard = Scoreboard::new(slots, 1).unwrap();
        for slot in 0..slots {
            scoreboard.worker(slot).assign(1 + slot as u64, 1, scoreboard.next_assignment());
            scoreboard.worker(slot).set_stage(Stage::Ready);
        }
        (scoreboard, make(slots).unwrap())
    }

    fn message(bytes: &[u8]) -> Message {
        let (_, writing) = io::pipe(true).unwrap();
        let mut conn = Conn::new(Client::plain(writing), Protocol::Http, 0, 0);
        conn.buf = bytes.to_vec();
        Message::of(conn).unwrap()
    }

    fn serves(scoreboard: Scoreboard) -> impl Fn(usize) -> bool {
        move |slot| {
            scoreboard.worker(slot).stage() == Stage::Ready
                && scoreboard.worker(slot).command() == Command::Serve
        }
    }

    #[test]
    fn messages_spread_over_those_who_have_room() {
        let (scoreboard, mailboxes) = server(3);
        scoreboard.worker(1).table_full().store(1, Relaxed);
        for _ in 0..10 {
            deliver(scoreboard, &mailboxes, message(b"x"), serves(scoreboard)).unwrap();
        }
        let unread: Vec<u64> =
            (0..3).map(|slot| scoreboard.worker(slot).mailbox_len().load(Relaxed)).collect();
        assert_eq!(unread, [5, 0, 5]);
    }

    #[test]
    fn what_a_dead_worker_left_goes_to_the_living() {
        let (scoreboard, mailboxes) = server(2);
        for number in 0..3 {
            assert!(deliver(scoreboard, &mailboxes, message(&[number]), |slot| slot == 0).is_ok());
        }
        scoreboard.worker(0).unassign();
        assert_eq!(forward_undelivered(scoreboard, &mailboxes, 0, serves(scoreboard)).len(), 0);
        for number in 0..3 {
            assert_eq!(take(scoreboard, &mailboxes, 1).unwrap().0.last(), Some(&number));
        }
        assert!(take(scoreboard, &mailboxes, 1).is_none());
    }

    #[test]
    fn what_is_no_connection_is_passed_over() {
        let (scoreboard, mailboxes) = server(1);
        assert!(deliver(scoreboard, &mailboxes, message(b"x"), serves(scoreboard)).is_ok());
        scoreboard.worker(0).mailbox_len().fetch_add(1, Relaxed);
        io::write_now(mailboxes[0].giving.as_fd(), b"no descriptor").unwrap();
        assert!(deliver(scoreboard, &mailboxes, message(b"y"), serves(scoreboard)).is_ok());
        for expected in [b'x', b'y'] {
            assert_eq!(take(scoreboard, &mailboxes, 0).unwrap().0.last(), Some(&expected));
        }
        assert_eq!(scoreboard.worker(0).mailbox_len().load(Relaxed), 0);
        assert!(take(scoreboard, &mailboxes, 0).is_none());
    }

    #[test]
    fn a_count_never_falls_below_nothing() {
        let (scoreboard, mailboxes) = server(1);
        while post(scoreboard, &mailboxes[0], 0, &[0; MAX_MESSAGE], io::stderr()) {
            // As if the slot had been given to another process meanwhile.
            scoreboard.worker(0).mailbox_len().store(0, Relaxed);
        }
        assert!(has_room(scoreboard, 0, clock::monotonic_us()));
    }

    #[test]
    fn nothing_is_lost_when_nobody_takes_it() {
        let (scoreboard, mailboxes) = server(1);
        assert!(deliver(scoreboard, &mailboxes, message(b"x"), serves(scoreboard)).is_ok());
        scoreboard.worker(0).set_command(Command::Retire);
        let left = forward_undelivered(scoreboard, &mailboxes, 0, serves(scoreboard));
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].bytes.last(), Some(&b'x'));
    }

    #[test]
    fn a_worker_that_does_not_read_is_given_no_more() {
        let (scoreboard, mailboxes) = server(1);
        assert!(deliver(scoreboard, &mailboxes, message(b"x"), serves(scoreboard)).is_ok());
        let then = scoreboard.worker(0).mailbox_us().load(Relaxed);
        assert!(has_room(scoreboard, 0, then + STALE_US - 1) && !has_room(scoreboard, 0, then + STALE_US));
        assert_eq!(unread_for(scoreboard, 0, then + 5), Some(5));
        // It is not stopped.
        scoreboard.worker(0).attended_us().store(then + 7, Relaxed);
        assert!(!is_unattended(scoreboard, 0, then + TAKE_BACK_US));
        assert!(is_unattended(scoreboard, 0, then + TAKE_BACK_US + 7));
        take(scoreboard, &mailboxes, 0).unwrap();
        assert!(has_room(scoreboard, 0, then + 2 * STALE_US));
        // The master has taken back what it had not read.
        scoreboard.worker(0).avoided_until_us().store(then + AVOID_US, Relaxed);
        assert!(!has_room(scoreboard, 0, then + AVOID_US - 1) && has_room(scoreboard, 0, then + AVOID_US));
    }
}

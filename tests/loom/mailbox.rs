//! Connections given to a worker that leaves: none stays unread, none is taken twice.

use crate::base::sync::{AtomicU64, Ordering::*, Part, without};
use crate::explored;
use crate::under_test::last_look;
use loom::thread;
use std::sync::Arc;

/// The queue of a socket pair. That of the kernel has a lock of its own, which orders those who use it; this one is a single
/// word that orders nothing else, so that nothing but the protocol does.
struct Mailbox {
    /// A bit for each message that lies unread.
    unread: AtomicU64,
    /// What the worker says on the scoreboard.
    has_left: AtomicU64,
}

impl Mailbox {
    fn new() -> Mailbox {
        Mailbox { unread: AtomicU64::new(0), has_left: AtomicU64::new(0) }
    }

    fn post(&self, message: usize) {
        assert_eq!(self.unread.fetch_or(1 << message, Relaxed) & 1 << message, 0);
    }

    /// Takes a message that is seen to lie there.
    fn take(&self) -> Option<u32> {
        let mut unread = self.unread.load(Relaxed);
        while unread != 0 {
            match self.unread.compare_exchange(unread, unread & (unread - 1), Relaxed, Relaxed) {
                Ok(_) => return Some(unread.trailing_zeros()),
                Err(now) => unread = now,
            }
        }
        None
    }

    fn read(&self) -> usize {
        std::iter::from_fn(|| self.take()).count()
    }

    fn has_left(&self) -> bool {
        self.has_left.load(Acquire) == 1
    }

    /// As `handoff::give` does: takes back all that lie there.
    fn give(&self, message: usize) -> usize {
        self.post(message);
        let take_back = || last_look::take_back(|| self.has_left(), || self.take());
        std::iter::from_fn(take_back).count()
    }

    /// As `deliver` does: takes back one.
    fn deliver(&self, message: usize) -> usize {
        self.post(message);
        usize::from(last_look::take_back(|| self.has_left(), || self.take()).is_some())
    }

    fn leave(&self) -> usize {
        last_look::leave(|| self.has_left.store(1, Release), || self.read())
    }
}

type Act = fn(&Mailbox, usize) -> usize;

/// Each giver has a message of its own, and the leaver reads as it serves, then leaves.
fn explore(givers: &'static [Act], leave: fn(&Mailbox) -> usize) {
    explored(move || {
        let mailbox = Arc::new(Mailbox::new());
        let given: Vec<_> = (givers.iter().enumerate())
            .map(|(message, give)| {
                let mailbox = mailbox.clone();
                thread::spawn(move || give(&mailbox, message))
            })
            .collect();
        let taken = mailbox.read() + leave(&mailbox);
        let taken_back: usize = given.into_iter().map(|giver| giver.join().unwrap()).sum();
        assert_eq!(mailbox.unread.load(Relaxed), 0, "unread");
        assert_eq!(taken + taken_back, givers.len());
    });
}

#[test]
fn nothing_stays_unread() {
    explore(&[Mailbox::give], Mailbox::leave);
    explore(&[Mailbox::deliver], Mailbox::leave);
}

#[test]
fn nothing_stays_unread_of_two() {
    explore(&[Mailbox::give, Mailbox::deliver], Mailbox::leave);
    explore(&[Mailbox::deliver, Mailbox::deliver], Mailbox::leave);
}

#[test]
#[should_panic = "unread"]
fn the_fences_are_needed() {
    without(Part::Fence, || explore(&[Mailbox::give], Mailbox::leave));
}

#[test]
#[should_panic = "unread"]
fn the_leaver_has_to_look_once_more() {
    let looks_before = |mailbox: &Mailbox| {
        let taken = mailbox.read();
        mailbox.has_left.store(1, Release);
        taken
    };
    explore(&[Mailbox::give], looks_before);
}

#[test]
#[should_panic = "unread"]
fn the_giver_has_to_look_afterwards() {
    const LOOKS_BEFORE: Act = |mailbox, message| {
        if mailbox.has_left() {
            return mailbox.give(message);
        }
        mailbox.post(message);
        0
    };
    explore(&[LOOKS_BEFORE], Mailbox::leave);
}

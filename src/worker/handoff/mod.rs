//! Connections that go from one worker to another: from a busy one to an idle one, and from one that leaves to those
//! that stay.

pub mod encode;
pub mod give;
pub mod last_look;
pub mod mailbox;
pub mod outrun;
pub mod queueing;
pub mod service;
pub mod sleeper;
pub mod standby;
pub mod work;

use super::conn::Conn;
use super::context::Context;
use super::setup::Setup;
use crate::policy::placement::{self, Load, Place};
use crate::shm::scoreboard::{Command, Stage};
use crate::sys::clock;
use mailbox::Mailbox;
use standby::StandbyPoller;
use std::cmp::Reverse;
use std::io::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::*};

/// How often a worker reports unread messages to the master, which takes back what stays unread.
pub const TELL_US: u64 = 50_000;

pub struct Handoff {
    mailboxes: Arc<Vec<Mailbox>>,
    /// When unread messages were last reported to the master.
    told_us: AtomicU64,
    pub standby: Arc<StandbyPoller>,
}

impl Handoff {
    pub fn new(setup: &Setup) -> Result<Handoff> {
        Ok(Handoff {
            mailboxes: setup.mailboxes.clone(),
            told_us: AtomicU64::new(0),
            standby: Arc::new(StandbyPoller::new()?),
        })
    }

    /// Do workers of this server give each other connections?
    #[inline]
    pub fn is_used(&self) -> bool {
        !self.mailboxes.is_empty()
    }

    /// The slots of workers but this one's.
    pub fn others(&self, context: &Context) -> impl Iterator<Item = usize> + Clone + use<> {
        let mine = context.slot_index;
        (0..self.mailboxes.len()).filter(move |&slot| slot != mine)
    }

    /// Do other workers serve beside this one, to whom a busy one can give connections?
    pub fn has_neighbours(&self, context: &Context) -> bool {
        context.settings.instance.processes > 1 && self.is_used()
    }

    /// Is there, beside this one, a worker that serves, or will when the pause is over?
    pub fn has_successor(&self, context: &Context) -> bool {
        let serves_on = |slot: usize| {
            let worker = context.scoreboard.worker(slot);
            worker.stage() == Stage::Ready && matches!(worker.command(), Command::Serve | Command::Pause)
        };
        self.others(context).any(serves_on)
    }

    /// What the worker in a slot has to do.
    pub fn load(&self, context: &Context, slot: usize) -> Load {
        let worker = context.scoreboard.worker(slot);
        Load {
            in_flight: worker.in_flight().load(Relaxed),
            waiting: worker.waiting().load(Relaxed) + worker.mailbox_len().load(Relaxed),
            begun_us: worker.begun_us().load(Relaxed),
            oldest_us: worker.oldest_us().load(Relaxed),
        }
    }

    /// Where a request would begin sooner than in this worker, which has so much to do.
    pub fn better_place(&self, context: &Context, mine: Load) -> Option<Place> {
        if mine.waiting == 0 || !self.has_neighbours(context) {
            return None;
        }
        placement::better_place(mine, self.takers(context).map(|slot| (slot, self.load(context, slot))))
    }

    /// The workers that take connections of others now.
    pub fn takers<'a>(&self, context: &'a Context) -> impl Iterator<Item = usize> + Clone + use<'a> {
        let now = clock::monotonic_us();
        let takes =
            move |&slot: &usize| serves(context, slot) && mailbox::has_room(context.scoreboard, slot, now);
        self.others(context).filter(takes)
    }

    /// The worker that takes over what this one leaves: of the newest generation, the one with the least to do.
    pub fn successor(&self, context: &Context) -> Option<usize> {
        let order = |&slot: &usize| {
            let worker = context.scoreboard.worker(slot);
            let load = (worker.mailbox_len().load(Relaxed), worker.in_flight().load(Relaxed));
            (Reverse(worker.generation().load(Relaxed)), load)
        };
        self.takers(context).min_by_key(order)
    }

    pub fn mailbox(&self, slot: usize) -> Option<&Mailbox> {
        self.mailboxes.get(slot)
    }

    /// A connection that lies in the mailbox of a slot.
    pub fn take_from(&self, context: &Context, slot: usize) -> Option<Conn> {
        let (bytes, socket) = mailbox::take(context.scoreboard, &self.mailboxes, slot)?;
        context.slot.taken().fetch_add(1, Relaxed);
        encode::decode(&bytes, |listener| context.client(socket, listener))
            .filter(|conn| conn.listener < context.listeners.len())
    }

    /// Are unread messages to be reported to the master?
    pub fn is_telling_due(&self) -> bool {
        let (now, last) = (clock::monotonic_us(), self.told_us.load(Relaxed));
        now.saturating_sub(last) >= TELL_US
            && self.told_us.compare_exchange(last, now, Relaxed, Relaxed).is_ok()
    }
}

fn serves(context: &Context, slot: usize) -> bool {
    let worker = context.scoreboard.worker(slot);
    worker.stage() == Stage::Ready && worker.command() == Command::Serve
}

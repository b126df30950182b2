//! Connections that lie unread in the mailbox of a worker that is dead, stopped or stuck: they go to another.

use super::{Master, Phase};
use crate::shm::scoreboard::{Command, Stage};
use crate::sys::{clock, epoll};
use crate::worker::application::Application;
use crate::worker::handoff::mailbox::{self, TAKE_BACK_US};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// How often they are looked at while there are any.
const LOOK: Duration = Duration::from_millis(50);

impl<R: Application> Master<'_, R> {
    /// When unread messages are looked at next; `None`: there are none.
    pub(super) fn messages_wait(&self) -> Option<Duration> {
        let has_unread = |slot| mailbox::unread_for(self.scoreboard, slot, 0).is_some();
        let waits = !self.undelivered.is_empty() || (0..self.base.mailboxes.len()).any(has_unread);
        waits.then_some(LOOK)
    }

    /// Takes back what a worker has left unread for too long, and gives it to others.
    pub(super) fn deliver_messages(&mut self) {
        let now = clock::monotonic_us();
        for slot in 0..self.base.mailboxes.len() {
            if mailbox::unread_for(self.scoreboard, slot, now).is_some_and(|time| time >= TAKE_BACK_US) {
                self.empty_mailbox(slot);
            }
        }
        for message in std::mem::take(&mut self.undelivered) {
            let takes = |slot| self.takes_messages(slot);
            let left = mailbox::deliver(self.scoreboard, &self.base.mailboxes, message, takes);
            self.undelivered.extend(left.err());
        }
        self.publish_held();
    }

    /// Workers that stop stay for connections in the master's hands, and for those that listeners may still bring.
    pub(super) fn publish_held(&self) {
        let held = self.undelivered.len() + self.closing.count();
        self.scoreboard.held().store(held as u64, SeqCst);
    }

    /// Workers that stop stay for what the master takes into its hands from here on, until [`Master::deliver_messages`] has
    /// found a place for it.
    pub(super) fn hold_messages(&self) {
        self.scoreboard.held().store(1, SeqCst);
    }

    /// What lies in the mailbox of a slot goes to others.
    pub(super) fn empty_mailbox(&mut self, slot: usize) {
        let Some(mailbox) = self.base.mailboxes.get(slot) else { return };
        self.hold_messages();
        let takes = |slot| self.takes_messages(slot);
        let left = mailbox::forward_undelivered(self.scoreboard, &self.base.mailboxes, slot, takes);
        if !epoll::is_readable(&mailbox.taking) {
            mailbox::recount(self.scoreboard, slot);
        }
        self.undelivered.extend(left);
    }

    fn takes_messages(&self, slot: usize) -> bool {
        let worker = self.scoreboard.worker(slot);
        let command = worker.command();
        let serves =
            command == Command::Serve || (self.phase == Phase::Stopping && command == Command::Drain);
        worker.stage() == Stage::Ready && serves
    }
}

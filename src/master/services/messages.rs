//! Connections that the master holds: unread ones from the mailbox of a worker that is dead, stopped or stuck, and,
//! when the server stops, those that wait in the backlog of a listener. They go to workers that have room.

use super::closing::Closing;
use crate::config::Protocol;
use crate::master::action::Action;
use crate::master::server::{Phase, Server};
use crate::master::service::Service;
use crate::net::client::Client;
use crate::net::listener::{Bound, is_shortage};
use crate::shm::scoreboard::{Command, Scoreboard, Stage};
use crate::supervise::Children;
use crate::sys::{epoll, process, socket};
use crate::worker::conn::Conn;
use crate::worker::handoff::TELL_US;
use crate::worker::handoff::mailbox::{self, AVOID_US, Message};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// How often they are looked at while there are any, or may be: a worker that has reported one reports no other for so
/// long.
const LOOK_US: u64 = TELL_US;

#[derive(Default)]
pub struct Messages {
    /// Connections whose worker is gone and that no other has had room for.
    undelivered: Vec<Message>,
    /// Connections that workers have given each other, and when there was a new one among them.
    given: u64,
    given_us: Option<u64>,
    pub closing: Closing,
}

impl Messages {
    /// No new connection is made any more; those in the backlogs are accepted as soon as there is room.
    pub fn begin_closing(&mut self, now: u64, server: &Server) {
        self.closing.begin(now, &server.setup.listeners);
        self.close_listeners(now, server);
    }

    /// Closes the listeners whose backlog is empty. Connections to HTTP listeners are accepted by the master and given
    /// to the workers, all of which may be busy for long.
    fn close_listeners(&mut self, now: u64, server: &Server) {
        for open in self.closing.open() {
            let bound = &server.setup.listeners[open.index];
            // First: a handshake that ends meanwhile is in the backlog when that is looked at.
            let is_settled = self.closing.is_settled(bound, now);
            let is_drained = self.drain(open.index, bound, now, server);
            if is_drained && is_settled || open.is_overdue(now) {
                self.closing.close(open.index, bound);
            }
            self.publish_held(server);
        }
    }

    /// Accepts what waits in the backlog of a listener, where workers do not. `true`: the backlog is empty.
    fn drain(&mut self, index: usize, bound: &Bound, now: u64, server: &Server) -> bool {
        if server.setup.mailboxes.is_empty() || bound.protocol != Protocol::Http {
            // The backlog of a unix socket cannot be read. No client can connect to it any more; workers accept what
            // waits.
            return socket::backlog(bound.fd.as_fd()).is_none_or(|queue| queue.waiting == 0);
        }
        self.hold(server);
        let is_empty = self.take_backlog(index, bound, server);
        self.deliver(now, server);
        is_empty
    }

    /// Connections that no worker has room for wait here, so that the listener can be closed and later ones are
    /// refused.
    /// `true`: nothing waits there any more.
    fn take_backlog(&mut self, index: usize, bound: &Bound, server: &Server) -> bool {
        let limit = process::descriptor_limit().unwrap_or(1024) / 2;
        while (self.undelivered.len() as u64) < limit {
            let (socket, peer) = match bound.accept() {
                Ok(accepted) => accepted,
                Err(error) => return !is_shortage(&error),
            };
            let conn = Conn::accepted(Client::plain(socket), bound, index, peer, &server.settings().http);
            self.undelivered.extend(Message::of(conn));
        }
        false
    }

    /// Takes back what a worker has left unread for too long, and gives it to others.
    fn deliver(&mut self, now: u64, server: &Server) {
        for slot in 0..server.setup.mailboxes.len() {
            if mailbox::is_unattended(server.scoreboard(), slot, now) {
                server.scoreboard().worker(slot).avoided_until_us().store(now + AVOID_US, Relaxed);
                self.empty_mailbox(slot, server);
            }
        }
        for message in std::mem::take(&mut self.undelivered) {
            let takes = |slot| takes_messages(server, slot);
            let left = mailbox::deliver(server.scoreboard(), &server.setup.mailboxes, message, takes);
            self.undelivered.extend(left.err());
        }
        self.publish_held(server);
    }

    /// Workers that stop stay for connections in the master's hands, and for those that listeners may still bring.
    fn publish_held(&self, server: &Server) {
        let held = self.undelivered.len() + self.closing.count();
        server.scoreboard().held().store(held as u64, SeqCst);
    }

    /// Workers that stop stay for what the master takes into its hands from here on, until [`Messages::deliver`] has
    /// found a place for it.
    fn hold(&self, server: &Server) {
        server.scoreboard().held().store(1, SeqCst);
    }

    /// Passes the unread messages of a slot's mailbox to other workers.
    pub fn empty_mailbox(&mut self, slot: usize, server: &Server) {
        let (scoreboard, mailboxes) = (server.scoreboard(), &server.setup.mailboxes);
        let Some(mailbox) = mailboxes.get(slot) else { return };
        self.hold(server);
        let takes = |slot| takes_messages(server, slot);
        let left = mailbox::forward_undelivered(scoreboard, mailboxes, slot, takes);
        if !epoll::is_readable(&mailbox.taking) {
            mailbox::recount(scoreboard, slot);
        }
        self.undelivered.extend(left);
    }
}

fn takes_messages(server: &Server, slot: usize) -> bool {
    let worker = server.scoreboard().worker(slot);
    let command = worker.command();
    let serves = command == Command::Serve || (server.phase == Phase::Stopping && command == Command::Drain);
    worker.stage() == Stage::Ready && serves
}

/// Connections that workers have given each other since their processes began.
fn given(scoreboard: Scoreboard) -> u64 {
    (0..scoreboard.slots()).map(|slot| scoreboard.worker(slot).given().load(Relaxed)).sum()
}

impl Service for Messages {
    fn tick(&mut self, now: u64, server: &Server, _: &mut Children) -> Vec<Action> {
        let given = given(server.scoreboard());
        if std::mem::replace(&mut self.given, given) != given {
            self.given_us = Some(now);
        }
        self.close_listeners(now, server);
        self.deliver(now, server);
        Vec::new()
    }

    /// A worker reports only the first message of each `TELL_US`: those that follow are found by the next look.
    fn deadline(&self, now: u64, server: &Server) -> Option<u64> {
        let has_unread = |slot| mailbox::unread_for(server.scoreboard(), slot, 0).is_some();
        let has_messages = || (0..server.setup.mailboxes.len()).any(has_unread);
        let is_giving = self.given_us.is_some_and(|given| now < given + LOOK_US);
        let waits = is_giving || !self.undelivered.is_empty() || has_messages();
        [waits.then_some(now + LOOK_US), self.closing.deadline(now)].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::master::server::tests::serving;

    #[test]
    fn who_reports_one_message_may_be_silent_about_the_next() {
        let (server, mut children) = (serving(Settings::default()), Children::default());
        let mut messages = Messages::default();
        let mut looks_again = |now| {
            messages.tick(now, &server, &mut children);
            messages.deadline(now, &server)
        };
        assert_eq!(looks_again(1_000), None);
        server.scoreboard().worker(0).given().store(1, Relaxed);
        assert_eq!(looks_again(2_000), Some(2_000 + LOOK_US));
        // Something else has ended the sleep meanwhile.
        assert_eq!(looks_again(3_000), Some(3_000 + LOOK_US));
        assert_eq!(looks_again(3_000 + LOOK_US), None);
    }
}

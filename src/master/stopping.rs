//! The end of a server. First nobody can connect any more, and what has connected already goes to the workers; then they
//! finish and leave.

use super::child::{Child, Leaving};
use super::{Master, Phase};
use crate::config::Protocol;
use crate::log;
use crate::net::client::Client;
use crate::net::listener::{Bound, is_shortage};
use crate::sys::{clock, process, signal, socket};
use crate::worker::application::Application;
use crate::worker::conn::Conn;
use crate::worker::handoff::mailbox::Message;
use std::os::fd::AsFd;
use std::time::Duration;

/// How often the backlogs are looked at until the listeners are closed.
const LOOK: Duration = Duration::from_millis(10);
/// Where the kernel cannot keep new connections out, the backlog is not waited for any longer.
const UNFILTERED_US: u64 = 500_000;

/// A signal that comes so soon after the first is the same one told twice: by a supervisor that signals the process and its
/// group, or by a terminal and by what was started there around the server.
const SAME_US: u64 = 200_000;

/// The listeners of a server that stops.
#[derive(Default)]
pub(super) struct Closing {
    /// When the server began to stop.
    since_us: u64,
    /// Those that are not closed yet, by index, and when they will be at the latest.
    open: Vec<(usize, Option<u64>)>,
}

/// How long a listener that takes no new connections stays open for handshakes that had begun.
const HANDSHAKE_US: u64 = 1_000_000;

/// Is somebody about to be connected?
fn has_handshakes(bound: &Bound) -> bool {
    bound.port.parse().is_ok_and(socket::has_handshakes) && !bound.name.starts_with(['/', '@'])
}

impl Closing {
    /// Listeners that are not closed yet.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    pub(super) fn look(&self) -> Option<Duration> {
        (!self.open.is_empty()).then_some(LOOK)
    }
}

impl<R: Application> Master<'_, R> {
    /// The first time gracefully, the second time at once.
    pub(super) fn stop(&mut self, noted: u64) {
        let name = [signal::SIGINT, signal::SIGTERM, signal::SIGQUIT]
            .into_iter()
            .find(|&signal| signal::is_in(noted, signal))
            .map_or_else(String::new, signal::name);
        if self.phase == Phase::Stopping {
            if clock::monotonic_us().saturating_sub(self.closing.since_us) < SAME_US {
                return;
            }
            log::say(&format!("{name} again: stopping at once"));
            self.children.iter_mut().for_each(Child::kill);
            self.end_zygotes(0);
            return;
        }
        self.begin_stop(0);
        // Whoever reads this may rely on it.
        log::say(&format!(
            "{name}: stopping; requests in flight have {} s (worker-reload-mercy)",
            self.settings.supervise.worker_reload_mercy.as_secs()
        ));
    }

    /// Lets every worker finish and leaves with this status.
    pub(super) fn begin_stop(&mut self, status: i32) {
        self.notifier.tell("STOPPING=1");
        self.phase = Phase::Stopping;
        self.exit_status = status;
        self.due.clear();
        self.end_zygotes(1_000_000);
        self.refuse_connections();
        self.close_listeners();
        for index in 0..self.children.len() {
            self.retire(index, Leaving::Stopped);
        }
    }

    pub(super) fn end_zygotes(&mut self, grace_us: u64) {
        let now = clock::monotonic_us();
        if let Some(zygote) = self.zygote.take() {
            self.let_zygote_go(zygote);
        }
        for zygote in &mut self.old_zygotes {
            zygote.kill_at = Some(now + grace_us);
        }
    }

    /// An inherited socket is left as it is: whoever has made it (systemd, supervisor) holds it for the next server.
    fn refuse_connections(&mut self) {
        let now = clock::monotonic_us();
        self.closing.since_us = now;
        let own = self.base.listeners.iter().enumerate().filter(|(_, bound)| !bound.inherited);
        self.closing.open = own
            .map(|(index, bound)| match socket::refuse_new(bound.fd.as_fd()) {
                Ok(()) => (index, None),
                Err(_) => (index, Some(now + UNFILTERED_US)),
            })
            .collect();
    }

    /// Closes the listeners that nobody waits at any more. On those of HTTP the master itself takes what waits and gives it to
    /// the workers, all of which may be busy for long.
    pub(super) fn close_listeners(&mut self) {
        if self.closing.open.is_empty() {
            return;
        }
        let (listeners, now) = (self.base.listeners.clone(), clock::monotonic_us());
        let is_late = now.saturating_sub(self.closing.since_us) > HANDSHAKE_US;
        let mut open = std::mem::take(&mut self.closing.open);
        open.retain(|&(index, until)| {
            let bound = &listeners[index];
            // First: a handshake that ends meanwhile is in the backlog when that is looked at.
            let is_settled = is_late || !has_handshakes(bound);
            let is_empty = match self.base.mailboxes.is_empty() {
                false if bound.protocol == Protocol::Http => self.deliver_backlog(index, bound),
                // Of a unix socket the kernel does not tell; nobody can connect to it any more, and the workers take what waits.
                _ => socket::backlog(bound.fd.as_fd()).is_none_or(|queue| queue.waiting == 0),
            };
            let ends = is_empty && is_settled || until.is_some_and(|until| until <= now);
            if ends {
                // It may be closed already: nothing is left to do then.
                let _ = socket::end_listening(bound.fd.as_fd());
            }
            !ends
        });
        self.closing.open = open;
        self.publish_held();
    }

    /// `true`: nothing waits there any more.
    fn deliver_backlog(&mut self, index: usize, bound: &Bound) -> bool {
        self.hold_messages();
        let is_empty = self.take_backlog(index, bound);
        self.deliver_messages();
        is_empty
    }

    /// What no worker has room for waits here, so that the listener can be closed and who comes later is refused.
    fn take_backlog(&mut self, index: usize, bound: &Bound) -> bool {
        let limit = process::descriptor_limit().unwrap_or(1024) / 2;
        while (self.undelivered.len() as u64) < limit {
            let (socket, peer) = match bound.accept() {
                Ok(accepted) => accepted,
                Err(error) => return !is_shortage(&error),
            };
            let conn = Conn::accepted(Client::plain(socket), bound, index, peer, &self.settings.http);
            self.undelivered.extend(Message::of(conn));
        }
        false
    }
}

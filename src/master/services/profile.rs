//! Profiles (`/profile`): every worker samples its own threads and leaves what it has found in the spool. The master says
//! when, and puts it together. One profile is taken at a time.

use crate::master::action::{Action, ProfileRequest, Ticket};
use crate::master::server::Server;
use crate::master::service::Service;
use crate::report::Document;
use crate::supervise::{Child, Children, Role};
use crate::sys::signal;
use crate::sys::spool::{MAX_PROFILE, Page};
use std::fmt::Write;
use std::sync::atomic::Ordering::*;
use std::time::Duration;

/// How long a worker may take to hand over what it has found: it needs the GIL for that.
const PATIENCE_US: u64 = 3_000_000;
/// All workers together.
const MAX_TEXT: usize = 16 << 20;

#[derive(Default)]
pub struct Profiles {
    running: Option<Running>,
    /// Of the last profile.
    number: u64,
}

struct Running {
    ticket: Ticket,
    deadline: u64,
    waiting: Vec<Sampling>,
    text: String,
}

/// A worker whose samples have not come.
struct Sampling {
    slot: usize,
    id: u32,
    pid: Option<i32>,
}

impl Profiles {
    /// An error: one is being taken already, for so long at most.
    pub fn begin(
        &mut self,
        (ticket, request): (Ticket, ProfileRequest),
        server: &Server,
        children: &Children,
        now: u64,
    ) -> Result<(), Duration> {
        if let Some(running) = &self.running {
            return Err(Duration::from_micros(running.deadline.saturating_sub(now)));
        }
        self.number += 1;
        let until = now + request.time.as_micros() as u64;
        let is_wanted =
            |child: &&Child| child.is_up() && request.worker.is_none_or(|worker| worker == child.id);
        let mut waiting = Vec::new();
        for child in children.of(Role::Worker).filter(is_wanted) {
            let slot = server.slot(child);
            slot.profile_hz().store(request.hz, Relaxed);
            slot.profile_until_us().store(until, Relaxed);
            slot.profile().store(self.number, SeqCst);
            child.signal(signal::profile());
            waiting.push(Sampling { slot: child.slot, id: child.id, pid: child.pid });
        }
        self.running = Some(Running { ticket, deadline: until + PATIENCE_US, waiting, text: String::new() });
        Ok(())
    }
}

impl Running {
    /// Takes what has come.
    fn collect(&mut self, number: u64, server: &Server, children: &Children) {
        let text = &mut self.text;
        self.waiting.retain(|worker| {
            // One that has left after that counts, too: its words stay until the slot is another's.
            if server.scoreboard().worker(worker.slot).profile_done().load(Acquire) == number {
                push(text, server, worker.slot);
                return false;
            }
            let child = children.get(Role::Worker, worker.slot);
            let is_there = child.is_some_and(|child| child.pid == worker.pid);
            if !is_there {
                let _ = writeln!(text, "(worker {} has ended: no samples) 1", worker.id);
            }
            is_there
        });
    }

    fn document(mut self) -> Document {
        for worker in &self.waiting {
            let _ = writeln!(self.text, "(worker {} has left no samples in time) 1", worker.id);
        }
        Document::new("text/plain; charset=utf-8", self.text)
    }
}

fn push(text: &mut String, server: &Server, slot: usize) {
    let spool = &server.setup.spool;
    let found = spool.read(slot, Page::Profile, MAX_PROFILE);
    spool.clear(slot, Page::Profile);
    if text.len() + found.len() <= MAX_TEXT {
        text.push_str(&String::from_utf8_lossy(&found));
    } else {
        text.push_str("(other) 1\n");
    }
}

impl Service for Profiles {
    fn tick(&mut self, now: u64, server: &Server, children: &mut Children) -> Vec<Action> {
        let number = self.number;
        let Some(running) = &mut self.running else { return Vec::new() };
        running.collect(number, server, children);
        let is_over = running.waiting.is_empty() || now >= running.deadline;
        let over = self.running.take_if(|_| is_over);
        over.into_iter().map(|over| Action::Answer(over.ticket, over.document())).collect()
    }

    fn deadline(&self, _: u64, _: &Server) -> Option<u64> {
        self.running.as_ref().map(|running| running.deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::master::server::tests::{add_worker, serving};

    const REQUEST: ProfileRequest = ProfileRequest { time: Duration::from_secs(2), hz: 50, worker: None };

    fn server() -> (Server, Children) {
        let (server, mut children) = (serving(Settings::default()), Children::default());
        add_worker(&server, &mut children, 1, 0);
        add_worker(&server, &mut children, 2, 3);
        (server, children)
    }

    fn answer(actions: &[Action]) -> Option<(Ticket, String)> {
        match actions {
            [Action::Answer(ticket, document)] => {
                Some((*ticket, String::from_utf8(document.body.to_vec()).unwrap()))
            }
            _ => None,
        }
    }

    #[test]
    fn what_the_workers_leave_is_put_together() {
        let (server, mut children) = server();
        let mut profiles = Profiles::default();
        assert_eq!(profiles.begin((Ticket(7), REQUEST), &server, &children, 10), Ok(()));
        let left = Duration::from_micros(2_000_000 + PATIENCE_US - 1);
        assert_eq!(profiles.begin((Ticket(8), REQUEST), &server, &children, 11), Err(left));
        let slots = [0, 3].map(|slot| server.scoreboard().worker(slot));
        assert_eq!(slots.map(|slot| slot.profile_hz().load(Relaxed)), [50, 50]);
        assert_eq!(slots[0].profile_until_us().load(Relaxed), 2_000_010);
        for (slot, text) in [(0, "requests;f 3\n"), (3, "requests;g 4\n")] {
            assert_eq!(answer(&profiles.tick(20, &server, &mut children)), None);
            server.setup.spool.write(slot, Page::Profile, text.as_bytes()).unwrap();
            server.scoreboard().worker(slot).profile_done().store(1, Release);
        }
        let found = answer(&profiles.tick(21, &server, &mut children));
        assert_eq!(found, Some((Ticket(7), "requests;f 3\nrequests;g 4\n".to_owned())));
        assert_eq!(server.setup.spool.read(0, Page::Profile, 100), b"");
        assert_eq!(profiles.deadline(22, &server), None);
    }

    #[test]
    fn what_a_worker_has_left_before_its_end_counts() {
        let (server, mut children) = server();
        let mut profiles = Profiles::default();
        let request = ProfileRequest { worker: Some(1), ..REQUEST };
        profiles.begin((Ticket(7), request), &server, &children, 10).unwrap();
        server.setup.spool.write(0, Page::Profile, b"requests;f 3\n").unwrap();
        server.scoreboard().worker(0).profile_done().store(1, Release);
        children.get_mut(Role::Worker, 0).unwrap().pid = None;
        let found = answer(&profiles.tick(20, &server, &mut children)).unwrap().1;
        assert_eq!(found, "requests;f 3\n");
    }

    #[test]
    fn nobody_waits_for_ever() {
        let (server, mut children) = server();
        let mut profiles = Profiles::default();
        profiles
            .begin((Ticket(1), ProfileRequest { worker: Some(2), ..REQUEST }), &server, &children, 0)
            .unwrap();
        assert_eq!(server.scoreboard().worker(0).profile().load(Relaxed), 0);
        assert_eq!(answer(&profiles.tick(2_000_000, &server, &mut children)), None);
        let deadline = profiles.deadline(0, &server).unwrap();
        assert_eq!(deadline, 2_000_000 + PATIENCE_US);
        let late = answer(&profiles.tick(deadline, &server, &mut children)).unwrap().1;
        assert_eq!(late, "(worker 2 has left no samples in time) 1\n");
        // What comes after that is of no profile.
        server.scoreboard().worker(3).profile_done().store(1, Release);
        profiles
            .begin((Ticket(2), ProfileRequest { worker: Some(2), ..REQUEST }), &server, &children, 0)
            .unwrap();
        assert_eq!(answer(&profiles.tick(1, &server, &mut children)), None);
        children.get_mut(Role::Worker, 3).unwrap().pid = Some(77);
        let gone = answer(&profiles.tick(2, &server, &mut children)).unwrap().1;
        assert_eq!(gone, "(worker 2 has ended: no samples) 1\n");
    }
}

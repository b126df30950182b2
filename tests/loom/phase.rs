//! A request that ends while harakiri strikes: one side answers its client, and no other request's.

use crate::base::sync::{AtomicBool, AtomicU64, Ordering::*};
use crate::explored;
use crate::under_test::phase::{self, Phase};
use loom::thread;
use std::sync::Arc;

/// A slot of the scoreboard, and the clients of two requests that run in it one after the other.
struct Core {
    phase: AtomicU64,
    client: AtomicU64,
    clients: [Client; 2],
}

struct Client {
    answers: AtomicU64,
    is_closed: AtomicBool,
}

impl Client {
    fn new() -> Client {
        Client { answers: AtomicU64::new(0), is_closed: AtomicBool::new(false) }
    }
}

impl Core {
    fn new() -> Core {
        let zero = || AtomicU64::new(0);
        Core { phase: zero(), client: zero(), clients: [Client::new(), Client::new()] }
    }

    /// Its descriptor may be another's when it is closed.
    fn send(&self, client: u64) {
        let client = &self.clients[client as usize - 1];
        assert!(!client.is_closed.load(Relaxed), "closed");
        client.answers.fetch_add(1, Relaxed);
    }

    /// The request of a client, with an interim answer or without one.
    fn run(&self, client: u64, has_interim: bool) {
        self.client.store(client, Relaxed);
        Phase::Running.store(&self.phase);
        if has_interim && phase::answer(&self.phase) {
            phase::resume(&self.phase);
        }
        match phase::answer(&self.phase) {
            true => self.send(client),
            false => phase::await_answer(&self.phase),
        }
        Phase::Idle.store(&self.phase);
        self.client.store(0, Relaxed);
        self.clients[client as usize - 1].is_closed.store(true, Relaxed);
    }

    /// As `Rescue::answer_plain_clients` does.
    fn strike(&self) {
        if self.client.load(Acquire) != 0 {
            phase::answer_instead(&self.phase, &self.client, |client| {
                self.send(client);
                true
            });
        }
    }

    fn strike_at_what_it_sees(&self) {
        let client = self.client.load(Acquire);
        if client != 0 && phase::expire(&self.phase) {
            self.send(client);
            Phase::Answered.store(&self.phase);
        }
    }

    fn strike_and_forget(&self) {
        phase::answer_instead(&self.phase, &self.client, |client| {
            Phase::Answered.store(&self.phase);
            self.send(client);
            true
        });
    }
}

fn explore(strike: fn(&Core), has_interim: bool) {
    explored(move || {
        let core = Arc::new(Core::new());
        let handler = {
            let core = core.clone();
            thread::spawn(move || strike(&core))
        };
        core.run(1, has_interim);
        core.run(2, false);
        handler.join().unwrap();
        assert!(core.clients.iter().all(|client| client.answers.load(Relaxed) == 1), "not one answer each");
    });
}

#[test]
fn each_client_is_answered_once() {
    explore(Core::strike, false);
    explore(Core::strike, true);
}

#[test]
#[should_panic = "closed"]
fn the_client_has_to_be_read_after_the_claim() {
    explore(Core::strike_at_what_it_sees, false);
}

#[test]
#[should_panic = "closed"]
fn the_thread_has_to_wait_for_the_answer() {
    explore(Core::strike_and_forget, false);
}

//! Stack dumps: asked for by a signal, written by the worker into a pipe, one worker at a time.

use crate::log;
use crate::master::action::{Action, Dump, Then};
use crate::master::server::Server;
use crate::master::service::Service;
use crate::master::sources::OTHER;
use crate::shm::scoreboard::{Command, Scoreboard};
use crate::supervise::{Child, Children, Role};
use crate::sys::epoll::{self, Epoll};
use crate::sys::{clock, io, signal};
use std::collections::VecDeque;
use std::io::Result;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::*;

/// How long a worker may take; one that sleeps in the kernel never answers.
const PATIENCE_US: u64 = 1_000_000;

/// The one pipe that all workers dump into, and the queue of workers that are to dump.
pub struct StackDumps {
    pipe: OwnedFd,
    queue: VecDeque<Dump>,
    current: Option<(Dump, u64)>,
    text: Vec<u8>,
}

impl StackDumps {
    pub fn new(pipe: OwnedFd) -> StackDumps {
        StackDumps { pipe, queue: VecDeque::new(), current: None, text: Vec::new() }
    }

    pub fn ask(&mut self, dump: Dump) {
        let known =
            self.queue.iter().chain(self.current.iter().map(|(dump, _)| dump)).any(|other| *other == dump);
        if !known {
            self.queue.push_back(dump);
        }
    }

    /// Asks every worker for a dump.
    pub fn ask_all(&mut self, cause: &str, children: &Children) {
        for child in children.of(Role::Worker).filter(|child| child.was_ready) {
            let title = format!("{cause}: {}", child.name());
            self.ask(Dump { slot: child.slot, title, then: Then::Nothing });
        }
    }

    /// A worker is gone: nothing more comes of it.
    pub fn forget(&mut self, slot: usize) {
        self.queue.retain(|dump| dump.slot != slot);
        if let Some((_, deadline)) = self.current.as_mut().filter(|(dump, _)| dump.slot == slot) {
            *deadline = 0;
        }
    }

    /// Takes in what the worker has written; `true` when its mark has come.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 8192];
        while let Ok(got @ 1..) = io::read(self.pipe.as_fd(), &mut buffer) {
            self.text.extend_from_slice(&buffer[..got]);
        }
        self.text.contains(&0)
    }

    fn start(&mut self, dump: Dump, now: u64, server: &Server, children: &Children) {
        let Some(child) = children.get(Role::Worker, dump.slot) else { return };
        // What a dump that came too late may have left behind.
        self.receive();
        self.text.clear();
        if dump.then == Then::Kill {
            let slot = server.slot(child);
            // Requests whose time is up by now are late; a slow answer to one of them makes no other late.
            slot.rescue_us().store(now.max(1), Release);
            // Until it is dead, others take what comes.
            slot.set_command(Command::Pause);
        }
        child.signal(signal::dump());
        self.current = Some((dump, now + PATIENCE_US));
    }

    fn finish(&mut self, dump: &Dump, scoreboard: Scoreboard, children: &mut Children) {
        let text = std::mem::take(&mut self.text);
        let complete = text.contains(&0);
        let text: Vec<u8> = text.into_iter().filter(|&byte| byte != 0).collect();
        let stacks = name_cores(scoreboard, dump.slot, &String::from_utf8_lossy(&text));
        let note = match complete {
            true => "",
            false => "(the worker did not answer in time; it may be stuck in the kernel)\n",
        };
        log::say(&format!("{}\n{stacks}{note}", dump.title));
        if let Some(child) = children.get_mut(Role::Worker, dump.slot) {
            follow(dump.then, child);
        }
    }
}

fn follow(then: Then, child: &mut Child) {
    match then {
        Then::Nothing => {}
        Then::Expire => child.signal(signal::expire()),
        Then::Kill => {
            child.kill_at = Some(clock::monotonic_us() + 1_000_000);
            child.kill();
        }
    }
}

impl Service for StackDumps {
    fn watch(&self, epoll: &Epoll) -> Result<()> {
        epoll.add(&self.pipe, epoll::READ, OTHER)
    }

    fn tick(&mut self, now: u64, server: &Server, children: &mut Children) -> Vec<Action> {
        loop {
            if let Some(deadline) = self.current.as_ref().map(|(_, deadline)| *deadline) {
                if !self.receive() && now < deadline {
                    return Vec::new();
                }
                if let Some((dump, _)) = self.current.take() {
                    self.finish(&dump, server.scoreboard(), children);
                }
            }
            let Some(dump) = self.queue.pop_front() else { return Vec::new() };
            self.start(dump, now, server, children);
        }
    }

    /// Who is asked for after the service's turn must not wait until something else ends the master's sleep.
    fn deadline(&self, now: u64, _: &Server) -> Option<u64> {
        let next = || (!self.queue.is_empty()).then_some(now);
        self.current.as_ref().map(|(_, deadline)| *deadline).or_else(next)
    }
}

/// faulthandler names threads by number; says which of them is which core, and what it runs.
fn name_cores(scoreboard: Scoreboard, slot: usize, text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 256);
    for line in text.lines() {
        out.push_str(line);
        if let Some(core) = core_of(scoreboard, slot, line) {
            let runs = scoreboard.core(slot, core).current_request();
            let what = runs.map_or_else(|| "idle".to_owned(), |current| current.to_string());
            out.push_str(&format!(" [core {core}: {what}]"));
        }
        out.push('\n');
    }
    out
}

/// The core whose thread a headline is about (`Thread 0x00007f… (most recent call first):`).
fn core_of(scoreboard: Scoreboard, slot: usize, line: &str) -> Option<usize> {
    let number = line.strip_prefix("Current thread 0x").or_else(|| line.strip_prefix("Thread 0x"))?;
    let digits: String = number.chars().take_while(char::is_ascii_hexdigit).collect();
    let ident = u64::from_str_radix(&digits, 16).ok()?;
    scoreboard.cores(slot).position(|core| core.ident().load(Relaxed) == ident)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::master::server::tests::{add_worker, serving};

    /// Two workers, the pipe that they dump into, and its reader.
    fn server() -> (Server, Children, OwnedFd, StackDumps) {
        let (server, mut children) = (serving(Settings::default()), Children::default());
        add_worker(&server, &mut children, 1, 0);
        add_worker(&server, &mut children, 2, 1);
        let (reading, writing) = io::pipe(true).unwrap();
        (server, children, writing, StackDumps::new(reading))
    }

    fn dump(slot: usize, then: Then) -> Dump {
        Dump { slot, title: "title".to_owned(), then }
    }

    #[test]
    fn one_worker_dumps_at_a_time() {
        let (server, mut children, pipe, mut dumps) = server();
        dumps.ask_all("SIGUSR2", &children);
        dumps.ask_all("SIGUSR2", &children);
        assert_eq!(dumps.deadline(3, &server), Some(3));
        dumps.tick(5, &server, &mut children);
        assert_eq!((dumps.queue.len(), dumps.deadline(5, &server)), (1, Some(5 + PATIENCE_US)));
        io::write_now(pipe.as_fd(), b"stacks\n").unwrap();
        dumps.tick(6, &server, &mut children);
        assert_eq!(dumps.queue.len(), 1);
        io::write_now(pipe.as_fd(), b"more\n\0").unwrap();
        dumps.tick(7, &server, &mut children);
        assert_eq!((dumps.queue.len(), dumps.deadline(7, &server)), (0, Some(7 + PATIENCE_US)));
    }

    #[test]
    fn nobody_waits_long_for_who_does_not_answer_or_is_gone() {
        let (server, mut children, _pipe, mut dumps) = server();
        dumps.ask(dump(0, Then::Nothing));
        dumps.ask(dump(1, Then::Nothing));
        dumps.tick(0, &server, &mut children);
        dumps.tick(PATIENCE_US, &server, &mut children);
        assert_eq!(dumps.current.as_ref().unwrap().0.slot, 1);
        dumps.forget(1);
        dumps.tick(PATIENCE_US + 1, &server, &mut children);
        assert!(dumps.current.is_none());
    }

    #[test]
    fn who_is_to_die_takes_no_more_and_dies_after_its_dump() {
        let (server, mut children, _pipe, mut dumps) = server();
        assert_eq!(dumps.deadline(0, &server), None);
        dumps.ask(dump(1, Then::Kill));
        dumps.tick(7, &server, &mut children);
        let slot = server.scoreboard().worker(1);
        assert_eq!((slot.command(), slot.rescue_us().load(Relaxed)), (Command::Pause, 7));
        assert!(!children.get(Role::Worker, 1).unwrap().was_killed);
        dumps.tick(7 + PATIENCE_US, &server, &mut children);
        assert!(children.get(Role::Worker, 1).unwrap().was_killed);
    }

    #[test]
    fn threads_are_named_by_their_cores() {
        let (server, ..) = server();
        let core = server.scoreboard().core(1, 0);
        core.ident().store(0x7f01, Relaxed);
        let text =
            "Current thread 0x00007f01 (most recent call first):\n  File \"a.py\"\nThread 0x09 (most\n";
        let named = name_cores(server.scoreboard(), 1, text);
        assert_eq!(named, text.replace("first):", "first): [core 0: idle]"));
        core.begin(8, 0, 0, b"GET", b"/a");
        assert!(name_cores(server.scoreboard(), 1, text).contains("first): [core 0: GET /a]\n"));
        core.set_ids(b"4f1c", b"");
        assert!(name_cores(server.scoreboard(), 1, text).contains("first): [core 0: GET /a id 4f1c]\n"));
    }
}

//! Stack dumps: asked for by a signal, written by the worker into a pipe, one worker at a time.

use super::slow_stacks;
use super::stack_readers::StackReaders;
use crate::log;
use crate::master::action::{Action, Dump, Output, Then};
use crate::master::server::Server;
use crate::master::service::Service;
use crate::master::sources::OTHER;
use crate::report::stacks::{self, ThreadStack, UNANSWERED, WorkerStacks};
use crate::shm::scoreboard::{Command, Scoreboard};
use crate::supervise::{Child, Children, Role};
use crate::sys::epoll::{self, Epoll};
use crate::sys::{clock, io, signal};
use std::collections::{HashMap, VecDeque};
use std::io::Result;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::*;

/// How long a worker may take; one that sleeps in the kernel never answers.
const PATIENCE_US: u64 = 1_000_000;
/// The same for one that has not answered the last time, nor since, where nothing is at stake.
const IMPATIENCE_US: u64 = 100_000;
/// Longer than any dump: faulthandler shows a hundred threads, and a hundred calls of each.
const MAX_TEXT: usize = 8 << 20;

/// The one pipe that all workers dump into, and the queue of workers that are to dump.
pub struct StackDumps {
    pipe: OwnedFd,
    queue: VecDeque<Dump>,
    current: Option<Current>,
    text: Vec<u8>,
    /// The worker that has been signalled last in each slot: its pid, and how many dumps it had finished then.
    signalled: HashMap<usize, (i32, u64)>,
    pub readers: StackReaders,
}

struct Current {
    dump: Dump,
    deadline: u64,
    /// How many dumps the worker had finished before.
    finished: u64,
}

impl StackDumps {
    pub fn new(pipe: OwnedFd) -> StackDumps {
        StackDumps {
            pipe,
            queue: VecDeque::new(),
            current: None,
            text: Vec::new(),
            signalled: HashMap::new(),
            readers: StackReaders::default(),
        }
    }

    /// Queues a dump; one that something else waits for goes before those that are only looked at.
    pub fn ask(&mut self, dump: Dump) {
        let current = self.current.iter().map(|current| &current.dump);
        if self.queue.iter().chain(current).any(|other| *other == dump) {
            return;
        }
        let is_urgent = |dump: &Dump| dump.then != Then::Nothing;
        let urgent = self.queue.iter().take_while(|other| is_urgent(other)).count();
        let place = if is_urgent(&dump) { urgent } else { self.queue.len() };
        self.queue.insert(place, dump);
    }

    /// Asks every worker for a dump.
    pub fn ask_all(&mut self, cause: &str, children: &Children) {
        for child in children.of(Role::Worker).filter(|child| child.was_ready) {
            let output = Output::Log(format!("{cause}: {}", child.name()));
            self.ask(Dump { slot: child.slot, output, then: Then::Nothing });
        }
    }

    /// A worker is gone: nothing more comes of it.
    pub fn forget(&mut self, slot: usize) {
        self.queue.retain(|dump| dump.slot != slot);
        self.signalled.remove(&slot);
        self.readers.forget(slot);
        if let Some(current) = self.current.as_mut().filter(|current| current.dump.slot == slot) {
            current.deadline = 0;
        }
    }

    /// Takes in what has been written.
    fn receive(&mut self) {
        let mut buffer = [0; 8192];
        while let Ok(got @ 1..) = io::read(self.pipe.as_fd(), &mut buffer) {
            let room = MAX_TEXT.saturating_sub(self.text.len());
            self.text.extend_from_slice(&buffer[..got.min(room)]);
        }
    }

    /// Has the worker written all? A mark that comes before it has counted its dump ends what another one has written too
    /// late. The count is read behind the mark, as it is written before it.
    fn has_come(&mut self, server: &Server) -> bool {
        self.receive();
        let Some(current) = &self.current else {
            self.text.clear();
            return false;
        };
        let Some(last) = self.text.iter().rposition(|&byte| byte == 0) else { return false };
        let is_finished =
            server.scoreboard().worker(current.dump.slot).dumps().load(Acquire) != current.finished;
        if !is_finished {
            self.text.drain(..=last);
        }
        is_finished
    }

    /// Ends the dump that is on its way, when it has come or takes too long, and begins the next.
    fn turn(&mut self, now: u64, server: &Server, children: &mut Children) {
        loop {
            let has_come = self.has_come(server);
            if self.current.as_ref().is_some_and(|current| !has_come && now < current.deadline) {
                return;
            }
            if let Some(Current { dump, .. }) = self.current.take() {
                self.finish(&dump, has_come, now, server, children);
            }
            let Some(dump) = self.queue.pop_front() else { return };
            self.start(dump, now, server, children);
        }
    }

    fn start(&mut self, dump: Dump, now: u64, server: &Server, children: &Children) {
        let Some(child) = children.get(Role::Worker, dump.slot) else { return };
        // What a dump that came too late may have left behind.
        self.receive();
        self.text.clear();
        let slot = server.slot(child);
        if dump.then == Then::Kill {
            // Requests whose time is up by now are late; a slow answer to one of them makes no other late.
            slot.rescue_us().store(now.max(1), Release);
            // Until it is dead, others take what comes.
            slot.set_command(Command::Pause);
        }
        let finished = slot.dumps().load(Acquire);
        let asked = (child.pid.unwrap_or(0), finished);
        let is_silent = self.signalled.insert(child.slot, asked) == Some(asked);
        // Signals to one that does not answer would only queue.
        if !is_silent {
            child.signal(signal::dump());
        }
        let is_hopeless = is_silent && dump.then == Then::Nothing;
        let patience = if is_hopeless { IMPATIENCE_US } else { PATIENCE_US };
        self.current = Some(Current { dump, deadline: now + patience, finished });
    }

    fn finish(&mut self, dump: &Dump, is_complete: bool, now: u64, server: &Server, children: &mut Children) {
        let text: Vec<u8> = std::mem::take(&mut self.text).into_iter().filter(|&byte| byte != 0).collect();
        let (text, scoreboard) = (String::from_utf8_lossy(&text), server.scoreboard());
        let child = children.get_mut(Role::Worker, dump.slot);
        match (&dump.output, &child) {
            (Output::Log(title), _) => log_all(title, &name_cores(scoreboard, dump.slot, &text), is_complete),
            (Output::Slow(requests), Some(child)) => {
                slow_stacks::log_each(requests, &worker_stacks(child, &text, is_complete, scoreboard), now);
            }
            (Output::Readers, Some(child)) => {
                self.readers.put(child.slot, worker_stacks(child, &text, is_complete, scoreboard), now);
            }
            (_, None) => {}
        }
        if let Some(child) = child {
            follow(dump.then, child);
        }
    }
}

fn log_all(title: &str, stacks: &str, is_complete: bool) {
    let note = if is_complete { String::new() } else { format!("{UNANSWERED}\n") };
    log::say(&format!("{title}\n{stacks}{note}"));
}

fn worker_stacks(child: &Child, text: &str, answered: bool, scoreboard: Scoreboard) -> WorkerStacks {
    let mut threads = stacks::parse(text);
    for thread in &mut threads {
        thread.core = core_with(scoreboard, child.slot, thread.ident);
        thread.current = thread.core.and_then(|core| scoreboard.core(child.slot, core).current_request());
    }
    WorkerStacks { id: child.id, pid: child.pid.unwrap_or(0), answered, threads }
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
        for slot in self.readers.wanted() {
            self.ask(Dump { slot, output: Output::Readers, then: Then::Nothing });
        }
        self.turn(now, server, children);
        self.readers.take_complete(now)
    }

    /// Who is asked for after the service's turn must not wait until something else ends the master's sleep.
    fn deadline(&self, now: u64, _: &Server) -> Option<u64> {
        let next = || (!self.queue.is_empty() || self.readers.are_waiting()).then_some(now);
        self.current.as_ref().map(|current| current.deadline).or_else(next)
    }
}

/// faulthandler names threads by number; says which of them is which core, and what it runs.
pub fn name_cores(scoreboard: Scoreboard, slot: usize, text: &str) -> String {
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
    let ThreadStack { ident, .. } = stacks::headline(line)?;
    core_with(scoreboard, slot, ident)
}

fn core_with(scoreboard: Scoreboard, slot: usize, ident: u64) -> Option<usize> {
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
        Dump { slot, output: Output::Log("title".to_owned()), then }
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
        // The mark of another worker, which was asked for a dump before and was too late.
        io::write_now(pipe.as_fd(), b"more\n\0").unwrap();
        dumps.tick(7, &server, &mut children);
        assert_eq!((dumps.queue.len(), dumps.text.len()), (1, 0));
        server.scoreboard().worker(0).dumps().store(1, Relaxed);
        io::write_now(pipe.as_fd(), b"its own\n\0").unwrap();
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
        assert_eq!(dumps.current.as_ref().unwrap().dump.slot, 1);
        dumps.forget(1);
        dumps.tick(PATIENCE_US + 1, &server, &mut children);
        assert!(dumps.current.is_none());
    }

    #[test]
    fn who_is_known_not_to_answer_is_not_waited_for_long_again() {
        let (server, mut children, _pipe, mut dumps) = server();
        dumps.ask(dump(0, Then::Nothing));
        dumps.tick(0, &server, &mut children);
        dumps.tick(PATIENCE_US, &server, &mut children);
        dumps.ask(dump(0, Then::Nothing));
        dumps.tick(PATIENCE_US, &server, &mut children);
        assert_eq!(dumps.deadline(PATIENCE_US, &server), Some(PATIENCE_US + IMPATIENCE_US));
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

//! Stack dumps: asked for by a signal, written by the worker into a pipe, one worker at a time.

use super::Master;
use crate::log;
use crate::shm::scoreboard::Command;
use crate::sys::{clock, io, signal};
use crate::worker::application::Application;
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::*;

/// How long a worker may take; one that sleeps in the kernel never answers.
const PATIENCE_US: u64 = 1_000_000;

/// Why a dump is made, and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub slot: usize,
    /// Stands above the stacks in the log.
    pub title: String,
    pub then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    /// Tell the worker that a request's time is up.
    Expire,
    /// The worker answers its clients, then dies.
    Kill,
}

/// The one pipe that all workers dump into, and who is to dump next.
pub(super) struct Dumps {
    pipe: OwnedFd,
    queue: VecDeque<Job>,
    current: Option<(Job, u64)>,
    text: Vec<u8>,
}

impl Dumps {
    pub fn new(pipe: OwnedFd) -> Dumps {
        Dumps { pipe, queue: VecDeque::new(), current: None, text: Vec::new() }
    }

    pub fn deadline(&self) -> Option<u64> {
        self.current.as_ref().map(|(_, deadline)| *deadline)
    }

    pub fn ask(&mut self, job: Job) {
        let known =
            self.queue.iter().chain(self.current.iter().map(|(job, _)| job)).any(|other| *other == job);
        if !known {
            self.queue.push_back(job);
        }
    }

    /// A worker is gone: nothing more comes of it.
    pub fn forget(&mut self, slot: usize) {
        self.queue.retain(|job| job.slot != slot);
        if let Some((_, deadline)) = self.current.as_mut().filter(|(job, _)| job.slot == slot) {
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
}

impl<R: Application> Master<'_, R> {
    /// SIGUSR2: where is everybody?
    pub(super) fn dump_all(&mut self) {
        for child in self.children.iter().filter(|child| child.was_ready) {
            let title = format!("SIGUSR2: {}", child.name());
            self.dumps.ask(Job { slot: child.slot, title, then: Then::Nothing });
        }
    }

    pub(super) fn turn_dumps(&mut self, now: u64) {
        loop {
            if let Some((_, deadline)) = &self.dumps.current {
                let deadline = *deadline;
                if !self.dumps.receive() && now < deadline {
                    return;
                }
                if let Some((job, _)) = self.dumps.current.take() {
                    self.finish_dump(&job);
                }
            }
            let Some(job) = self.dumps.queue.pop_front() else { return };
            self.start_dump(job, now);
        }
    }

    fn start_dump(&mut self, job: Job, now: u64) {
        let Some(child) = self.children.iter().find(|child| child.slot == job.slot) else { return };
        // What a dump that came too late may have left behind.
        self.dumps.receive();
        self.dumps.text.clear();
        if job.then == Then::Kill {
            let slot = child.on(&self.scoreboard);
            slot.rescue().store(1, Release);
            // Until it is dead, others take what comes.
            slot.set_command(Command::Pause);
        }
        child.signal(signal::dump());
        self.dumps.current = Some((job, now + PATIENCE_US));
    }

    fn finish_dump(&mut self, job: &Job) {
        let text = std::mem::take(&mut self.dumps.text);
        let complete = text.contains(&0);
        let text: Vec<u8> = text.into_iter().filter(|&byte| byte != 0).collect();
        let stacks = self.name_cores(job.slot, &String::from_utf8_lossy(&text));
        let note = if complete {
            ""
        } else {
            "(the worker did not answer in time; it may be stuck in the kernel)\n"
        };
        log::say(&format!("{}\n{stacks}{note}", job.title));
        let Some(child) = self.children.iter_mut().find(|child| child.slot == job.slot) else { return };
        match job.then {
            Then::Nothing => {}
            Then::Expire => child.signal(signal::expire()),
            Then::Kill => {
                child.kill_at = Some(clock::monotonic_us() + 1_000_000);
                child.kill();
            }
        }
    }

    /// faulthandler names threads by number; says which of them is which core, and what it runs.
    fn name_cores(&self, slot: usize, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 256);
        for line in text.lines() {
            out.push_str(line);
            if let Some(core) = self.core_of(slot, line) {
                let runs = self.scoreboard.core(slot, core).current_request();
                let what = runs.map_or_else(
                    || "idle".to_owned(),
                    |current| format!("{} {}", current.method, current.target),
                );
                out.push_str(&format!(" [core {core}: {what}]"));
            }
            out.push('\n');
        }
        out
    }

    /// The core whose thread a headline is about (`Thread 0x00007f… (most recent call first):`).
    fn core_of(&self, slot: usize, line: &str) -> Option<usize> {
        let number = line.strip_prefix("Current thread 0x").or_else(|| line.strip_prefix("Thread 0x"))?;
        let digits: String = number.chars().take_while(char::is_ascii_hexdigit).collect();
        let ident = u64::from_str_radix(&digits, 16).ok()?;
        self.scoreboard.cores(slot).position(|core| core.ident().load(Relaxed) == ident)
    }
}

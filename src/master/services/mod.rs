//! What the master does beside its children, each part in a file of its own.

mod alarms;
mod closing;
mod files;
mod memory;
mod messages;
mod metrics;
mod profile;
mod stats;

use super::action::{Action, ProfileRequest, Reader, Ticket};
use super::server::Server;
use super::service::Service;
use super::workers::harakiri::Harakiri;
use super::workers::slow_stacks::SlowStacks;
use super::workers::stack_dump::StackDumps;
use crate::config::Settings;
use crate::net::listener::StatsListener;
use crate::report::stacks::WorkerStacks;
use crate::report::{Document, stacks};
use crate::shm::metrics::Metrics as Values;
use crate::supervise::{Child, Children, Role};
use crate::sys::clock;
use crate::sys::epoll::Epoll;
use alarms::Alarms;
use files::Files;
use memory::Memory;
use messages::Messages;
use metrics::Metrics;
use profile::Profiles;
use stats::Stats;
use std::io::Result;
use std::os::fd::{OwnedFd, RawFd};

pub struct Services {
    pub dumps: StackDumps,
    pub messages: Messages,
    pub stats: Stats,
    metrics: Metrics,
    pub alarms: Alarms,
    memory: Memory,
    files: Files,
    harakiri: Harakiri,
    slow_stacks: SlowStacks,
    profiles: Profiles,
}

impl Services {
    pub fn new(
        settings: &Settings,
        dump_pipe: OwnedFd,
        stats: Vec<StatsListener>,
        values: Values,
        now: u64,
    ) -> Result<Services> {
        Ok(Services {
            dumps: StackDumps::new(dump_pipe),
            messages: Messages::default(),
            stats: Stats::new(stats)?,
            metrics: Metrics::new(settings, values, now)?,
            alarms: Alarms::new(settings, now)?,
            memory: Memory::starting(now),
            files: Files::new(settings, now),
            harakiri: Harakiri::starting(now),
            slow_stacks: SlowStacks::starting(now),
            profiles: Profiles::default(),
        })
    }

    /// In the order in which they run.
    fn all(&self) -> [&dyn Service; 10] {
        [
            &self.dumps,
            &self.memory,
            &self.files,
            &self.harakiri,
            &self.slow_stacks,
            &self.profiles,
            &self.messages,
            &self.metrics,
            &self.stats,
            &self.alarms,
        ]
    }

    fn all_mut(&mut self) -> [&mut dyn Service; 10] {
        [
            &mut self.dumps,
            &mut self.memory,
            &mut self.files,
            &mut self.harakiri,
            &mut self.slow_stacks,
            &mut self.profiles,
            &mut self.messages,
            &mut self.metrics,
            &mut self.stats,
            &mut self.alarms,
        ]
    }

    pub fn watch(&self, epoll: &Epoll) -> Result<()> {
        self.all().iter().try_for_each(|service| service.watch(epoll))
    }

    /// Descriptors that children close.
    pub fn private(&self) -> Vec<RawFd> {
        self.all().iter().flat_map(|service| service.private()).collect()
    }

    pub fn configure(&mut self, settings: &Settings) {
        self.all_mut().into_iter().for_each(|service| service.configure(settings));
    }

    pub fn tick(&mut self, now: u64, server: &Server, children: &mut Children) -> Vec<Action> {
        self.all_mut().into_iter().flat_map(|service| service.tick(now, server, children)).collect()
    }

    /// Takes the stacks of one worker, or of all that serve.
    pub fn read_stacks(&mut self, reader: Reader, worker: Option<u32>, children: &Children) {
        let is_wanted = |child: &&Child| child.was_ready && worker.is_none_or(|id| id == child.id);
        let slots = children.of(Role::Worker).filter(is_wanted).map(|child| child.slot).collect();
        let is_added = self.dumps.readers.add(reader, slots, clock::monotonic_us());
        if let Reader::Document(ticket) = reader
            && !is_added
        {
            self.stats.answer(ticket, &Document::refusal(503, "too many wait for stacks already"));
        }
    }

    pub fn profile(&mut self, ticket: Ticket, request: ProfileRequest, server: &Server, children: &Children) {
        if !self.profiles.begin((ticket, request), server, children, clock::monotonic_us()) {
            let text = "a profile is being taken already, which goes on when its reader has gone: one at a time, and a minute \
                        at most";
            self.stats.answer(ticket, &Document::refusal(409, text));
        }
    }

    pub fn give_stacks(&mut self, reader: Reader, stacks: &[WorkerStacks]) {
        match reader {
            Reader::Document(ticket) => {
                let document = Document::json(stacks::json(stacks, clock::monotonic_us()));
                self.stats.answer(ticket, &document);
            }
            Reader::Tracebacker(ticket) => {
                let text = stacks::tracebacker(stacks);
                self.stats.answer(ticket, &Document::new("text/plain", text));
            }
        }
    }

    pub fn deadline(&self, now: u64, server: &Server) -> Option<u64> {
        self.all().iter().filter_map(|service| service.deadline(now, server)).min()
    }
}

//! What the master does beside its children, each part in a file of its own.

mod alarms;
mod closing;
mod files;
mod memory;
mod messages;
mod metrics;
mod stats;

use super::action::Action;
use super::server::Server;
use super::service::Service;
use super::workers::harakiri::Harakiri;
use super::workers::stack_dump::StackDumps;
use crate::config::Settings;
use crate::net::listener::StatsListener;
use crate::shm::metrics::Metrics as Values;
use crate::supervise::Children;
use crate::sys::epoll::Epoll;
use alarms::Alarms;
use files::Files;
use memory::Memory;
use messages::Messages;
use metrics::Metrics;
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
        })
    }

    /// In the order in which they run.
    fn all(&self) -> [&dyn Service; 8] {
        [
            &self.dumps,
            &self.memory,
            &self.files,
            &self.harakiri,
            &self.messages,
            &self.metrics,
            &self.stats,
            &self.alarms,
        ]
    }

    fn all_mut(&mut self) -> [&mut dyn Service; 8] {
        [
            &mut self.dumps,
            &mut self.memory,
            &mut self.files,
            &mut self.harakiri,
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

    pub fn deadline(&self, now: u64, server: &Server) -> Option<u64> {
        self.all().iter().filter_map(|service| service.deadline(now, server)).min()
    }
}

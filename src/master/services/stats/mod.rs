//! The stats server: whoever connects gets the state of the server, by itself (`stats`) or over HTTP (`stats-http`).
//! It never waits for a reader.

mod documents;
mod history;
mod hosts;
mod memory;
mod reader;
mod readers;
mod request;
mod view;

use crate::master::action::{Action, Ticket};
use crate::master::server::Server;
use crate::master::service::Service;
use crate::net::listener::StatsListener;
use crate::report::Document;
use crate::supervise::Children;
use crate::sys::clock;
use crate::sys::epoll::{self, Epoll};
use history::Sampler;
pub use memory::MemoryReport;
use readers::Readers;
use std::cell::RefCell;
use std::io::Result;
use std::os::fd::RawFd;
use view::View;

pub struct Stats {
    /// `None`: the configuration names no address.
    readers: Option<Readers>,
    memory: RefCell<MemoryReport>,
    sampler: RefCell<Sampler>,
}

impl Stats {
    pub fn new(listeners: Vec<StatsListener>) -> Result<Stats> {
        let is_on = !listeners.is_empty();
        let readers = is_on.then(|| Readers::new(listeners)).transpose()?;
        Ok(Stats { readers, memory: RefCell::default(), sampler: RefCell::default() })
    }

    /// The answer that a reader waits for (`Answer::Later`).
    pub fn answer(&mut self, ticket: Ticket, document: &Document) {
        if let Some(readers) = &mut self.readers {
            readers.complete(ticket, document, clock::monotonic_us());
        }
    }
}

impl Service for Stats {
    fn watch(&self, epoll: &Epoll) -> Result<()> {
        let Some(readers) = &self.readers else { return Ok(()) };
        epoll.add(readers.epoll(), epoll::READ, crate::master::sources::OTHER)
    }

    fn private(&self) -> Vec<RawFd> {
        self.readers.as_ref().map_or_else(Vec::new, Readers::private)
    }

    fn tick(&mut self, now: u64, server: &Server, children: &mut Children) -> Vec<Action> {
        let Some(readers) = &mut self.readers else { return Vec::new() };
        let view = View::new(server, children, &self.memory, &self.sampler);
        view.take_sample(now);
        readers.turn(now, &view)
    }

    fn deadline(&self, _: u64, _: &Server) -> Option<u64> {
        let readers = self.readers.as_ref()?;
        readers.deadline().into_iter().chain([self.sampler.borrow().due_us()]).min()
    }
}

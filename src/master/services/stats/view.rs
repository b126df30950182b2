//! What the stats server shows in one turn of the loop: whoever asks in the same turn gets the same bytes.

use super::history::Sampler;
use super::memory::MemoryReport;
use super::request::Asked;
use crate::master::server::Server;
use crate::master::status;
use crate::report::prometheus::{self, Format};
use crate::report::{Document, Status, json};
use crate::supervise::{Children, Role};
use std::cell::{OnceCell, RefCell};

pub struct View<'a> {
    server: &'a Server,
    children: &'a Children,
    memory: &'a RefCell<MemoryReport>,
    history: &'a RefCell<Sampler>,
    status: OnceCell<Status>,
    json: OnceCell<Document>,
}

impl<'a> View<'a> {
    pub fn new(
        server: &'a Server,
        children: &'a Children,
        memory: &'a RefCell<MemoryReport>,
        history: &'a RefCell<Sampler>,
    ) -> View<'a> {
        View { server, children, memory, history, status: OnceCell::new(), json: OnceCell::new() }
    }

    pub fn server(&self) -> &'a Server {
        self.server
    }

    /// Does a worker of this number serve?
    pub fn has_worker(&self, id: u32) -> bool {
        self.children.of(Role::Worker).any(|child| child.was_ready && child.id == id)
    }

    pub fn status(&self) -> &Status {
        self.status.get_or_init(|| {
            let mut status = status::of(self.server, self.children);
            let with_shared = self.server.settings().stats.memory_report;
            self.memory.borrow_mut().fill(&mut status, with_shared);
            status
        })
    }

    /// For Prometheus.
    pub fn metrics(&self, asked: &Asked) -> Document {
        let format = Format::of_accept(&asked.accept);
        let each =
            self.server.settings().stats.metrics_per_worker || asked.argument("worker") == Some("each");
        Document::new(format.content_type(), prometheus::render(self.status(), format, each))
    }

    /// For the history, when it is time.
    pub fn take_sample(&self, now: u64) {
        self.history.borrow_mut().tick(now, || self.status());
    }

    /// The last 15 minutes.
    pub fn history(&self) -> Document {
        self.history.borrow().document()
    }

    /// uWSGI's document.
    pub fn json(&self) -> Document {
        let shown = status::shown(self.server.settings());
        self.json.get_or_init(|| Document::json(json::render(self.status(), shown))).clone()
    }
}

//! What the stats server shows in one turn of the loop: whoever asks in the same turn gets the same bytes.

use super::memory::MemoryReport;
use crate::master::server::Server;
use crate::master::status;
use crate::report::{Document, Status, json};
use crate::supervise::Children;
use std::cell::{OnceCell, RefCell};

pub struct View<'a> {
    server: &'a Server,
    children: &'a Children,
    memory: &'a RefCell<MemoryReport>,
    status: OnceCell<Status>,
    json: OnceCell<Document>,
}

impl<'a> View<'a> {
    pub fn new(server: &'a Server, children: &'a Children, memory: &'a RefCell<MemoryReport>) -> View<'a> {
        View { server, children, memory, status: OnceCell::new(), json: OnceCell::new() }
    }

    pub fn server(&self) -> &'a Server {
        self.server
    }

    pub fn status(&self) -> &Status {
        self.status.get_or_init(|| {
            let mut status = status::of(self.server, self.children);
            let with_shared = self.server.settings().stats.memory_report;
            self.memory.borrow_mut().fill(&mut status, with_shared);
            status
        })
    }

    /// uWSGI's document.
    pub fn json(&self) -> Document {
        let shown = status::shown(self.server.settings());
        self.json.get_or_init(|| Document::json(json::render(self.status(), shown))).clone()
    }
}

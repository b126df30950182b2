//! Samples of the status, taken while the stats server listens.

use crate::report::history::{EVERY_US, History};
use crate::report::{Document, Status};

#[derive(Default)]
pub struct Sampler {
    history: History,
    due_us: u64,
}

impl Sampler {
    /// Takes a sample when it is time.
    pub fn tick<'a>(&mut self, now: u64, status: impl FnOnce() -> &'a Status) {
        if now >= self.due_us {
            self.history.add(status());
            // After a pause of the machine the intervals begin anew.
            let next = self.due_us + EVERY_US;
            self.due_us = if next > now { next } else { now + EVERY_US };
        }
    }

    pub fn due_us(&self) -> u64 {
        self.due_us
    }

    pub fn document(&self) -> Document {
        Document::json(self.history.render())
    }
}

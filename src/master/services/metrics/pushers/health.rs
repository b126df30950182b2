//! Whether a receiver takes what it is sent: the log has it once when it begins to fail, and once when it is well again.

use crate::base::reason::reason;
use crate::log;
use std::io::Error;

pub struct Health {
    /// Who sends what to whom.
    name: String,
    is_failing: bool,
}

impl Health {
    pub fn new(name: String) -> Health {
        Health { name, is_failing: false }
    }

    pub fn note_error(&mut self, error: Error) {
        self.note(Some(reason(error)));
    }

    /// `None`: all went well.
    pub fn note(&mut self, failure: Option<String>) {
        let was_failing = std::mem::replace(&mut self.is_failing, failure.is_some());
        match failure {
            Some(why) if !was_failing => {
                log::say(&format!("{} fails: {why}; it is tried again, in silence", self.name))
            }
            None if was_failing => log::say(&format!("{} works again", self.name)),
            _ => {}
        }
    }
}

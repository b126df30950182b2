//! Incidents: what goes wrong and may be worth an alarm. Whoever finds one reports it (`Server::report`), and the alarm service
//! (`services/alarms/`) raises the alarms that ask for it.

use crate::config::AlarmEvent;
use serde_json::{Map, Value};
use std::cell::RefCell;

/// Whom it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// The alarms that the configuration has subscribed to this event.
    Subscribers(AlarmEvent),
    /// Alarms by their names.
    Named(Vec<String>),
}

/// The detail with the lines that the log has below the message.
pub const RECORD: &str = "record";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// What it is called in the JSON of the event.
    pub event: &'static str,
    pub recipients: Recipients,
    pub message: String,
    pub details: Map<String, Value>,
}

impl Incident {
    pub fn of(event: AlarmEvent, message: impl Into<String>) -> Incident {
        let recipients = Recipients::Subscribers(event);
        Incident { event: event.name(), recipients, message: message.into(), details: Map::new() }
    }

    /// For alarms that an option names with its condition: `event` is `log`, `metric` and the like.
    pub fn named(event: &'static str, alarms: Vec<String>, message: impl Into<String>) -> Incident {
        let recipients = Recipients::Named(alarms);
        Incident { event, recipients, message: message.into(), details: Map::new() }
    }

    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Incident {
        self.details.insert(key.to_owned(), value.into());
        self
    }
}

/// Those that the alarm service has not seen yet.
#[derive(Debug, Default)]
pub struct Incidents(RefCell<Vec<Incident>>);

/// Reported in one turn of the loop; what comes on top is in the log alone.
const MAX_REPORTED: usize = 256;

impl Incidents {
    pub fn add(&self, incident: Incident) {
        let mut reported = self.0.borrow_mut();
        if reported.len() < MAX_REPORTED {
            reported.push(incident);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    pub fn take(&self) -> Vec<Incident> {
        self.0.take()
    }
}

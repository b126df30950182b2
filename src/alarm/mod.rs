//! Layer 5: what a raised alarm does, in a process of its own that may wait. It has no listener, no client and no part of the
//! application, and it dies with the master.
#![forbid(unsafe_code)]

mod command;
mod post;

use crate::config::{AlarmAction, Settings};
use crate::log;
use crate::process::exit::{EXIT_BROKEN, EXIT_DONE};
use crate::process::{privileges, title};
use crate::sys::{io, orphan, process};
use std::time::Duration;

/// One alarm that has been raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Tells it from others.
    pub number: u32,
    pub alarm: String,
    pub action: AlarmAction,
    pub event: &'static str,
    pub message: String,
    /// The event as it is posted.
    pub json: String,
}

impl Delivery {
    /// How long it may take before it is killed.
    pub fn limit(&self) -> Duration {
        match self.action {
            AlarmAction::Post(_) => Duration::from_secs(60),
            AlarmAction::Command(_) | AlarmAction::Log(_) => Duration::from_secs(30),
        }
    }
}

/// The body of the process; returns its exit status.
pub fn deliver(delivery: &Delivery, settings: &Settings, master: i32) -> i32 {
    log::set_line_alarms(None);
    // Whoever ends it ends what it has started, too.
    let _ = process::new_session();
    title::set(&settings.procnames, None, &format!("alarm {}", delivery.alarm));
    if !privileges::leave_to_master(settings) {
        return EXIT_BROKEN;
    }
    // It was forked by the master itself.
    if orphan::end_with(master, || true).is_err() {
        return EXIT_DONE;
    }
    let status = match &delivery.action {
        AlarmAction::Command(command) => command::run(command, delivery),
        AlarmAction::Post(url) => {
            io::close_from(3);
            post::run(url, delivery)
        }
        AlarmAction::Log(_) => EXIT_DONE,
    };
    log::close();
    status
}

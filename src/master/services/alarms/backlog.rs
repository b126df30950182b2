//! Listeners whose backlog is full: clients wait, or are turned away.

use crate::config::AlarmEvent;
use crate::log;
use crate::master::incident::Incident;
use crate::master::server::{Phase, Server};
use crate::master::service::EachSecond;
use crate::net::listener::Bound;
use crate::sys::backlog;
use crate::sys::socket::Backlog;
use std::os::fd::{AsFd, AsRawFd};

/// How often the log says it of one listener.
const SAID_AGAIN_US: u64 = 60_000_000;

pub struct Backlogs {
    second: EachSecond,
    /// When the log has said it last, for each listener.
    said_us: Vec<Option<u64>>,
}

impl Backlogs {
    pub fn starting(now: u64) -> Backlogs {
        Backlogs { second: EachSecond::starting(now), said_us: Vec::new() }
    }

    /// Looks once a second, as uWSGI does.
    pub fn look(&mut self, now: u64, server: &Server) -> Vec<Incident> {
        if !self.second.pass(now) || matches!(server.phase, Phase::Starting | Phase::Stopping) {
            return Vec::new();
        }
        let listeners = &server.setup.listeners;
        self.said_us.resize(listeners.len(), None);
        let full = listeners.iter().zip(&mut self.said_us).filter_map(|(listener, said_us)| {
            let backlog = backlog::of(listener.fd.as_fd()).filter(is_full)?;
            let message = message(listener, backlog);
            if said_us.is_none_or(|at| now.saturating_sub(at) >= SAID_AGAIN_US) {
                *said_us = Some(now);
                log::say(&format!("*** {message} ***"));
            }
            let incident = Incident::of(AlarmEvent::Backlog, message).with("socket", listener.name.as_str());
            Some(incident.with("waiting", backlog.waiting).with("backlog", backlog.most))
        });
        full.collect()
    }
}

fn is_full(backlog: &Backlog) -> bool {
    backlog.waiting > 0 && backlog.waiting >= backlog.most
}

/// In uWSGI's words: programs look for them.
fn message(listener: &Bound, backlog: Backlog) -> String {
    let (name, fd, Backlog { waiting, most }) = (&listener.name, listener.fd.as_raw_fd(), backlog);
    format!("listen queue of socket \"{name}\" (fd: {fd}) full !!! ({waiting}/{most})")
}

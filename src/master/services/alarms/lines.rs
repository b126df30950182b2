//! Entries of the log that raise alarms, as every process of the server reports them.

use crate::config::{Alarms, LineRule};
use crate::log::lines::{self, LineAlarms, Report};
use crate::master::incident::Incident;
use crate::master::sources::OTHER;
use crate::sys::epoll::{self, Epoll};
use crate::sys::{io, socket};
use std::io::Result;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// Reports that are taken in one turn; the socket keeps the others.
const MAX_A_TURN: usize = 64;
/// For the names of alarms in front of an entry.
const HEAD: usize = 4096;
/// The most of an entry that is reported, whatever alarm-msg-size says: more does not fit into the socket.
const MAX_ENTRY: usize = 32 * 1024;

pub struct Lines {
    receiver: OwnedFd,
    sender: Arc<OwnedFd>,
    /// Rules are configured, so children need the sender.
    has_rules: bool,
    /// For a whole report.
    buffer: Vec<u8>,
}

impl Lines {
    pub fn new() -> Result<Lines> {
        let (sender, receiver) = io::packet_pair()?;
        socket::set_nonblocking(sender.as_fd())?;
        socket::set_nonblocking(receiver.as_fd())?;
        Ok(Lines { receiver, sender: Arc::new(sender), has_rules: false, buffer: vec![0; HEAD + MAX_ENTRY] })
    }

    pub fn watch(&self, epoll: &Epoll) -> Result<()> {
        epoll.add(&self.receiver, epoll::READ, OTHER)
    }

    /// What children have nothing to do with.
    pub fn private(&self) -> impl Iterator<Item = RawFd> {
        let unused = (!self.has_rules).then(|| self.sender.as_raw_fd());
        unused.into_iter().chain([self.receiver.as_raw_fd()])
    }

    /// What this process and those that it forks from now on look for.
    pub fn rules(&mut self, alarms: &Alarms) -> Option<LineAlarms> {
        let rule = |rule: &LineRule| lines::LineRule {
            pattern: rule.pattern.0.clone(),
            alarms: (!rule.is_exclusion).then(|| rule.alarms.join(",")),
        };
        let rules: Vec<_> = alarms.lines.iter().map(rule).collect();
        let size = alarms.message_size.min(MAX_ENTRY);
        self.has_rules = !rules.is_empty();
        self.has_rules.then(|| LineAlarms::new(rules, self.sender.clone(), size))
    }

    pub fn look(&mut self) -> Vec<Incident> {
        (0..MAX_A_TURN).map_while(|_| self.receive()).map(incident).collect()
    }

    fn receive(&mut self) -> Option<Report> {
        let got = io::read(self.receiver.as_fd(), &mut self.buffer).ok()?;
        lines::parse(&self.buffer[..got])
    }
}

fn incident(report: Report) -> Incident {
    let alarms = report.alarms.split(',').map(str::to_owned).collect();
    let incident = Incident::named("log", alarms, report.entry);
    if report.lost > 0 { incident.with("not_raised", report.lost) } else { incident }
}

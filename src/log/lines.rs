//! Entries of the log that raise alarms (`log-alarm`). Each process looks at its own entries and reports those that are found to the
//! master, through a socket that it never waits for.

use crate::sys::{clock, io};
use regex::bytes::Regex;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// Reports of one process in a second; a flood of lines must not become one of alarms.
const MAX_A_SECOND: u32 = 20;
/// What the server says about alarms raises none.
const OWN: &[u8] = b"[uwsgi-alarm";

/// A regular expression for entries.
#[derive(Clone, Debug)]
pub struct LineRule {
    pub pattern: Regex,
    /// Names of alarms, separated by commas. `None`: an entry that is found raises nothing, and no later rule is looked at.
    pub alarms: Option<String>,
}

#[derive(Clone, Debug)]
pub struct LineAlarms {
    rules: Arc<Vec<LineRule>>,
    to: Arc<OwnedFd>,
    /// Bytes of an entry that are reported.
    size: usize,
    /// The second of the last report, and how many there were in it.
    second: (u64, u32),
    /// Entries that were found and not reported.
    lost: u64,
}

/// What the master receives.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    pub alarms: String,
    /// Entries before this one that were found and not reported.
    pub lost: u64,
    pub entry: String,
}

impl LineAlarms {
    pub fn new(rules: Vec<LineRule>, to: Arc<OwnedFd>, size: usize) -> LineAlarms {
        LineAlarms { rules: Arc::new(rules), to, size, second: (0, 0), lost: 0 }
    }

    /// Holds an entry with its date against the rules.
    pub fn look_at(&mut self, entry: &[u8]) {
        let entry = entry.trim_ascii_end();
        let rules = self.rules.clone();
        for rule in rules.iter().filter(|rule| rule.pattern.is_match(entry)) {
            match &rule.alarms {
                Some(alarms) if !is_own(entry) => self.report(alarms, entry),
                _ => return,
            }
        }
    }

    fn report(&mut self, alarms: &str, entry: &[u8]) {
        let second = clock::monotonic_us() / 1_000_000;
        if self.second.0 != second {
            self.second = (second, 0);
        }
        let head = format!("{alarms}\0{}\0", self.lost);
        let packet = [head.as_bytes(), &entry[..entry.len().min(self.size)]].concat();
        let is_sent = self.second.1 < MAX_A_SECOND && io::write_now(self.to.as_fd(), &packet).is_ok();
        if is_sent {
            self.second.1 += 1;
            self.lost = 0;
        } else {
            self.lost += 1;
        }
    }
}

/// With or without a date in front.
fn is_own(entry: &[u8]) -> bool {
    entry.starts_with(OWN)
        || entry
            .windows(3)
            .position(|three| three == b" - ")
            .is_some_and(|at| entry[at + 3..].starts_with(OWN))
}

/// What a process has reported.
pub fn parse(packet: &[u8]) -> Option<Report> {
    let mut parts = packet.splitn(3, |&byte| byte == 0);
    let mut text = || parts.next().map(|part| String::from_utf8_lossy(part).into_owned());
    let (alarms, lost, entry) = (text()?, text()?, text()?);
    Some(Report { alarms, lost: lost.parse().ok()?, entry })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::socket;

    fn alarms(rules: &[(&str, Option<&str>)]) -> (LineAlarms, OwnedFd) {
        let (to, from) = io::packet_pair().unwrap();
        [&to, &from].iter().for_each(|end| socket::set_nonblocking(end.as_fd()).unwrap());
        let rule = |(pattern, alarms): &(&str, Option<&str>)| LineRule {
            pattern: Regex::new(pattern).unwrap(),
            alarms: alarms.map(str::to_owned),
        };
        (LineAlarms::new(rules.iter().map(rule).collect(), Arc::new(to), 40), from)
    }

    fn received(from: &OwnedFd) -> Option<Report> {
        let mut buffer = [0; 4096];
        let got = io::read(from.as_fd(), &mut buffer).ok()?;
        parse(&buffer[..got])
    }

    #[test]
    fn an_entry_is_reported_for_each_rule_that_finds_it() {
        let (mut alarms, from) = alarms(&[("quiet", None), ("bad", Some("a,b")), ("very", Some("c"))]);
        alarms.look_at(b"Sat - very bad\n");
        let report = |alarms: &str| Report { alarms: alarms.into(), lost: 0, entry: "Sat - very bad".into() };
        assert_eq!([received(&from), received(&from)], [Some(report("a,b")), Some(report("c"))]);
        alarms.look_at(b"Sat - quiet and bad\n");
        alarms.look_at(b"Sat - [uwsgi-alarm] bad\n");
        alarms.look_at(b"[uwsgi-alarm] bad\n");
        assert_eq!(received(&from), None);
    }

    #[test]
    fn a_flood_is_counted() {
        let (mut alarms, from) = alarms(&[("bad", Some("a"))]);
        (0..3000).for_each(|_| alarms.look_at(b"bad, and longer than what is to be reported of it"));
        let reports: Vec<Report> = std::iter::from_fn(|| received(&from)).collect();
        // The loop may end in another second than it began in.
        assert!((20..=60).contains(&reports.len()), "{}", reports.len());
        assert_eq!(reports[0].entry.len(), 40);
        let told: u64 = reports.iter().map(|report| report.lost).sum();
        assert_eq!(told + alarms.lost, 3000 - reports.len() as u64);
    }
}

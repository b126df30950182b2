//! The statistics as lines for carbon, `NAME VALUE TIME`: names and order of uWSGI's pusher.

use super::{Status, WorkerStatus, WorkerTotals, json::process_of};
use std::collections::BTreeMap;
use std::fmt::{Display, Write};

/// What is shown, and how.
#[derive(Clone, Debug)]
pub struct CarbonShown {
    /// In front of each name, with a dot at its end.
    pub prefix: String,
    pub workers: bool,
    pub memory: bool,
    pub average: Average,
}

/// What is shown as the time of an average request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    Last,
    Zero,
    Nothing,
}

/// How much of the last period each worker was busy, in percent.
pub type Busyness = BTreeMap<u32, u64>;

struct Lines {
    out: String,
    prefix: String,
    seconds: u64,
}

impl Lines {
    fn new(prefix: &str, status: &Status) -> Lines {
        let seconds = status.instance.wall_us / 1_000_000;
        Lines { out: String::new(), prefix: prefix.to_owned(), seconds }
    }

    fn push(&mut self, name: impl Display, value: impl Display) {
        let _ = writeln!(self.out, "{}{name} {value} {}", self.prefix, self.seconds);
    }
}

/// A line for each of uWSGI's metrics.
pub fn metrics(status: &Status, prefix: &str) -> String {
    let mut lines = Lines::new(prefix, status);
    status.metrics.iter().for_each(|metric| lines.push(&metric.name, metric.value));
    lines.out
}

/// What uWSGI sends without `carbon-use-metrics`.
pub fn statistics(status: &Status, shown: &CarbonShown, busyness: &Busyness) -> String {
    let mut lines = Lines::new(&shown.prefix, status);
    lines.push("requests", status.totals.counters().sums.requests);
    let mut totals = Figures::default();
    for id in 1..=status.instance.workers {
        let worker = Figures::of(status, id, busyness.get(&id).copied().unwrap_or(0), shown.average);
        if shown.workers {
            lines.push(format_args!("worker{id}.requests"), worker.requests);
            worker.push(&mut lines, &format!("worker{id}."), shown, |_| {});
        }
        totals.add(&worker);
    }
    totals.settle();
    let active = totals.active;
    totals.push(&mut lines, "", shown, |lines| lines.push("active_workers", active));
    lines.out
}

/// Of one worker, or of all.
#[derive(Default)]
struct Figures {
    requests: u64,
    resident: u64,
    address_space: u64,
    average_us: u64,
    bytes_sent: u64,
    busyness: u64,
    harakiri: u64,
    /// How many have a process.
    active: u64,
}

impl Figures {
    fn of(status: &Status, id: u32, busyness: u64, average: Average) -> Figures {
        let none = WorkerTotals { id, ..WorkerTotals::default() };
        let totals = status.totals.workers.iter().find(|totals| totals.id == id).unwrap_or(&none);
        let process = process_of(status, id);
        let is_active = process.is_some_and(|process| process.on_scoreboard.pid > 0);
        let memory = process.map(|process: &WorkerStatus| process.memory).unwrap_or_default();
        Figures {
            requests: totals.counters.sums.requests,
            resident: memory.resident,
            address_space: memory.address_space,
            average_us: if is_active && average == Average::Last { totals.average_us } else { 0 },
            bytes_sent: totals.counters.bytes_sent(),
            busyness: if is_active { busyness } else { 0 },
            harakiri: totals.harakiri,
            active: u64::from(is_active),
        }
    }

    fn add(&mut self, worker: &Figures) {
        self.resident += worker.resident;
        self.address_space += worker.address_space;
        self.average_us += worker.average_us;
        self.bytes_sent += worker.bytes_sent;
        self.busyness += worker.busyness;
        self.harakiri += worker.harakiri;
        self.active += worker.active;
    }

    /// From sums to means.
    fn settle(&mut self) {
        let count = self.active.max(1);
        self.average_us /= count;
        self.busyness /= count;
    }

    fn push(
        &self,
        lines: &mut Lines,
        of: &str,
        shown: &CarbonShown,
        before_harakiri: impl FnOnce(&mut Lines),
    ) {
        if shown.memory {
            lines.push(format_args!("{of}rss_size"), self.resident);
            lines.push(format_args!("{of}vsz_size"), self.address_space);
        }
        if shown.average != Average::Nothing {
            lines.push(format_args!("{of}avg_rt"), self.average_us);
        }
        lines.push(format_args!("{of}tx"), self.bytes_sent);
        lines.push(format_args!("{of}busyness"), self.busyness);
        before_harakiri(lines);
        lines.push(format_args!("{of}harakiri"), self.harakiri);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::status;
    use super::*;

    fn names(text: &str) -> Vec<&str> {
        text.lines().map(|line| line.split(' ').next().unwrap()).collect()
    }

    #[test]
    fn lines_of_workers_and_totals() {
        let mut status = status();
        status.instance.workers = 1;
        let account = WorkerTotals { id: 1, harakiri: 3, average_us: 70, ..WorkerTotals::default() };
        status.totals.workers = vec![account];
        let shown =
            CarbonShown { prefix: "u.h.i.".into(), workers: true, memory: true, average: Average::Last };
        let text = statistics(&status, &shown, &Busyness::from([(1, 40)]));
        let worker = ["requests", "rss_size", "vsz_size", "avg_rt", "tx", "busyness", "harakiri"];
        let totals = ["rss_size", "vsz_size", "avg_rt", "tx", "busyness", "active_workers", "harakiri"];
        let expected: Vec<String> = std::iter::once("requests".to_owned())
            .chain(worker.map(|name| format!("worker1.{name}")))
            .chain(totals.map(str::to_owned))
            .map(|name| format!("u.h.i.{name}"))
            .collect();
        assert_eq!(names(&text), expected);
        assert!(
            text.contains("u.h.i.worker1.busyness 40 1790000009\n")
                && text.contains("u.h.i.avg_rt 70 1790000009\n")
        );
        let shown = CarbonShown { workers: false, memory: false, average: Average::Nothing, ..shown };
        let names = names(&statistics(&status, &shown, &Busyness::new())).len();
        assert_eq!(names, 5);
    }
}

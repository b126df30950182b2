//! Every metric of a server, in uWSGI's order: its name, oid and kind, and where its value comes from.

use std::collections::HashMap;
use std::path::PathBuf;

use super::own::{Collector, OwnMetric};
use crate::base::metric::MetricKind::{self, *};
use crate::config::{ConfigError, Origin, Settings};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    pub name: String,
    /// Below 1.3.6.1.4.1.35156.17; empty: it has none.
    pub oid: String,
    pub kind: MetricKind,
    pub source: Source,
    /// Seconds between two looks.
    pub every: u64,
    pub initial: i64,
    /// It begins anew behind each push.
    pub resets: bool,
}

/// Where a value comes from. Other metrics are named by their places in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// There is nothing of the kind here: uWSGI's signals, offloading, internal routing.
    Absent,
    BusyWorkers,
    IdleWorkers,
    /// Seconds in which no worker was idle.
    Overloaded,
    TotalRequests,
    /// Of the worker with this number.
    Worker(u32, WorkerFigure),
    /// Of a worker's core.
    Core(u32, usize, CoreFigure),
    /// The backlog of the listener in this place of the settings.
    Listener(usize),
    /// The application sets it.
    Application,
    File(PathBuf, usize),
    Alias(usize),
    Derived(Derived, Vec<usize>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerFigure {
    Requests,
    RequestsOfProcess,
    Exceptions,
    Respawns,
    AverageTime,
    BytesSent,
    Resident,
    AddressSpace,
    RunningTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoreFigure {
    Requests,
    WriteErrors,
    StaticRequests,
    ReadErrors,
}

/// What is made of other metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derived {
    Sum,
    /// The sum is added to what is there.
    Accumulator,
    Adder(i64),
    Multiplier(i64),
    Average,
}

impl Source {
    /// Is it for the application to change?
    pub fn is_settable(&self) -> bool {
        *self == Source::Application
    }
}

/// Part of a worker's metrics: name and oid behind those of the worker, kind, figure.
const WORKER: [(&str, u8, MetricKind, WorkerFigure); 9] = [
    ("requests", 1, Counter, WorkerFigure::Requests),
    ("delta_requests", 2, Absolute, WorkerFigure::RequestsOfProcess),
    ("failed_requests", 13, Counter, WorkerFigure::Exceptions),
    ("respawns", 14, Counter, WorkerFigure::Respawns),
    ("avg_response_time", 8, Gauge, WorkerFigure::AverageTime),
    ("total_tx", 9, Counter, WorkerFigure::BytesSent),
    ("rss_size", 11, Gauge, WorkerFigure::Resident),
    ("vsz_size", 12, Gauge, WorkerFigure::AddressSpace),
    // uWSGI gives this number twice.
    ("running_time", 13, Counter, WorkerFigure::RunningTime),
];

const CORE: [(&str, u8, Option<CoreFigure>); 7] = [
    ("requests", 1, Some(CoreFigure::Requests)),
    ("write_errors", 3, Some(CoreFigure::WriteErrors)),
    ("routed_requests", 4, None),
    ("static_requests", 5, Some(CoreFigure::StaticRequests)),
    ("offloaded_requests", 6, None),
    ("exceptions", 7, None),
    ("read_errors", 8, Some(CoreFigure::ReadErrors)),
];

const TOTALS: [(&str, u8, MetricKind, Derived, &str); 5] = [
    ("core.total_tx", 100, Counter, Derived::Sum, "total_tx"),
    ("core.total_rss", 101, Gauge, Derived::Sum, "rss_size"),
    ("core.total_vsz", 102, Gauge, Derived::Sum, "vsz_size"),
    ("core.avg_response_time", 103, Gauge, Derived::Average, "avg_response_time"),
    ("core.total_running_time", 104, Counter, Derived::Sum, "running_time"),
];

/// All metrics of a server with these settings.
///
/// # Errors
/// One of the user's own reads a metric that there is not.
pub fn definitions(settings: &Settings) -> Result<Vec<Definition>, ConfigError> {
    let mut list = List::default();
    list.add_server();
    let table = &settings.instance.metrics;
    let cores = if table.no_cores { 0 } else { settings.instance.threads };
    for worker in 0..=settings.instance.processes {
        list.add_worker(worker, if worker == 0 { 0 } else { cores as usize });
    }
    list.add_totals(settings.instance.processes);
    for listener in 0..settings.listeners.len() {
        let (name, oid) = (format!("socket.{listener}.listen_queue"), format!("7.{listener}.1"));
        list.add(name, oid, Gauge, Source::Listener(listener));
    }
    list.add_aliases();
    table.own.iter().try_for_each(|own| list.add_own(own))?;
    Ok(list.all)
}

/// What is wrong with the metrics and thresholds of a configuration.
pub fn check(settings: &Settings) -> Vec<ConfigError> {
    if !settings.has_metrics() {
        return Vec::new();
    }
    let list = match definitions(settings) {
        Ok(list) => list,
        Err(error) => return vec![error],
    };
    let is_known = |name: &str| list.iter().any(|definition| definition.name == name);
    let wrong = settings.metrics.thresholds.iter().filter(|threshold| !is_known(&threshold.key));
    wrong.map(|threshold| unknown(&threshold.origin, "metric-threshold", &threshold.key)).collect()
}

fn unknown(origin: &Origin, option: &str, name: &str) -> ConfigError {
    let remedy = "write one that stands before it, or one of those that docs/uwsgi-metrics.md lists";
    ConfigError::new(origin, format!("option \"{option}\": there is no metric \"{name}\""), remedy)
}

#[derive(Default)]
struct List {
    all: Vec<Definition>,
    by_name: HashMap<String, usize>,
}

impl List {
    fn add(&mut self, name: String, oid: String, kind: MetricKind, source: Source) {
        self.push(Definition { name, oid, kind, source, every: 1, initial: 0, resets: false });
    }

    fn push(&mut self, definition: Definition) {
        self.by_name.insert(definition.name.clone(), self.all.len());
        self.all.push(definition);
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    fn add_server(&mut self) {
        for (name, oid, kind, source) in [
            ("core.routed_signals", "5.1", Counter, Source::Absent),
            ("core.unrouted_signals", "5.2", Counter, Source::Absent),
            ("core.busy_workers", "5.3", Gauge, Source::BusyWorkers),
            ("core.idle_workers", "5.4", Gauge, Source::IdleWorkers),
            ("core.overloaded", "5.5", Counter, Source::Overloaded),
        ] {
            self.add(name.to_owned(), oid.to_owned(), kind, source);
        }
    }

    /// Worker 0 stands for all of them, and of these uWSGI counts only the requests.
    fn add_worker(&mut self, worker: u32, cores: usize) {
        for (name, oid, kind, figure) in WORKER {
            let source = match (worker, figure) {
                (0, WorkerFigure::Requests) => Source::TotalRequests,
                (0, _) => Source::Absent,
                _ => Source::Worker(worker, figure),
            };
            self.add(format!("worker.{worker}.{name}"), format!("3.{worker}.{oid}"), kind, source);
        }
        for core in 0..cores {
            for (name, oid, figure) in CORE {
                let source = match figure {
                    Some(figure) => Source::Core(worker, core, figure),
                    // Exceptions are counted by worker, and this is all of it.
                    None if name == "exceptions" && cores == 1 => {
                        Source::Worker(worker, WorkerFigure::Exceptions)
                    }
                    None => Source::Absent,
                };
                let name = format!("worker.{worker}.core.{core}.{name}");
                self.add(name, format!("3.{worker}.2.{core}.{oid}"), Counter, source);
            }
        }
    }

    fn add_totals(&mut self, workers: u32) {
        for (name, oid, kind, derived, part) in TOTALS {
            let parts = (1..=workers).filter_map(|worker| self.find(&format!("worker.{worker}.{part}")));
            let source = Source::Derived(derived, parts.collect());
            self.add(name.to_owned(), format!("5.{oid}"), kind, source);
        }
    }

    fn add_aliases(&mut self) {
        for (name, of) in [("rss_size", "core.total_rss"), ("vsz_size", "core.total_vsz")] {
            let Some(at) = self.find(of) else { continue };
            self.add(name.to_owned(), self.all[at].oid.clone(), Alias, Source::Alias(at));
        }
    }

    /// One with the name of another takes its place, as in uWSGI.
    fn add_own(&mut self, own: &OwnMetric) -> Result<(), ConfigError> {
        let place = self.find(&own.name);
        let other = |name: &String| {
            let found = self.find(name).filter(|&at| Some(at) != place);
            found.ok_or_else(|| unknown(&own.origin, "metric", name))
        };
        let read: Vec<usize> = own.collector.children().iter().map(other).collect::<Result<_, _>>()?;
        let definition = Definition {
            name: own.name.clone(),
            // An alias is the same metric.
            oid: if own.kind == Alias { self.all[read[0]].oid.clone() } else { own.oid.clone() },
            kind: own.kind,
            source: source(&own.collector, read),
            every: own.every,
            initial: own.initial,
            resets: own.resets,
        };
        match place {
            Some(at) => self.all[at] = definition,
            None => self.push(definition),
        }
        Ok(())
    }
}

fn source(collector: &Collector, read: Vec<usize>) -> Source {
    match collector {
        Collector::None => Source::Application,
        Collector::File(path, word) => Source::File(path.clone(), *word),
        Collector::Alias(_) => Source::Alias(read[0]),
        Collector::Sum(_) => Source::Derived(Derived::Sum, read),
        Collector::Accumulator(_) => Source::Derived(Derived::Accumulator, read),
        Collector::Adder(_, number) => Source::Derived(Derived::Adder(*number), read),
        Collector::Multiplier(_, number) => Source::Derived(Derived::Multiplier(*number), read),
        Collector::Average(_) => Source::Derived(Derived::Average, read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Format, load_text};

    fn load(lines: &str) -> Result<Settings, String> {
        let text = format!("[uwsgi]\nmodule = a\nsocket = :1\nenable-metrics = 1\n{lines}\n");
        load_text(Format::Ini, &text, &[]).map(|loaded| loaded.settings).map_err(|error| error.to_string())
    }

    #[test]
    fn own_metrics_read_those_before_them() {
        let lines = "metric = orders\nmetric = name=twice,collector=multiplier,children=orders,arg1n=2\n\
                     metric = name=same,alias=twice,oid=9\nmetric-threshold = key=same,value=1";
        let list = definitions(&load(lines).unwrap()).unwrap();
        let names: Vec<&str> = list.iter().rev().take(3).map(|found| found.name.as_str()).collect();
        assert_eq!(names, ["same", "twice", "orders"]);
        let at = list.len() - 3;
        assert_eq!(list[at + 1].source, Source::Derived(Derived::Multiplier(2), vec![at]));
        assert_eq!((&list[at + 2].source, list[at + 2].oid.as_str()), (&Source::Alias(at + 1), ""));
    }

    #[test]
    fn names_that_nobody_has_are_errors_with_their_line() {
        for line in [
            "metric = name=a,collector=sum,children=b",
            "metric = name=a,alias=a",
            "metric = name=rss_size,alias=rss_size",
            "metric-threshold = key=worker.2.requests,value=1",
        ] {
            let error = load(line).unwrap_err();
            assert!(error.contains("there is no metric") && error.contains(":5"), "{line}: {error}");
        }
    }

    #[test]
    fn cores_may_be_left_out_and_a_name_taken_over() {
        let plain = definitions(&load("threads = 2").unwrap()).unwrap();
        let none = definitions(&load("threads = 2\nmetrics-no-cores = 1").unwrap()).unwrap();
        assert_eq!(plain.len() - none.len(), 14);
        let taken = definitions(&load("metric = name=rss_size,type=gauge").unwrap()).unwrap();
        let found: Vec<_> = taken.iter().filter(|found| found.name == "rss_size").collect();
        assert_eq!((found.len(), &found[0].source), (1, &Source::Application));
    }
}

//! Once a second the value of each metric: from the status, from files, from other metrics.

use super::number_file;
use crate::config::uwsgi_metrics::{CoreFigure, Definition, Derived, Source, WorkerFigure};
use crate::report::json::process_of;
use crate::report::{Status, WorkerStatus, WorkerTotals};
use crate::shm::metrics::Metrics;
use crate::shm::scoreboard::Stage;

pub struct Collector {
    metrics: Vec<Collected>,
    /// Seconds in which no worker was idle.
    overloaded: i64,
    seconds: u64,
}

struct Collected {
    definition: Definition,
    /// Added to what is counted: the initial value, or what was counted before the server started.
    base: i64,
}

/// What is counted now, beside the status.
struct Workers {
    busy: i64,
    idle: i64,
}

impl Collector {
    pub fn new(definitions: Vec<Definition>) -> Collector {
        let collected = |definition: Definition| Collected { base: definition.initial, definition };
        Collector { metrics: definitions.into_iter().map(collected).collect(), overloaded: 0, seconds: 0 }
    }

    /// The metric goes on from a value that it had in another life of the server.
    pub fn restore(&mut self, at: usize, value: i64, values: &Metrics) {
        let metric = &mut self.metrics[at];
        match &metric.definition.source {
            Source::Application | Source::Derived(Derived::Accumulator, _) => values.set(at, value),
            source if counts(source) => metric.base = value,
            _ => {}
        }
    }

    pub fn collect(&mut self, status: &Status, values: &Metrics) {
        let workers = Workers::of(status);
        if workers.busy > 0 && workers.busy >= i64::from(status.instance.workers) {
            self.overloaded += 1;
        }
        self.seconds += 1;
        for at in 0..self.metrics.len() {
            // The first time all of them.
            if self.seconds == 1 || self.seconds.is_multiple_of(self.metrics[at].definition.every) {
                self.collect_one(at, status, &workers, values);
            }
        }
    }

    fn collect_one(&self, at: usize, status: &Status, workers: &Workers, values: &Metrics) {
        let Collected { definition, base } = &self.metrics[at];
        let found = match &definition.source {
            Source::Absent => 0,
            Source::BusyWorkers => workers.busy,
            Source::IdleWorkers => workers.idle,
            Source::Overloaded => self.overloaded,
            Source::TotalRequests => status.totals.counters().sums.requests as i64,
            Source::Worker(id, figure) => of_worker(status, *id, *figure),
            Source::Core(id, core, figure) => of_core(status, *id, *core, *figure),
            Source::Listener(number) => backlog(status, *number),
            Source::File(path, word) => number_file::read(path, *word).unwrap_or(0),
            Source::Derived(Derived::Accumulator, parts) => {
                return values.add(at, sum(parts, values));
            }
            Source::Derived(derived, parts) => derive(*derived, parts, values),
            Source::Application | Source::Alias(_) => return,
        };
        values.set(at, base.wrapping_add(found));
    }
}

impl Workers {
    /// Those that are to serve.
    fn of(status: &Status) -> Workers {
        let processes: Vec<&WorkerStatus> =
            (1..=status.instance.workers).filter_map(|id| process_of(status, id)).collect();
        let is_busy =
            |process: &&&WorkerStatus| process.on_scoreboard.cores.iter().any(|core| core.current.is_some());
        let busy = processes.iter().filter(is_busy).count();
        let ready = processes.iter().filter(|process| process.on_scoreboard.stage == Stage::Ready).count();
        Workers { busy: busy as i64, idle: ready.saturating_sub(busy) as i64 }
    }
}

/// Does it only grow while the server runs?
fn counts(source: &Source) -> bool {
    use WorkerFigure::{Exceptions, Requests, Respawns, RunningTime};
    match source {
        Source::Overloaded | Source::TotalRequests | Source::Core(..) => true,
        Source::Worker(_, figure) => {
            matches!(figure, Requests | Exceptions | Respawns | RunningTime | WorkerFigure::BytesSent)
        }
        _ => false,
    }
}

fn of_worker(status: &Status, id: u32, figure: WorkerFigure) -> i64 {
    let none = WorkerTotals::default();
    let totals = status.totals.workers.iter().find(|totals| totals.id == id).unwrap_or(&none);
    let process = process_of(status, id);
    let value = match figure {
        WorkerFigure::Requests => totals.counters.sums.requests,
        WorkerFigure::RequestsOfProcess => process.map_or(0, |process| process.on_scoreboard.requests),
        WorkerFigure::Exceptions => totals.counters.sums.exceptions,
        WorkerFigure::Respawns => totals.spawns,
        WorkerFigure::AverageTime => totals.average_us,
        WorkerFigure::BytesSent => totals.counters.bytes_sent(),
        WorkerFigure::Resident => process.map_or(0, |process| process.memory.resident),
        WorkerFigure::AddressSpace => process.map_or(0, |process| process.memory.address_space),
        WorkerFigure::RunningTime => totals.counters.of_cores().running_us,
    };
    value as i64
}

fn of_core(status: &Status, id: u32, core: usize, figure: CoreFigure) -> i64 {
    let totals = status.totals.workers.iter().find(|totals| totals.id == id);
    let Some(counters) = totals.and_then(|totals| totals.counters.cores.get(core)) else { return 0 };
    let value = match figure {
        CoreFigure::Requests => counters.requests,
        CoreFigure::WriteErrors => counters.write_errors,
        CoreFigure::StaticRequests => counters.static_requests,
        CoreFigure::ReadErrors => counters.read_errors,
    };
    value as i64
}

/// A listener of the settings may stand for several sockets: the fullest one counts.
fn backlog(status: &Status, number: usize) -> i64 {
    let mine = status.listeners.iter().filter(|listener| listener.number == number);
    mine.filter_map(|listener| listener.waiting).max().map_or(0, i64::from)
}

fn sum(parts: &[usize], values: &Metrics) -> i64 {
    parts.iter().fold(0, |sum: i64, &at| sum.wrapping_add(values.get(at)))
}

fn derive(derived: Derived, parts: &[usize], values: &Metrics) -> i64 {
    let sum = sum(parts, values);
    match derived {
        Derived::Sum | Derived::Accumulator => sum,
        Derived::Adder(number) => sum.wrapping_add(number),
        Derived::Multiplier(number) => sum.wrapping_mul(number),
        Derived::Average => sum.checked_div(parts.len() as i64).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::uwsgi_metrics::definitions;
    use crate::config::{Format, load_text};
    use crate::master::server::tests::{add_worker, serving};
    use crate::master::{metrics, status};
    use crate::supervise::Children;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn values_come_from_the_status_and_from_each_other() {
        let text = "[uwsgi]\nmodule = a\nsocket = :1\nprocesses = 2\nmetric = orders\n\
                    metric = name=sum,collector=sum,children=worker.1.requests;orders,initial_value=100\n\
                    metric = name=twice,collector=multiplier,children=sum,arg1n=2\n\
                    metric = name=more,collector=adder,children=orders,arg1n=-1\n\
                    metric = name=mean,collector=avg,children=sum;orders\n\
                    metric = name=all,collector=accumulator,children=orders,initial_value=1\n\
                    metric = name=rare,collector=sum,children=orders,freq=3\n";
        let settings = load_text(Format::Ini, text, &[]).unwrap().settings;
        let mut collector = Collector::new(definitions(&settings).unwrap());
        let values = metrics::values(&settings).unwrap();
        let (server, mut children) = (serving(settings), Children::default());
        add_worker(&server, &mut children, 1, 0);
        server.accounts.borrow_mut().enter_spawn(1, 0);
        server.scoreboard().worker(0).requests().store(7, Relaxed);
        let at = |name| values.find(name).unwrap();
        collector.restore(at("worker.1.requests"), 1000, &values);
        collector.restore(at("core.idle_workers"), 1000, &values);
        collector.restore(at("orders"), 5, &values);
        let mut look = || {
            collector.collect(&status::of(&server, &children), &values);
            [
                "worker.1.requests",
                "orders",
                "sum",
                "twice",
                "more",
                "mean",
                "all",
                "rare",
                "core.idle_workers",
            ]
            .map(|name| values.get(values.find(name).unwrap()))
        };
        assert_eq!(look(), [1007, 5, 1112, 2224, 4, 558, 6, 5, 1]);
        values.add(at("orders"), 1);
        assert_eq!(look(), [1007, 6, 1113, 2226, 5, 559, 12, 5, 1]);
        assert_eq!(look(), [1007, 6, 1113, 2226, 5, 559, 18, 6, 1]);
    }
}

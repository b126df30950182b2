//! Each worker for itself. The names are others than those of the whole server, so that sums over a name stay right.

use super::super::{Status, WorkerStatus, WorkerTotals};
use super::text::{Exposition, Kind, Label, Seconds};
use super::{busy, push_histogram};
use Kind::{Counter, Gauge};
use std::fmt::Display;

pub fn push(text: &mut Exposition, status: &Status) {
    let ids: Vec<String> = status.totals.workers.iter().map(|worker| worker.id.to_string()).collect();
    let mut each = Each { text, status, ids: &ids };
    each.push_counters();
    each.push_gauges();
    let labelled = ids.iter().zip(&status.totals.workers);
    let all: Vec<(Vec<Label<'_>>, _)> =
        labelled.map(|(id, worker)| (vec![("worker", id.as_str())], &worker.counters)).collect();
    let help = "As rwsgi_request_duration_seconds, for each worker.";
    push_histogram(
        each.text,
        "rwsgi_worker_request_duration_seconds",
        help,
        &all,
        &status.instance.bounds_us,
    );
}

struct Each<'a> {
    text: &'a mut Exposition,
    status: &'a Status,
    /// Numbers of workers, for labels.
    ids: &'a [String],
}

impl Each<'_> {
    fn family<T: Display>(&mut self, name: &str, kind: Kind, help: &str, of: impl Fn(&WorkerTotals) -> T) {
        self.text.family(name, kind, help);
        for (id, worker) in self.ids.iter().zip(&self.status.totals.workers) {
            self.text.sample(name, &[("worker", id)], of(worker));
        }
    }

    fn push_counters(&mut self) {
        let help = "Requests that a worker has run.";
        self.family("rwsgi_worker_requests_total", Counter, help, |worker| worker.counters.sums.requests);
        let help = "Time that the cores of a worker have spent on requests.";
        self.family("rwsgi_worker_busy_seconds_total", Counter, help, |worker| {
            Seconds(worker.counters.of_cores().running_us)
        });
        let help = "Exceptions that applications did not catch.";
        self.family("rwsgi_worker_exceptions_total", Counter, help, |worker| worker.counters.sums.exceptions);
        let help = "Clients that were gone before they had all of their answer.";
        self.family("rwsgi_worker_disconnects_total", Counter, help, |worker| {
            worker.counters.sums.gone_clients
        });
        let help = "Bytes of answers.";
        self.family("rwsgi_worker_sent_bytes_total", Counter, help, |worker| worker.counters.bytes_sent());
        let help = "Processes that a worker has had.";
        self.family("rwsgi_worker_spawns_total", Counter, help, |worker| worker.spawns);
        let help = "Processes of a worker that harakiri has killed.";
        self.family("rwsgi_worker_harakiri_total", Counter, help, |worker| worker.harakiri);
    }

    fn push_gauges(&mut self) {
        let status = self.status;
        let sum = |id: u32, of: &dyn Fn(&WorkerStatus) -> u64| -> u64 {
            let mine = status.workers.iter().filter(|worker| worker.on_scoreboard.id == u64::from(id));
            mine.map(of).sum()
        };
        let help = "Requests that a worker runs now.";
        self.family("rwsgi_worker_cores_busy", Gauge, help, |worker| sum(worker.id, &|one| busy(one) as u64));
        let help = "Requests that have come to a worker and are not begun.";
        self.family("rwsgi_worker_requests_waiting", Gauge, help, |worker| {
            sum(worker.id, &|one| one.on_scoreboard.waiting + one.on_scoreboard.mailbox_len)
        });
        let help = "Memory of a worker in RAM.";
        self.family("rwsgi_worker_resident_memory_bytes", Gauge, help, |worker| {
            sum(worker.id, &|one| one.memory.resident)
        });
        let help = "When the process of a worker was started, in seconds since 1970.";
        self.family("rwsgi_worker_start_time_seconds", Gauge, help, |worker| worker.last_spawn);
    }
}

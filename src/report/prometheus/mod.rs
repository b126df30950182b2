//! The status as metrics for Prometheus. docs/metrics.md has each of them.

mod each;
mod text;

pub use text::Format;

use super::{MemoryStatus, Status, WorkerStatus};
use crate::shm::scoreboard::counters::Classes;
use crate::shm::scoreboard::{BUCKETS, Counters, Phase, REFUSALS, Stage};
use Kind::{Counter, Gauge, Histogram};
use text::{Exposition, Kind, Label, Seconds};

/// Names of the classes of statuses.
const CLASSES: [&str; 5] = ["2xx", "3xx", "4xx", "5xx", "other"];
/// Names of the states of connections that wait.
const CONNECTIONS: [&str; 4] = ["idle", "reading", "sending", "lingering"];

/// `each_worker`: with each worker for itself, too.
pub fn render(status: &Status, format: Format, each_worker: bool) -> String {
    let mut text = Exposition::new(format);
    let counters = status.totals.counters();
    push_server(&mut text, status);
    push_processes(&mut text, status);
    push_requests(&mut text, status, &counters);
    push_times(&mut text, status, &counters);
    push_failures(&mut text, &counters);
    push_connections(&mut text, status, &counters);
    push_listeners(&mut text, status);
    push_memory(&mut text, status);
    push_own(&mut text, status);
    if each_worker {
        each::push(&mut text, status);
    }
    text.end()
}

// ── the server ──

fn push_server(text: &mut Exposition, status: &Status) {
    text.family("rwsgi_build_info", Gauge, "The version that runs; always 1.");
    text.sample("rwsgi_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    let help = "When the server started, in seconds since 1970.";
    text.single("rwsgi_start_time_seconds", Gauge, help, Seconds(status.instance.started_wall_us));
    text.family("rwsgi_phase", Gauge, "1 for what the server does now, 0 for what it could.");
    for phase in ["starting", "serving", "reloading", "stopping"] {
        let is_it = status.phase.eq_ignore_ascii_case(phase);
        text.sample("rwsgi_phase", &[("phase", phase)], u8::from(is_it));
    }
    text.single("rwsgi_paused", Gauge, "1 while workers accept nothing.", u8::from(status.is_paused));
    let help = "The newest generation, complete or not: 1, and one more with each reload.";
    text.single("rwsgi_generation", Gauge, help, status.generation);
    push_by(text, "rwsgi_reloads_total", "Reloads, by result.", "result", &status.totals.reloads);
    let help = "Log lines that were dropped because nobody took them.";
    let log = status.instance.log;
    text.single("rwsgi_dropped_log_lines_total", Counter, help, log.dropped_lines);
    let help = "Time that processes have spent on writing the log.";
    text.single("rwsgi_log_write_seconds_total", Counter, help, Seconds(log.write_us));
    let help = "Age of the oldest write to the log that has not come back; 0: there is none.";
    text.single("rwsgi_log_stalled_seconds", Gauge, help, Seconds(log.stalled_us));
}

/// A counter with one label.
fn push_by(text: &mut Exposition, name: &str, help: &str, label: &str, counts: &[(&'static str, u64)]) {
    text.family(name, Counter, help);
    counts.iter().for_each(|(value, count)| text.sample(name, &[(label, value)], *count));
}

/// Those that the application sets.
fn push_own(text: &mut Exposition, status: &Status) {
    let mut own = status.metrics.iter().filter(|metric| metric.is_settable).peekable();
    if own.peek().is_some() {
        text.family("rwsgi_user_metric", Gauge, "The application's own metrics (option metric), by name.");
        own.for_each(|metric| text.sample("rwsgi_user_metric", &[("name", &metric.name)], metric.value));
    }
}

// ── processes ──

/// How far a worker has come, for a label.
fn stage(worker: &WorkerStatus) -> &'static str {
    match (&worker.leaving, worker.on_scoreboard.stage) {
        (Some(_), _) | (None, Stage::Retiring | Stage::Gone) => "leaving",
        (None, Stage::Booting) => "booting",
        (None, Stage::Ready) => "ready",
    }
}

fn busy(worker: &WorkerStatus) -> usize {
    worker.on_scoreboard.cores.iter().filter(|core| core.phase != Phase::Idle).count()
}

fn push_processes(text: &mut Exposition, status: &Status) {
    text.family("rwsgi_workers", Gauge, "Worker processes, by how far they have come.");
    for state in ["booting", "ready", "leaving"] {
        let count = status.workers.iter().filter(|worker| stage(worker) == state).count();
        text.sample("rwsgi_workers", &[("state", state)], count);
    }
    let ready = status.workers.iter().filter(|worker| stage(worker) == "ready");
    let cores: usize = ready.map(|worker| worker.on_scoreboard.cores.len()).sum();
    let help = "Requests that the workers which are ready can run at the same time.";
    text.single("rwsgi_cores", Gauge, help, cores);
    let help = "Requests that run now.";
    text.single("rwsgi_cores_busy", Gauge, help, status.workers.iter().map(busy).sum::<usize>());
    let spawns: u64 = status.totals.workers.iter().map(|worker| worker.spawns).sum();
    text.single("rwsgi_spawns_total", Counter, "Worker processes that were started.", spawns);
    let ends = &status.totals.ends;
    push_by(text, "rwsgi_process_ends_total", "Worker processes that have ended, by reason.", "reason", ends);
    let help = "Workers that were replaced while all was well, by reason.";
    push_by(text, "rwsgi_recyclings_total", help, "reason", &status.totals.recyclings);
    let harakiri: u64 = status.totals.workers.iter().map(|worker| worker.harakiri).sum();
    let help = "Worker processes that were killed because a request ran longer than harakiri allows.";
    text.single("rwsgi_harakiri_total", Counter, help, harakiri);
}

fn push_memory(text: &mut Exposition, status: &Status) {
    let sum =
        |of: fn(&MemoryStatus) -> u64| status.workers.iter().map(|worker| of(&worker.memory)).sum::<u64>();
    let help = "Memory of all workers in RAM; what they share is counted in each.";
    text.single("rwsgi_resident_memory_bytes", Gauge, help, sum(|memory| memory.resident));
    let help = "The same, what they share divided among those who share it; 0 without memory-report.";
    text.single("rwsgi_proportional_memory_bytes", Gauge, help, sum(|memory| memory.proportional));
}

// ── requests ──

/// Listeners by name: several sockets may have the same.
fn by_name<T>(status: &Status, of: impl Fn(usize) -> T, add: impl Fn(&mut T, T)) -> Vec<(&str, T)> {
    let mut named: Vec<(&str, T)> = Vec::new();
    for (index, listener) in status.listeners.iter().enumerate() {
        match named.iter_mut().find(|(name, _)| *name == listener.name) {
            Some((_, sum)) => add(sum, of(index)),
            None => named.push((&listener.name, of(index))),
        }
    }
    named
}

fn push_requests(text: &mut Exposition, status: &Status, counters: &Counters) {
    let name = "rwsgi_requests_total";
    let help = "Requests that were answered, by listener and class of the status; those that the server answers itself \
                among them.";
    text.family(name, Counter, help);
    let of = |index: usize| counters.answers.get(index).copied().unwrap_or_default();
    let add =
        |sum: &mut Classes, more: Classes| sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    for (listener, classes) in by_name(status, of, add) {
        for (class, count) in CLASSES.iter().zip(classes) {
            text.sample(name, &[("listener", listener), ("status", class)], count);
        }
    }
    let cores = counters.of_cores();
    let help = "Requests that were answered with a file, or because of one, without the application.";
    text.single("rwsgi_static_requests_total", Counter, help, cores.static_requests);
    let help = "Answers of the server's own to what no application was asked: probes, redirects, refusals.";
    text.single("rwsgi_canned_answers_total", Counter, help, counters.sums.canned);
    let help = "Requests that have come and are not begun.";
    text.single("rwsgi_requests_waiting", Gauge, help, waiting(status));
    let help = "Bytes of requests, heads and bodies.";
    text.single("rwsgi_received_bytes_total", Counter, help, cores.bytes_received);
    let help = "Bytes of answers, heads and bodies.";
    text.single("rwsgi_sent_bytes_total", Counter, help, counters.bytes_sent());
}

/// Requests that workers have, or the master holds, and that are not begun.
pub(super) fn waiting(status: &Status) -> u64 {
    let of = |worker: &WorkerStatus| worker.on_scoreboard.waiting + worker.on_scoreboard.mailbox_len;
    status.workers.iter().map(of).sum::<u64>() + status.instance.held
}

fn push_times(text: &mut Exposition, status: &Status, counters: &Counters) {
    let help = "From the beginning of requests until their answers were whole.";
    push_histogram(
        text,
        "rwsgi_request_duration_seconds",
        help,
        &[(vec![], counters)],
        &status.instance.bounds_us,
    );
    let cores = counters.of_cores();
    let mut single = |name, help, us| text.single(name, Counter, help, Seconds(us));
    single("rwsgi_busy_seconds_total", "Time that cores have spent on requests.", cores.running_us);
    let help = "Of that, time in the application, without waits for clients.";
    single("rwsgi_application_seconds_total", help, counters.application_us());
    let help = "Of that, waits for clients that took nothing of their answers.";
    single("rwsgi_sending_wait_seconds_total", help, cores.sending_us);
    let help = "Of that, waits for clients that sent nothing of their bodies.";
    single("rwsgi_receiving_wait_seconds_total", help, cores.receiving_us);
    let help = "Time that requests have waited in workers before they were begun.";
    single("rwsgi_queue_seconds_total", help, counters.sums.waited_us);
}

/// Histograms of several counters, each with its labels.
fn push_histogram(
    text: &mut Exposition,
    name: &str,
    help: &str,
    all: &[(Vec<Label<'_>>, &Counters)],
    bounds_us: &[u64],
) {
    text.family(name, Histogram, help);
    let (bucket, sum, count) = (format!("{name}_bucket"), format!("{name}_sum"), format!("{name}_count"));
    for (labels, counters) in all {
        let bounds = bounds_us.iter().take(BUCKETS - 1).map(|&us| Seconds(us).to_string());
        let mut below = 0;
        for (bound, here) in bounds.chain(["+Inf".to_owned()]).zip(counters.latency) {
            below += here;
            text.sample(&bucket, &[&labels[..], &[("le", &bound)]].concat(), below);
        }
        text.sample(&sum, labels, Seconds(counters.latency_us()));
        text.sample(&count, labels, below);
    }
}

fn push_failures(text: &mut Exposition, counters: &Counters) {
    let sums = &counters.sums;
    let help = "Exceptions that applications did not catch.";
    text.single("rwsgi_exceptions_total", Counter, help, sums.exceptions);
    let help = "Clients that were gone before they had all of their answer, or took too long for it.";
    text.single("rwsgi_disconnects_total", Counter, help, sums.gone_clients);
    let help = "Requests whose body did not come as announced.";
    text.single("rwsgi_broken_bodies_total", Counter, help, counters.of_cores().read_errors);
    let name = "rwsgi_refused_requests_total";
    let help = "Requests that were refused before an application saw them, by status; none: closed without an answer.";
    text.family(name, Counter, help);
    for (index, count) in counters.refusals.iter().enumerate() {
        let status = match REFUSALS.get(index) {
            Some(0) => "none".to_owned(),
            Some(status) => status.to_string(),
            None => "other".to_owned(),
        };
        text.sample(name, &[("status", &status)], count);
    }
}

// ── connections ──

fn push_connections(text: &mut Exposition, status: &Status, counters: &Counters) {
    let name = "rwsgi_connections";
    text.family(name, Gauge, "Connections of clients, by what they do.");
    for (state, label) in CONNECTIONS.iter().enumerate() {
        let count: u64 = status.workers.iter().map(|worker| worker.on_scoreboard.connections[state]).sum();
        text.sample(name, &[("state", label)], count);
    }
    let running: usize = status.workers.iter().map(busy).sum();
    text.sample(name, &[("state", "running")], running);
    let sums = &counters.sums;
    let help = "Connections that went from one worker to another, counted by who gave and who took.";
    let both = [("given", sums.given), ("taken", sums.taken)];
    push_by(text, "rwsgi_handovers_total", help, "side", &both);
    text.single("rwsgi_tls_handshakes_total", Counter, "TLS handshakes that were done.", sums.tls_handshakes);
    let help = "TLS sessions that did not come about, or broke.";
    text.single("rwsgi_tls_failures_total", Counter, help, sums.tls_failures);
}

fn push_listeners(text: &mut Exposition, status: &Status) {
    let add = |sum: &mut Option<u32>, more: Option<u32>| *sum = sum.zip(more).map(|(sum, more)| sum + more);
    let mut push = |name, help, of: &dyn Fn(usize) -> Option<u32>| {
        text.family(name, Gauge, help);
        for (listener, value) in by_name(status, of, add) {
            value.into_iter().for_each(|value| text.sample(name, &[("listener", listener)], value));
        }
    };
    let help = "Connections that nobody has accepted yet, where the kernel says how many.";
    push("rwsgi_listen_queue", help, &|index| status.listeners[index].waiting);
    let help = "How many connections may wait there.";
    push("rwsgi_listen_queue_limit", help, &|index| {
        Some(status.listeners[index].most).filter(|&most| most > 0)
    });
}

#[cfg(test)]
mod tests;

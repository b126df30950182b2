//! uWSGI's stats document: its keys, types and units in its order, and what rwsgi has beside it under a key of its own at
//! the end. What rwsgi does not have is 0 or empty.

use super::json_writer::JsonWriter;
use super::{ListenerStatus, MetricStatus, Status, WorkerStatus, WorkerTotals};
use crate::shm::scoreboard::counters::CoreCounters;
use crate::shm::scoreboard::{Command, CoreSnapshot, CurrentRequest, Stage};
use std::time::Duration;

/// What is shown, and how.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    pub minified: bool,
    pub cores: bool,
    pub metrics: bool,
}

pub fn render(status: &Status, shown: Shown) -> String {
    let mut json = JsonWriter::new(shown.minified);
    json.object(|json| {
        push_instance(json, status);
        json.list("locks", |_| {});
        if shown.metrics && !status.metrics.is_empty() {
            json.nested("metrics", |json| status.metrics.iter().for_each(|metric| push_metric(json, metric)));
        }
        json.list("sockets", |json| status.listeners.iter().for_each(|listener| push_socket(json, listener)));
        json.list("workers", |json| {
            (1..=status.instance.workers).for_each(|id| push_worker(json, status, id, shown));
        });
        json.nested("rwsgi", |json| super::own::push(json, status, shown));
    });
    json.finish()
}

fn push_instance(json: &mut JsonWriter, status: &Status) {
    let (instance, queue) = (&status.instance, longest_queue(&status.listeners));
    json.text("version", env!("CARGO_PKG_VERSION"));
    json.number("listen_queue", queue);
    json.number("listen_queue_errors", 0);
    json.number("signal_queue", 0);
    json.number("load", queue);
    json.number("pid", instance.pid);
    json.number("uid", instance.uid);
    json.number("gid", instance.gid);
    json.text("cwd", &instance.cwd);
}

fn push_metric(json: &mut JsonWriter, metric: &MetricStatus) {
    json.nested(&metric.name, |json| {
        json.number("type", metric.kind as u8);
        json.text("oid", &metric.oid);
        json.number("value", metric.value);
    });
}

fn longest_queue(listeners: &[ListenerStatus]) -> u32 {
    listeners.iter().filter_map(|listener| listener.waiting).max().unwrap_or(0)
}

fn push_socket(json: &mut JsonWriter, listener: &ListenerStatus) {
    json.object(|json| {
        json.text("name", &listener.name);
        json.text("proto", listener.protocol);
        json.number("queue", listener.waiting.unwrap_or(0));
        json.number("max_queue", listener.most);
        json.bit("shared", false);
        json.bit("can_offload", false);
    });
}

/// The process that stands for a worker's number: of several, while one takes the place of another, the newest that
/// serves.
pub fn process_of(status: &Status, id: u32) -> Option<&WorkerStatus> {
    let mine = status.workers.iter().filter(|worker| worker.on_scoreboard.id == u64::from(id));
    mine.max_by_key(|worker| {
        let shown = &worker.on_scoreboard;
        (worker.leaving.is_none(), shown.stage == Stage::Ready, shown.generation)
    })
}

fn push_worker(json: &mut JsonWriter, status: &Status, id: u32, shown: Shown) {
    let none = WorkerTotals { id, ..WorkerTotals::default() };
    let totals = status.totals.workers.iter().find(|totals| totals.id == id).unwrap_or(&none);
    let process = process_of(status, id);
    json.object(|json| {
        push_worker_counts(json, status, totals, process);
        json.list("apps", |json| push_apps(json, status, totals));
        if shown.cores {
            json.list("cores", |json| {
                (0..status.instance.threads).for_each(|core| push_core(json, status, totals, process, core));
            });
        }
    });
}

fn push_worker_counts(
    json: &mut JsonWriter,
    status: &Status,
    totals: &WorkerTotals,
    process: Option<&WorkerStatus>,
) {
    let counters = &totals.counters;
    json.number("id", totals.id);
    json.number("pid", process.map_or(0, |process| process.on_scoreboard.pid));
    json.bit("accepting", process.is_some_and(is_accepting));
    json.number("requests", counters.sums.requests);
    json.number("delta_requests", process.map_or(0, |process| process.on_scoreboard.requests));
    json.number("exceptions", counters.sums.exceptions);
    json.number("harakiri_count", totals.harakiri);
    json.number("signals", 0);
    json.number("signal_queue", 0);
    json.text("status", state(status, process));
    json.number("rss", process.map_or(0, |process| process.memory.resident));
    json.number("vsz", process.map_or(0, |process| process.memory.address_space));
    json.number("running_time", counters.of_cores().running_us);
    json.number("last_spawn", totals.last_spawn);
    json.number("respawn_count", totals.spawns);
    json.number("tx", counters.bytes_sent());
    json.number("avg_rt", totals.average_us);
}

fn is_accepting(process: &WorkerStatus) -> bool {
    process.on_scoreboard.stage == Stage::Ready && process.on_scoreboard.command == Command::Serve
}

/// uWSGI's word for what a worker does.
fn state(status: &Status, process: Option<&WorkerStatus>) -> &'static str {
    let is_busy =
        |process: &WorkerStatus| process.on_scoreboard.cores.iter().any(|core| core.current.is_some());
    match process {
        None => "cheap",
        Some(process) if process.on_scoreboard.pid == 0 => "cheap",
        Some(process) if is_busy(process) => "busy",
        Some(_) if status.is_paused => "pause",
        Some(_) => "idle",
    }
}

/// Requests are not counted by application: where there are several nobody says which has had how many.
fn push_apps(json: &mut JsonWriter, status: &Status, totals: &WorkerTotals) {
    let apps = &status.instance.apps;
    let sums = &totals.counters.sums;
    let (requests, exceptions) = if apps.len() == 1 { (sums.requests, sums.exceptions) } else { (0, 0) };
    for (id, mountpoint) in apps.iter().enumerate() {
        json.object(|json| {
            json.number("id", id);
            json.number("modifier1", 0);
            json.text("mountpoint", mountpoint);
            json.number("startup_time", 0);
            json.number("requests", requests);
            json.number("exceptions", exceptions);
            json.text("chdir", "");
        });
    }
}

fn push_core(
    json: &mut JsonWriter,
    status: &Status,
    totals: &WorkerTotals,
    process: Option<&WorkerStatus>,
    core: usize,
) {
    let none = CoreCounters::default();
    let counters = totals.counters.cores.get(core).unwrap_or(&none);
    let now: Option<&CoreSnapshot> = process.and_then(|process| process.on_scoreboard.cores.get(core));
    let current = now.and_then(|core| core.current.as_ref());
    json.object(|json| {
        json.number("id", core);
        json.number("requests", counters.requests);
        json.number("static_requests", counters.static_requests);
        json.number("routed_requests", 0);
        json.number("offloaded_requests", 0);
        json.number("write_errors", counters.write_errors);
        json.number("read_errors", counters.read_errors);
        json.bit("in_request", current.is_some());
        json.list("vars", |json| current.into_iter().for_each(|current| push_vars(json, current)));
        json.nested("req_info", |json| {
            if let Some(current) = current {
                json.number("request_start", status.wall_at(current.started_us).as_secs());
            }
        });
    });
}

/// What the scoreboard has of the request's variables; as from uWSGI, an empty string ends them.
fn push_vars(json: &mut JsonWriter, current: &CurrentRequest) {
    let target = plain(&current.target);
    let query = target.split_once('?').map_or("", |(_, query)| query);
    json.string(&format!("REQUEST_METHOD={}", plain(&current.method)));
    json.string(&format!("REQUEST_URI={target}"));
    json.string(&format!("QUERY_STRING={query}"));
    json.string("");
}

/// The scoreboard escapes what is not ASCII, and quotes (`escape_ascii`), for the log; JSON has escapes of its own.
pub(super) fn plain(escaped: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(escaped.len()), escaped.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, used) = match (byte, after) {
            (b'\\', [b'x', high, low, ..]) => (hex(*high) << 4 | hex(*low), 4),
            (b'\\', [b't', ..]) => (b'\t', 2),
            (b'\\', [b'r', ..]) => (b'\r', 2),
            (b'\\', [b'n', ..]) => (b'\n', 2),
            (b'\\', [other, ..]) => (*other, 2),
            _ => (byte, 1),
        };
        bytes.push(byte);
        rest = &rest[used..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).unwrap_or(0) as u8
}

impl Status {
    /// When something was on the clock of the wall, from when it was on the monotonic one.
    pub(super) fn wall_at(&self, monotonic_us: u64) -> Duration {
        Duration::from_micros(self.instance.wall_us.saturating_sub(self.now_us.saturating_sub(monotonic_us)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::status;
    use super::*;
    use crate::base::metric::MetricKind;

    const SHOWN: Shown = Shown { minified: true, cores: true, metrics: true };

    #[test]
    fn texts_are_what_they_were() {
        for bytes in [&b"/a'b\"c\\d?e=\xc3\xa9"[..], b"/\t\r\n\x01\x7f", b"", b"\\", b"/\\x41"] {
            assert_eq!(plain(&bytes.escape_ascii().to_string()), String::from_utf8_lossy(bytes));
        }
        assert_eq!(plain(&b"/\xff".escape_ascii().to_string()), "/\u{fffd}");
        // Nothing that the scoreboard writes, but nothing that breaks either.
        assert_eq!(plain("a\\"), "a\\");
        assert_eq!(plain("\\x4"), "x4");
    }

    #[test]
    fn a_worker_without_a_process_is_cheap() {
        let text = render(&status(), SHOWN);
        let workers: Vec<&str> =
            text.split("{\"id\":").filter(|part| part.contains("\"delta_requests\"")).collect();
        assert_eq!(workers.len(), 3);
        assert!(workers[0].starts_with("1,\"pid\":11,\"accepting\":1,"), "{}", workers[0]);
        assert!(workers[0].contains("\"status\":\"busy\""));
        assert!(workers[1].contains("\"status\":\"idle\"") && workers[1].contains("\"accepting\":0"));
        assert!(workers[2].starts_with("3,\"pid\":0,\"accepting\":0,\"requests\":0,"));
        assert!(workers[2].contains("\"status\":\"cheap\""));
    }

    #[test]
    fn metrics_are_objects_by_name() {
        let mut status = status();
        assert!(!render(&status, SHOWN).contains("\"metrics\""));
        let (name, oid, kind) = ("core.total_rss".into(), "5.101".into(), MetricKind::Gauge);
        status.metrics = vec![MetricStatus { name, oid, kind, value: -7, is_settable: false }];
        let text = render(&status, SHOWN);
        let expected = "\"locks\":[],\"metrics\":{\"core.total_rss\":{\"type\":1,\"oid\":\"5.101\",\"value\":-7}},\"sockets\"";
        assert!(text.contains(expected), "{text}");
        assert!(!render(&status, Shown { metrics: false, ..SHOWN }).contains("\"metrics\""));
    }

    #[test]
    fn what_runs_is_shown() {
        let text = render(&status(), SHOWN);
        let vars = "\"in_request\":1,\"vars\":[\"REQUEST_METHOD=GET\",\"REQUEST_URI=/slow?a=b\",\"QUERY_STRING=a=b\",\"\"],\
                    \"req_info\":{\"request_start\":1790000008}";
        assert!(text.contains(vars), "{text}");
        assert!(text.contains("\"in_request\":0,\"vars\":[],\"req_info\":{}"));
        let without = render(&status(), Shown { cores: false, ..SHOWN });
        assert!(
            !without.contains("in_request") && !without.contains("/slow") && !without.contains("\"cores\"")
        );
    }
}

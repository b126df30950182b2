//! What rwsgi says in the stats document beside what uWSGI has: each process, those that leave among them; how long
//! requests take and wait.

use super::json::{Shown, plain};
use super::json_writer::JsonWriter;
use super::{ListenerStatus, Status, WorkerStatus};
use crate::shm::scoreboard::{CoreSnapshot, CurrentRequest, Stage};

pub fn push(json: &mut JsonWriter, status: &Status, shown: Shown) {
    json.text("version", env!("CARGO_PKG_VERSION"));
    json.text("phase", &status.phase.to_lowercase());
    json.number("paused", status.is_paused);
    json.number("generation", status.generation);
    json.number("uptime_s", seconds(status.now_us.saturating_sub(status.started_us)));
    json.number("now", seconds(status.instance.wall_us));
    push_latency(json, status);
    json.nested("queue", |json| {
        let waiting: u64 = status.workers.iter().map(|worker| worker.on_scoreboard.waiting).sum();
        json.number("waited_ms", status.totals.counters().sums.waited_us / 1000);
        json.number("waiting", waiting);
    });
    json.nested("log", |json| {
        let log = status.instance.log;
        json.number("dropped_lines", log.dropped_lines);
        json.number("write_ms", log.write_us / 1000);
        json.number("stalled_ms", log.stalled_us / 1000);
    });
    let totals = &status.totals;
    for (key, counts) in
        [("reloads", &totals.reloads), ("ends", &totals.ends), ("recyclings", &totals.recyclings)]
    {
        json.nested(key, |json| counts.iter().for_each(|(reason, count)| json.number(reason, *count)));
    }
    json.list("workers", |json| {
        status.workers.iter().for_each(|worker| push_process(json, status, worker, shown));
    });
    json.list("listeners", |json| status.listeners.iter().for_each(|listener| push_listener(json, listener)));
}

/// With three decimals.
fn seconds(us: u64) -> String {
    format!("{}.{:03}", us / 1_000_000, us / 1000 % 1000)
}

/// Milliseconds with what is below them, without trailing zeros.
fn milliseconds(us: u64) -> f64 {
    us as f64 / 1000.0
}

/// How many finished requests took up to so long, each bucket for itself; the last has no bound.
fn push_latency(json: &mut JsonWriter, status: &Status) {
    let counters = status.totals.counters();
    let bounds = &status.instance.bounds_us;
    json.nested("latency", |json| {
        json.list("bounds_ms", |json| bounds.iter().for_each(|&bound| json.value(milliseconds(bound))));
        let counts = &counters.latency[..counters.latency.len().min(bounds.len() + 1)];
        json.list("counts", |json| counts.iter().for_each(|count| json.value(count)));
        json.number("sum_ms", milliseconds(counters.latency_us()));
    });
}

fn push_process(json: &mut JsonWriter, status: &Status, worker: &WorkerStatus, shown: Shown) {
    let on_scoreboard = &worker.on_scoreboard;
    json.object(|json| {
        json.number("id", on_scoreboard.id);
        json.number("pid", on_scoreboard.pid);
        json.number("generation", on_scoreboard.generation);
        json.text("stage", stage(on_scoreboard.stage));
        match &worker.leaving {
            Some(why) => json.text("leaving", why),
            None => json.number("leaving", "null"),
        }
        json.number("busy", on_scoreboard.cores.iter().filter(|core| core.current.is_some()).count());
        json.number("waiting", on_scoreboard.waiting);
        json.number("connections", on_scoreboard.connections.iter().sum::<u64>());
        json.number("requests", on_scoreboard.requests);
        json.number("waited_ms", on_scoreboard.counters.sums.waited_us / 1000);
        json.number("rss", worker.memory.resident);
        json.number("pss", worker.memory.proportional);
        json.number("uptime_s", seconds(status.now_us.saturating_sub(worker.started_us)));
        if shown.cores {
            json.list("cores", |json| {
                on_scoreboard.cores.iter().enumerate().for_each(|core| push_busy_core(json, status, core));
            });
        }
    });
}

fn push_busy_core(json: &mut JsonWriter, status: &Status, (id, core): (usize, &CoreSnapshot)) {
    let Some(CurrentRequest { method, target, started_us, request_id, .. }) = &core.current else { return };
    json.object(|json| {
        json.number("id", id);
        json.number("requests", core.requests);
        json.text("method", &plain(method));
        json.text("uri", &plain(target));
        json.number("age_ms", status.now_us.saturating_sub(*started_us) / 1000);
        json.text("request_id", request_id);
    });
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Gone => "gone",
        Stage::Booting => "booting",
        Stage::Ready => "ready",
        Stage::Retiring => "retiring",
    }
}

fn push_listener(json: &mut JsonWriter, listener: &ListenerStatus) {
    json.object(|json| {
        json.text("name", &listener.name);
        json.text("protocol", listener.protocol);
        match listener.waiting {
            Some(waiting) => json.number("queue", waiting),
            None => json.number("queue", "null"),
        }
        json.number("max_queue", listener.most);
    });
}

#[cfg(test)]
mod tests {
    use super::super::json::render;
    use super::super::tests::status;
    use super::*;

    #[test]
    fn the_last_key_is_rwsgis_own() {
        let text = render(&status(), Shown { minified: true, cores: true, metrics: false });
        let (_, own) = text.split_once(",\"rwsgi\":").unwrap();
        for expected in [
            "{\"version\":\"",
            "\"phase\":\"serving\",\"paused\":false,\"generation\":3,\"uptime_s\":8.500,\"now\":1790000009.250,",
            "\"latency\":{\"bounds_ms\":[0.5,2],\"counts\":[0,0,0],\"sum_ms\":0}",
            "\"queue\":{\"waited_ms\":0,\"waiting\":0}",
            "\"log\":{\"dropped_lines\":0,\"write_ms\":0,\"stalled_ms\":0}",
            "{\"id\":1,\"pid\":11,\"generation\":3,\"stage\":\"ready\",\"leaving\":null,\"busy\":1,",
            "\"rss\":4096,\"pss\":1024,",
            "{\"id\":1,\"requests\":0,\"method\":\"GET\",\"uri\":\"/slow?a=b\",\"age_ms\":500,\"request_id\":\"\"}",
            "\"stage\":\"booting\",\"leaving\":\"reloaded\"",
            "{\"name\":\"/run/s\",\"protocol\":\"uwsgi\",\"queue\":null,\"max_queue\":0}]}}",
        ] {
            assert!(own.contains(expected), "{expected} in {own}");
        }
    }
}

//! Samples as text for people and as lines of JSON for programs.

use super::app::App;
use super::arguments::Arguments;
use super::client::Client;
use super::document::{Document, Worker};
use super::lines::Lines;
use super::reader::{now, sample};
use super::rows::View;
use super::samples::Samples;
use super::text::escaped_json;
use crate::base::reason::reason;
use serde_json::{Value, json};
use std::io::{ErrorKind, Write, stdout};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub fn run(arguments: &Arguments) -> Result<i32, String> {
    let mut client = Client::new(arguments.address.clone());
    if arguments.json && !arguments.once {
        stream(arguments, &mut client)
    } else {
        once(arguments, &mut client)
    }
}

fn once(arguments: &Arguments, client: &mut Client) -> Result<i32, String> {
    let mut app = App::new(arguments);
    app.width = usize::MAX;
    app.samples.add(sample(client)?, Instant::now());
    if let Some(interval) = arguments.interval {
        sleep(interval);
        app.samples.add(sample(client)?, Instant::now());
    }
    print(&if arguments.json { line(&app.samples, &app.address) } else { text(&mut app) })?;
    Ok(0)
}

/// A line for each sample, and for each that failed, until the reader has gone.
fn stream(arguments: &Arguments, client: &mut Client) -> Result<i32, String> {
    let (mut samples, address) = (Samples::default(), arguments.address.to_string());
    let interval = arguments.interval.unwrap_or(Duration::from_secs(1));
    let mut next = Instant::now();
    loop {
        let line = match sample(client) {
            Ok(document) => {
                samples.add(document, Instant::now());
                line(&samples, &address)
            }
            Err(why) => as_line(&json!({"at": now(), "address": address, "error": why})),
        };
        if !print(&line)? {
            return Ok(0);
        }
        next = (next + interval).max(Instant::now());
        sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// `false`: nobody reads any more.
fn print(text: &str) -> Result<bool, String> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("the output: {}", reason(error))),
    }
}

fn text(app: &mut App) -> String {
    let head = Lines { samples: &app.samples, width: 0, utf8: false };
    let mut lines = vec![head.title(&app.address)];
    lines.extend(head.all());
    for view in [View::Workers, View::Requests] {
        app.view = view;
        let rows = app.rows();
        if view == View::Workers || !rows.is_empty() {
            lines.push(String::new());
            lines.push(app.table().heading());
            lines.extend(rows.into_iter().map(|row| row.text));
        }
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn as_line(value: &Value) -> String {
    escaped_json(&value.to_string()) + "\n"
}

fn line(samples: &Samples, address: &str) -> String {
    let Some(document) = &samples.last else { return String::new() };
    let own = document.own.as_ref();
    let latency = samples.percentiles().map(|all| {
        let [p50, p95, p99] = all.map(|latency| latency.ms());
        json!({"p50": p50, "p95": p95, "p99": p99, "since_start": samples.is_since_start()})
    });
    as_line(&json!({
        "at": now(),
        "address": address,
        "server": document.server,
        "pid": document.pid,
        "phase": own.map(|own| &own.phase),
        "generation": own.map(|own| own.generation),
        "uptime_s": own.map(|own| own.uptime_s),
        "requests": document.sum(|worker| worker.requests),
        "requests_per_s": samples.total.map(|total| total.requests),
        "tx": document.sum(|worker| worker.tx),
        "tx_per_s": samples.total.map(|total| total.tx),
        "busy": document.sum(|worker| worker.busy),
        "cores": document.cores(),
        "queue": document.queue,
        "max_queue": document.max_queue,
        "waiting": own.map(|own| own.waiting),
        "latency_ms": latency,
        "rss": document.sum(|worker| worker.rss),
        "exceptions": document.sum(|worker| worker.exceptions),
        "harakiri": document.sum(|worker| worker.harakiri),
        "workers": workers(samples, document),
    }))
}

fn workers(samples: &Samples, document: &Document) -> Vec<Value> {
    document.workers.iter().map(|worker| of_worker(samples, worker)).collect()
}

fn of_worker(samples: &Samples, worker: &Worker) -> Value {
    let running: Vec<Value> = worker
        .running()
        .into_iter()
        .map(|(core, running)| {
            json!({"core": core.id, "method": running.method, "uri": running.uri, "age_ms": running.age_ms})
        })
        .collect();
    json!({
        "id": worker.id,
        "pid": worker.pid,
        "status": worker.status,
        "requests": worker.requests,
        "requests_per_s": samples.of_workers.get(&worker.id).map(|rates| rates.requests),
        "busy": worker.busy,
        "cores": worker.cores.len(),
        "waiting": worker.waiting,
        "avg_rt_ms": worker.avg_rt as f64 / 1000.0,
        "rss": worker.rss,
        "tx": worker.tx,
        "exceptions": worker.exceptions,
        "harakiri": worker.harakiri,
        "respawns": worker.respawns,
        "running": running,
    })
}

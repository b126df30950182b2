//! What the stats server shows, and where.

use super::Table;
use crate::config::metrics;
use crate::config::row::{Arg::*, Row};
use crate::config::value::{flag, push, put, text};
use crate::config::{Draft, Origin, StatsSocket, ValueError};

pub const TABLE: Table = Table {
    theme: "Stats",
    rows: &[
        Row::works(
            "stats",
            Required,
            |d, v, _| d.stats_socket("stats", text(v)?, false),
            "give the state of the server as JSON to whoever connects to this address; 0: a free port",
        )
        .restart()
        .alias(&["stats-server"])
        .many(),
        Row::works(
            "stats-http",
            Flag,
            |d, v, _| put(&mut d.settings.instance.stats_http, flag(v)),
            "the stats server speaks HTTP",
        )
        .restart()
        .default("false"),
        Row::works(
            "stats-minified",
            Flag,
            |d, v, _| put(&mut d.settings.stats.minified, flag(v)),
            "no white space in the JSON of the stats server",
        )
        .alias(&["stats-min"])
        .default("false"),
        Row::works(
            "stats-no-cores",
            Flag,
            |d, v, _| put(&mut d.settings.stats.no_cores, flag(v)),
            "the stats server does not show the single cores",
        )
        .default("false"),
        Row::works(
            "stats-no-metrics",
            Flag,
            |d, v, _| put(&mut d.settings.stats.no_metrics, flag(v)),
            "the stats server does not show metrics",
        )
        .default("false"),
        Row::works(
            "stats-host",
            Required,
            |d, v, _| push(&mut d.settings.stats.hosts, v),
            "a name in the Host header by which the stats server may be asked",
        )
        .many(),
        Row::works(
            "metrics-socket",
            Required,
            |d, v, _| d.metrics_socket("metrics-socket", text(v)?),
            "answer /metrics over HTTP on this address, for Prometheus and the like; 0: a free port",
        )
        .restart()
        .many(),
        Row::works(
            "metrics-per-worker",
            Flag,
            |d, v, _| put(&mut d.settings.stats.metrics_per_worker, flag(v)),
            "the metrics show each worker, too",
        )
        .default("false"),
        Row::works(
            "metrics-buckets",
            Required,
            |d, v, _| put(&mut d.settings.instance.metrics_buckets, metrics::buckets(v)),
            "bounds of the histogram of request durations, in milliseconds: 1,5,25,100,500",
        )
        .restart()
        .default("0.5,1,2.5,5,10,25,50,75,100,150,250,500,750,1000,2500,5000,10000,15000,30000,60000"),
        Row::works(
            "py-tracebacker",
            Required,
            tracebacker,
            "a unix socket for each worker, this path and the worker's number, that gives its Python stacks to whoever connects",
        )
        .restart(),
        Row::works(
            "memory-report",
            Flag,
            |d, v, _| put(&mut d.settings.stats.memory_report, flag(v)),
            "the stats server looks up what memory each worker shares",
        )
        .short('m')
        .default("false"),
    ],
};

/// As in uWSGI, where it is the beginning of the names of unix sockets.
fn tracebacker(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let text = text(value)?;
    if text.starts_with(|first: char| !"/.@".contains(first)) && text.contains(':') {
        let fault = format!("\"{text}\" is no path");
        return Err(ValueError::new(
            fault,
            "write the path of a unix socket, or @name; the worker's number is added",
        ));
    }
    StatsSocket::of_worker(text, 1)?;
    draft.settings.instance.tracebacker = Some(text.to_owned());
    Ok(())
}

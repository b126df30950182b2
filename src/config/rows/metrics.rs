//! uWSGI's metrics: what is counted, kept in files, watched, and sent to others.

use super::Table;
use crate::config::row::{Arg, Arg::*, Row, Setter};
use crate::config::uwsgi_metrics::push::{self, Named};
use crate::config::uwsgi_metrics::{HostPort, IdleAverage, OwnMetric, Pusher, Threshold};
use crate::config::value::{flag, number, put, seconds, some, text};
use crate::config::{Draft, Origin, ValueError};

pub const TABLE: Table = Table {
    theme: "Metrics",
    rows: &[
        Row::works(
            "enable-metrics",
            Flag,
            |d, v, _| put(&mut d.settings.metrics.enabled, flag(v)),
            "collect uWSGI's metrics once a second",
        )
        .default("false"),
        Row::works(
            "metric",
            Required,
            metric,
            "one more metric: NAME, or name=NAME,type=gauge,collector=sum,…",
        )
        .many()
        .restart(),
        Row::works(
            "metric-threshold",
            Required,
            threshold,
            "an alarm at a value: key=NAME,value=N,alarm=NAME,rate=S",
        )
        .alias(&["alarm-metric", "metric-alarm"])
        .many(),
        Row::works(
            "metrics-dir",
            Required,
            |d, v, _| put(&mut d.settings.metrics.directory, some(v)),
            "keep the value of each metric in a file of this directory",
        )
        .alias(&["metric-dir"]),
        Row::works(
            "metrics-dir-restore",
            Flag,
            |d, v, _| put(&mut d.settings.instance.metrics.restore, flag(v)),
            "begin with the values in metrics-dir",
        )
        .alias(&["metric-dir-restore"])
        .restart(),
        Row::works(
            "metrics-no-cores",
            Flag,
            |d, v, _| put(&mut d.settings.instance.metrics.no_cores, flag(v)),
            "no metrics of single cores",
        )
        .restart(),
        Row::accepted(
            "mem-collector-freq",
            Seconds,
            "seconds between two looks at the memory of workers",
            "it is looked at once a second",
        ),
        Row::works("stats-push", Required, stats_push, "push to socket:…, statsd:…, carbon:… or file:…")
            .many(),
        Row::works(
            "stats-pusher-default-freq",
            Seconds,
            |d, v, _| put(&mut d.settings.metrics.push_every, at_least_a_second(v)),
            "seconds between two pushes of stats-push",
        )
        .alias(&["stats-pushers-default-freq"])
        .default("3"),
        Row::works("carbon", Required, carbon, "send statistics to this carbon server, HOST:PORT").many(),
        carbon_row(
            "carbon-freq",
            Seconds,
            |d, v, _| put(&mut d.settings.metrics.carbon.every, at_least_a_second(v)),
            "seconds between two sendings to carbon",
        )
        .default("60"),
        carbon_row(
            "carbon-timeout",
            Seconds,
            |d, v, _| put(&mut d.settings.metrics.carbon.timeout, at_least_a_second(v)),
            "seconds that a connection to carbon may take",
        )
        .default("3"),
        carbon_row(
            "carbon-max-retry",
            Number,
            |d, v, _| put(&mut d.settings.metrics.carbon.max_retries, number(v)),
            "how often a sending that has failed is tried again",
        )
        .default("0"),
        carbon_row(
            "carbon-retry-delay",
            Seconds,
            |d, v, _| put(&mut d.settings.metrics.carbon.retry_delay, at_least_a_second(v)),
            "seconds before it is tried again",
        )
        .default("7"),
        carbon_row(
            "carbon-id",
            Required,
            |d, v, _| put(&mut d.settings.metrics.carbon.id, some(v)),
            "the instance's name for carbon, instead of that of its first socket",
        ),
        carbon_row("carbon-root", Optional, carbon_root, "what names begin with").default("uwsgi"),
        carbon_row(
            "carbon-hostname-dots",
            Required,
            |d, v, _| {
                put(&mut d.settings.metrics.carbon.hostname_dots, text(v).map(|text| text.chars().next()))
            },
            "a character instead of the dots in the host's name",
        ),
        carbon_row(
            "carbon-no-workers",
            Flag,
            |d, v, _| put(&mut d.settings.metrics.carbon.no_workers, flag(v)),
            "nothing of single workers",
        ),
        carbon_row(
            "carbon-idle-avg",
            Required,
            idle_average,
            "the average time while there are no requests: last, zero, none",
        )
        .default("last"),
        carbon_row(
            "carbon-use-metrics",
            Flag,
            |d, v, _| put(&mut d.settings.metrics.carbon.use_metrics, flag(v)),
            "send the metrics to carbon, by their own names",
        ),
        Row::accepted(
            "carbon-name-resolve",
            Flag,
            "carbon servers may be named",
            "names are always looked up",
        )
        .alias(&["carbon-resolve-names"]),
    ],
};

const fn carbon_row(name: &'static str, arg: Arg, set: Setter, help: &'static str) -> Row {
    Row::works(name, arg, set, help)
}

fn metric(draft: &mut Draft, value: Option<&str>, origin: &Origin) -> Result<(), ValueError> {
    draft.settings.instance.metrics.own.push(OwnMetric::parse(text(value)?, origin)?);
    Ok(())
}

fn threshold(draft: &mut Draft, value: Option<&str>, origin: &Origin) -> Result<(), ValueError> {
    draft.settings.metrics.thresholds.push(Threshold::parse(text(value)?, origin)?);
    Ok(())
}

fn stats_push(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    match push::parse(text(value)?)? {
        Named::There(pusher) => draft.settings.metrics.pushers.push(pusher),
        Named::Missing(said) => draft.note(said),
    }
    Ok(())
}

fn carbon(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    draft.settings.metrics.pushers.push(Pusher::Carbon(HostPort::parse(text(value)?)?));
    Ok(())
}

/// An empty one is a root, too.
fn carbon_root(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let root = value.unwrap_or_default();
    let dot = if root.is_empty() || root.ends_with('.') { "" } else { "." };
    draft.settings.metrics.carbon.root = format!("{root}{dot}");
    Ok(())
}

fn idle_average(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    draft.settings.metrics.carbon.idle_average = match text(value)? {
        "last" => IdleAverage::Last,
        "zero" => IdleAverage::Zero,
        "none" => IdleAverage::None,
        other => {
            return Err(ValueError::new(
                format!("there is no average \"{other}\""),
                "write last, zero or none",
            ));
        }
    };
    Ok(())
}

/// 0 is the shortest time that there is, since nothing happens more often.
fn at_least_a_second(value: Option<&str>) -> Result<std::time::Duration, ValueError> {
    seconds(value).map(|time| time.max(std::time::Duration::from_secs(1)))
}

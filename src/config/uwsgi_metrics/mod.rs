//! uWSGI's metrics: what is counted, watched, kept and sent.

mod definitions;
mod own;
pub mod push;
mod threshold;

pub use definitions::{CoreFigure, Definition, Derived, Source, WorkerFigure, check, definitions};
pub use own::{Collector, OwnMetric};
pub use push::{Carbon, Datagrams, HostPort, IdleAverage, Pusher};
pub use threshold::Threshold;

use std::path::PathBuf;
use std::time::Duration;

/// Their names and their number are fixed when the server starts: the values are in memory that all processes share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricTable {
    pub own: Vec<OwnMetric>,
    /// None of single cores.
    pub no_cores: bool,
    /// Counters go on from the values in the directory.
    pub restore: bool,
}

/// What is done with them, which a reload may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    pub enabled: bool,
    /// One file for each, with its value.
    pub directory: Option<PathBuf>,
    pub thresholds: Vec<Threshold>,
    pub pushers: Vec<Pusher>,
    /// Between two pushes of those that have no time of their own.
    pub push_every: Duration,
    pub carbon: Carbon,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            enabled: false,
            directory: None,
            thresholds: Vec::new(),
            pushers: Vec::new(),
            push_every: Duration::from_secs(3),
            carbon: Carbon::default(),
        }
    }
}

impl super::Settings {
    /// Is anything counted? Whoever says what is to be done with metrics wants them.
    pub fn has_metrics(&self) -> bool {
        let (metrics, table) = (&self.metrics, &self.instance.metrics);
        metrics.enabled
            || metrics.directory.is_some()
            || !metrics.thresholds.is_empty()
            || metrics.pushers.iter().any(Pusher::sends_metrics)
            || metrics.carbon.use_metrics
            || *table != MetricTable::default()
    }
}

//! uWSGI's metrics: collected once a second, kept in files, watched, and sent to others.

mod collector;
mod directory;
mod number_file;
mod pushers;
mod thresholds;

use super::stats::MemoryReport;
use crate::config::Settings;
use crate::config::uwsgi_metrics::definitions;
use crate::master::action::Action;
use crate::master::incident::Incident;
use crate::master::server::Server;
use crate::master::service::{EachSecond, Service};
use crate::master::status;
use crate::shm::metrics::Metrics as Values;
use crate::supervise::Children;
use crate::sys::epoll::{self, Epoll};
use collector::Collector;
use directory::Directory;
use pushers::Pushers;
use std::io::{Error, Result};
use std::os::fd::RawFd;
use thresholds::{Raised, Thresholds};

pub struct Metrics {
    values: Values,
    collector: Collector,
    /// Metrics that begin anew when they have been sent, by place.
    resets: Vec<usize>,
    directory: Directory,
    thresholds: Thresholds,
    pushers: Pushers,
    memory: MemoryReport,
    second: EachSecond,
    is_on: bool,
}

impl Metrics {
    /// # Errors
    /// There is no directory for them.
    pub fn new(settings: &Settings, values: Values, now: u64) -> Result<Metrics> {
        let definitions = definitions(settings).map_err(|error| Error::other(error.to_string()))?;
        let resets = definitions.iter().enumerate().filter(|(_, definition)| definition.resets);
        let mut metrics = Metrics {
            values,
            resets: resets.map(|(at, _)| at).collect(),
            collector: Collector::new(definitions),
            directory: Directory::default(),
            thresholds: Thresholds::default(),
            pushers: Pushers::new()?,
            memory: MemoryReport::default(),
            second: EachSecond::starting(now),
            is_on: false,
        };
        metrics.configure(settings);
        metrics.directory.check()?;
        if settings.instance.metrics.restore {
            metrics.restore();
        }
        Ok(metrics)
    }

    fn restore(&mut self) {
        for (at, metric) in self.values.list().iter().enumerate() {
            if let Some(value) = self.directory.read(&metric.name) {
                self.collector.restore(at, value, &self.values);
            }
        }
    }

    fn look(&mut self, now: u64, server: &Server, children: &Children) -> Vec<Raised> {
        let mut status = status::of(server, children);
        self.memory.fill(&mut status, false);
        self.collector.collect(&status, &self.values);
        status.metrics = status::metrics(server);
        self.directory.keep(&self.values);
        let raised = self.thresholds.check(now, &self.values);
        self.pushers.push(now, &status, server, &self.resets);
        raised
    }
}

impl Service for Metrics {
    fn watch(&self, epoll: &Epoll) -> Result<()> {
        epoll.add(self.pushers.epoll(), epoll::READ, crate::master::sources::OTHER)
    }

    fn private(&self) -> Vec<RawFd> {
        self.pushers.private()
    }

    fn configure(&mut self, settings: &Settings) {
        self.directory.configure(settings.metrics.directory.as_deref());
        self.thresholds.configure(&settings.metrics.thresholds, &self.values);
        self.pushers.configure(settings);
        self.is_on = settings.has_metrics() || !self.pushers.is_empty();
    }

    fn tick(&mut self, now: u64, server: &Server, children: &mut Children) -> Vec<Action> {
        if !self.is_on {
            return Vec::new();
        }
        self.pushers.turn(now);
        if !self.second.pass(now) {
            return Vec::new();
        }
        self.look(now, server, children).into_iter().for_each(|raised| raise(raised, server));
        Vec::new()
    }

    fn deadline(&self, now: u64, _: &Server) -> Option<u64> {
        self.pushers.deadline(now)
    }
}

fn raise(raised: Raised, server: &Server) {
    let incident = Incident::named("metric", vec![raised.alarm], raised.message);
    server.report(incident.with("metric", raised.metric).with("value", raised.value));
}

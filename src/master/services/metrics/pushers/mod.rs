//! `stats-push` and `carbon`: who is sent something, and when. Whatever becomes of it, nobody waits for it.

mod carbon;
mod datagrams;
mod delivery;
mod destination;
mod file;
mod health;

use crate::config::Settings;
use crate::config::uwsgi_metrics::{Carbon, Pusher};
use crate::master::server::Server;
use crate::master::status::shown;
use crate::report::{MetricStatus, Status, json};
use crate::shm::metrics::Metrics;
use crate::sys::epoll::Epoll;
use carbon::{CarbonServer, Statistics};
use datagrams::DatagramPusher;
use file::FilePusher;
use std::io::Result;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

pub struct Pushers {
    /// What ends the master's sleep for them.
    epoll: Epoll,
    configured: (Vec<Pusher>, Duration, Carbon),
    datagrams: Vec<(Rhythm, DatagramPusher)>,
    files: Vec<(Rhythm, FilePusher)>,
    carbon: (Rhythm, Statistics, Vec<CarbonServer>),
    has_more: bool,
}

/// When it is time again.
struct Rhythm {
    every_us: u64,
    next_us: u64,
}

impl Rhythm {
    fn of(every: Duration) -> Rhythm {
        Rhythm { every_us: every.as_micros() as u64, next_us: 0 }
    }

    /// As from uWSGI, the first time at once.
    fn pass(&mut self, now: u64) -> bool {
        // The turns of a second come a little early now and then.
        let is_due = now + 100_000 >= self.next_us;
        if is_due {
            self.next_us = now + self.every_us;
        }
        is_due
    }
}

impl Pushers {
    pub fn new() -> Result<Pushers> {
        Ok(Pushers {
            epoll: Epoll::new()?,
            configured: Default::default(),
            datagrams: Vec::new(),
            files: Vec::new(),
            carbon: (Rhythm::of(Duration::ZERO), Statistics::default(), Vec::new()),
            has_more: false,
        })
    }

    pub fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    pub fn is_empty(&self) -> bool {
        self.configured.0.is_empty()
    }

    /// Those that are the same as before go on with what they are doing.
    pub fn configure(&mut self, settings: &Settings) {
        let metrics = &settings.metrics;
        let new = (metrics.pushers.clone(), metrics.push_every, metrics.carbon.clone());
        if new == self.configured {
            return;
        }
        (self.datagrams, self.files, self.carbon.2) = (Vec::new(), Vec::new(), Vec::new());
        self.carbon.0 = Rhythm::of(metrics.carbon.every);
        for pusher in &metrics.pushers {
            match pusher {
                Pusher::Datagrams { format, to, prefix } => {
                    let pusher = DatagramPusher::new(*format, to, prefix);
                    self.datagrams.push((Rhythm::of(metrics.push_every), pusher));
                }
                Pusher::File { path, separator, every } => {
                    let rhythm = Rhythm::of(every.unwrap_or(metrics.push_every));
                    self.files.push((rhythm, FilePusher::new(path, separator)));
                }
                Pusher::Carbon(to) => self.carbon.2.push(CarbonServer::new(to)),
            }
        }
        self.configured = new;
    }

    pub fn private(&self) -> Vec<RawFd> {
        let datagrams = self.datagrams.iter().flat_map(|(_, pusher)| pusher.private());
        let carbon = self.carbon.2.iter().flat_map(CarbonServer::private);
        datagrams.chain(carbon).chain([self.epoll.as_fd().as_raw_fd()]).collect()
    }

    /// Goes on with what is on its way.
    pub fn turn(&mut self, now: u64) {
        let carbon = &self.configured.2;
        self.carbon.2.iter_mut().for_each(|server| server.turn(now, carbon, &self.epoll));
        self.has_more = self.datagrams.iter_mut().fold(false, |more, (_, pusher)| pusher.turn() | more);
    }

    pub fn deadline(&self, now: u64) -> Option<u64> {
        let carbon = self.carbon.2.iter().filter_map(CarbonServer::deadline);
        carbon.chain(self.has_more.then_some(now)).min()
    }

    /// Begins what is due. Metrics that a sending resets begin anew with what has come since the status was taken.
    pub fn push(&mut self, now: u64, status: &Status, server: &Server, resets: &[usize]) {
        let mut has_taken = false;
        for (rhythm, pusher) in &mut self.datagrams {
            if rhythm.pass(now) {
                pusher.push(now, &status.metrics, &self.epoll);
                has_taken = true;
            }
        }
        for (rhythm, pusher) in &mut self.files {
            if rhythm.pass(now) {
                pusher.push(&json::render(status, shown(server.settings())));
            }
        }
        has_taken |= self.push_carbon(now, status, server);
        if has_taken {
            reset(resets, &status.metrics, &server.setup.metrics);
        }
        self.turn(now);
    }

    /// `true`: it was sent metrics.
    fn push_carbon(&mut self, now: u64, status: &Status, server: &Server) -> bool {
        let (rhythm, statistics, servers) = &mut self.carbon;
        if servers.is_empty() || !rhythm.pass(now) {
            return false;
        }
        let carbon = &self.configured.2;
        let text: Rc<[u8]> = statistics.render(status, server).into_bytes().into();
        servers.iter_mut().for_each(|server| server.push(now, text.clone(), carbon, &self.epoll));
        carbon::takes(carbon, &status.metrics)
    }
}

/// What was added meanwhile stays.
fn reset(places: &[usize], sent: &[MetricStatus], values: &Metrics) {
    for &at in places {
        if let Some(sent) = sent.get(at) {
            values.add(at, values.list()[at].initial.wrapping_sub(sent.value));
        }
    }
}

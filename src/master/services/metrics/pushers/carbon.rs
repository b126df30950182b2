//! `carbon`: the statistics as lines over TCP, to several servers at once.

use super::delivery::Delivery;
use super::destination::Destination;
use super::health::Health;
use crate::config::uwsgi_metrics::{Carbon, HostPort, IdleAverage};
use crate::master::server::Server;
use crate::report::carbon::{Average, Busyness, CarbonShown, metrics, statistics};
use crate::report::json::process_of;
use crate::report::{MetricStatus, Status};
use crate::sys::epoll::Epoll;
use crate::sys::user;
use std::collections::BTreeMap;
use std::io::Error;
use std::os::fd::RawFd;
use std::rc::Rc;

/// What all servers are sent.
#[derive(Default)]
pub struct Statistics {
    /// Microseconds that each worker had been busy, at the last sending.
    running_us: BTreeMap<u32, u64>,
    /// Requests at the last sending.
    requests: u64,
}

impl Statistics {
    pub fn render(&mut self, status: &Status, server: &Server) -> String {
        let carbon = &server.settings().metrics.carbon;
        let prefix = prefix(carbon, server);
        let busyness = self.busyness(status, carbon);
        let requests = status.totals.counters().sums.requests;
        let was_idle = self.requests == 0 || self.requests == requests;
        self.requests = requests;
        if carbon.use_metrics {
            return metrics(status, &prefix);
        }
        let average = match carbon.idle_average {
            IdleAverage::Zero if was_idle => Average::Zero,
            IdleAverage::None if was_idle => Average::Nothing,
            _ => Average::Last,
        };
        let shown = CarbonShown { prefix, workers: !carbon.no_workers, memory: has_memory(server), average };
        statistics(status, &shown, &busyness)
    }

    /// As uWSGI counts it: a worker whose request has not ended in all this time was busy.
    fn busyness(&mut self, status: &Status, carbon: &Carbon) -> Busyness {
        let period_us = carbon.every.as_micros().max(1) as u64;
        let totals = &status.totals.workers;
        let running =
            totals.iter().map(|totals| (totals.id, totals.counters.of_cores().running_us)).collect();
        let before = std::mem::replace(&mut self.running_us, running);
        let of = |(&id, &running_us): (&u32, &u64)| {
            let spent_us = running_us.saturating_sub(before.get(&id).copied().unwrap_or(0));
            let process = process_of(status, id);
            let is_busy = process.is_some_and(|process| process.on_scoreboard.in_flight > 0);
            let percent =
                if spent_us == 0 && is_busy { 100 } else { spent_us.saturating_mul(100) / period_us };
            (id, percent.min(100))
        };
        self.running_us.iter().map(of).collect()
    }
}

/// ROOT.HOST.ID.
fn prefix(carbon: &Carbon, server: &Server) -> String {
    let host = user::host_name();
    let host = carbon.hostname_dots.map_or(host.clone(), |dot| host.replace('.', &dot.to_string()));
    let first = || server.setup.listeners.first().map(|listener| listener.name.replace('.', "_"));
    let id = carbon.id.clone().or_else(first).unwrap_or_default();
    format!("{}{host}.{id}.", carbon.root)
}

/// uWSGI knows the memory of workers where something in the configuration asks for it.
fn has_memory(server: &Server) -> bool {
    let (settings, recycle) = (server.settings(), &server.settings().recycle);
    let limits = [recycle.resident, recycle.address_space, recycle.evil_resident, recycle.evil_address_space];
    settings.stats.memory_report || limits != [0; 4]
}

/// Does a sending take what is reset behind it?
pub fn takes(carbon: &Carbon, metrics: &[MetricStatus]) -> bool {
    carbon.use_metrics && !metrics.is_empty()
}

/// One server that is sent to.
pub struct CarbonServer {
    to: Destination,
    text: Rc<[u8]>,
    state: State,
    /// Attempts that are left for this text, and the address that the next one takes.
    retries: u64,
    attempt: usize,
    health: Health,
}

enum State {
    Idle,
    /// Until the name is known.
    Unknown(u64),
    Sending(Delivery),
    /// Until then.
    Pausing(u64),
}

impl CarbonServer {
    pub fn new(to: &HostPort) -> CarbonServer {
        let to = Destination::new(to);
        let health = Health::new(format!("carbon to {}", to.name()));
        CarbonServer { to, text: [].into(), state: State::Idle, retries: 0, attempt: 0, health }
    }

    pub fn private(&self) -> impl Iterator<Item = RawFd> {
        let delivery =
            if let State::Sending(delivery) = &self.state { Some(delivery.private()) } else { None };
        delivery.into_iter().chain(self.to.private())
    }

    /// What has not been sent by now never is.
    pub fn push(&mut self, now: u64, text: Rc<[u8]>, carbon: &Carbon, epoll: &Epoll) {
        self.text = text;
        self.retries = carbon.max_retries;
        self.start(now, carbon, epoll);
    }

    fn start(&mut self, now: u64, carbon: &Carbon, epoll: &Epoll) {
        self.state = State::Idle;
        let until = now + carbon.timeout.as_micros() as u64;
        if let Err(error) = self.to.refresh(now, epoll) {
            return self.fail(now, error, carbon);
        }
        if self.to.is_unknown() {
            self.state = State::Unknown(until);
            return;
        }
        self.attempt = self.attempt.wrapping_add(1);
        let addresses = self.to.addresses();
        let begun = match addresses.get(self.attempt % addresses.len().max(1)) {
            Some(&address) => Delivery::start(address, self.text.clone(), until, epoll),
            None => Err(Error::other("its name has no address")),
        };
        match begun {
            Ok(delivery) => self.state = State::Sending(delivery),
            Err(error) => self.fail(now, error, carbon),
        }
    }

    fn fail(&mut self, now: u64, error: Error, carbon: &Carbon) {
        self.health.note_error(error);
        self.state = match self.retries.checked_sub(1) {
            None => State::Idle,
            Some(left) => {
                self.retries = left;
                State::Pausing(now + carbon.retry_delay.as_micros() as u64)
            }
        };
    }

    pub fn turn(&mut self, now: u64, carbon: &Carbon, epoll: &Epoll) {
        if let Err(why) = self.to.take_answer() {
            self.health.note(Some(why));
        }
        match &mut self.state {
            State::Idle => {}
            State::Pausing(until) if now < *until => {}
            State::Pausing(_) => self.start(now, carbon, epoll),
            State::Unknown(_) if !self.to.is_unknown() => self.start(now, carbon, epoll),
            State::Unknown(until) if now < *until => {}
            State::Unknown(_) => self.fail(now, Error::other("its name is not known in time"), carbon),
            State::Sending(delivery) => match delivery.turn(now) {
                Ok(false) => {}
                Ok(true) => {
                    self.state = State::Idle;
                    self.health.note(None);
                }
                Err(error) => self.fail(now, error, carbon),
            },
        }
    }

    /// When something has to happen by itself.
    pub fn deadline(&self) -> Option<u64> {
        match &self.state {
            State::Idle => None,
            State::Unknown(until) | State::Pausing(until) => Some(*until),
            State::Sending(delivery) => Some(delivery.until_us()),
        }
    }
}

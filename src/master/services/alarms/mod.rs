//! Alarms: takes incidents, finds the alarms that are raised for them, and has each delivered in a process of its own, a few at a
//! time. Whatever a command or a receiver does, the master never waits for it.

mod backlog;
mod certificates;
mod descriptors;
mod event;
mod lines;

use crate::alarm::Delivery;
use crate::base::text::cut;
use crate::config::{AlarmAction, Alarms as Configured, Settings};
use crate::log;
use crate::log::throttle::Throttle;
use crate::master::action::Action;
use crate::master::incident::{Incident, RECORD, Recipients};
use crate::master::server::{Phase, Server};
use crate::master::service::Service;
use crate::supervise::{Child, Children, Ended, Leaving, Role};
use crate::sys::epoll::Epoll;
use crate::sys::{clock, signal};
use backlog::Backlogs;
use certificates::Certificates;
use descriptors::Descriptors;
use lines::Lines;
use std::collections::VecDeque;
use std::io::Result;
use std::os::fd::RawFd;

/// Deliveries at the same time.
const MAX_RUNNING: usize = 4;
/// Those that wait for their turn; what comes on top is dropped.
const MAX_WAITING: usize = 64;
/// What deliveries have when the server stops.
const STOP_GRACE_US: u64 = 2_000_000;

pub struct Alarms {
    configured: Configured,
    /// What each alarm was raised with last.
    last: Vec<Last>,
    waiting: VecDeque<Delivery>,
    /// Those that were started, and may be running still.
    running: Vec<Delivery>,
    /// The number of the next delivery.
    next: u32,
    dropped: Throttle,
    /// The server stops, and its workers have gone: when the last delivery ends.
    end_us: Option<u64>,
    lines: Lines,
    descriptors: Descriptors,
    backlogs: Backlogs,
    certificates: Certificates,
}

struct Last {
    alarm: String,
    message: String,
    at_us: u64,
}

impl Alarms {
    pub fn new(settings: &Settings, now: u64) -> Result<Alarms> {
        let mut alarms = Alarms {
            configured: Configured::default(),
            last: Vec::new(),
            waiting: VecDeque::new(),
            running: Vec::new(),
            next: 0,
            dropped: Throttle::default(),
            end_us: None,
            lines: Lines::new()?,
            descriptors: Descriptors::new()?,
            backlogs: Backlogs::starting(now),
            certificates: Certificates::default(),
        };
        alarms.configure(settings);
        Ok(alarms)
    }

    /// Raises the alarms that an incident concerns.
    fn raise(&mut self, incident: &Incident, server: &Server) {
        let alarms = &self.configured;
        let mut names: Vec<String> = match &incident.recipients {
            Recipients::Named(names) => names.clone(),
            Recipients::Subscribers(event) => {
                let subscribed = alarms.subscriptions.iter().filter(|(_, of)| of == event);
                subscribed.map(|(name, _)| name.clone()).collect()
            }
        };
        names.sort_unstable();
        names.dedup();
        let message = cut(&incident.message, alarms.message_size);
        for name in names {
            self.raise_one(&name, message, incident, server);
        }
    }

    fn raise_one(&mut self, name: &str, message: &str, incident: &Incident, server: &Server) {
        let Some(alarm) = self.configured.list.iter().find(|alarm| alarm.name == name) else { return };
        let action = alarm.action.clone();
        if self.is_repeated(name, message, clock::monotonic_us()) {
            return;
        }
        if let AlarmAction::Log(words) = &action {
            let blank = if words.is_empty() { "" } else { " " };
            return log::say_of_alarm(&format!("ALARM: {words}{blank}{message}"));
        }
        if self.waiting.len() == MAX_WAITING {
            return self.drop_one();
        }
        self.next += 1;
        let (number, alarm, message) = (self.next, name.to_owned(), message.to_owned());
        let json = event::json(incident, &message, server);
        let record = incident.details.get(RECORD).and_then(|record| record.as_str());
        let message = record.map_or(message.clone(), |record| format!("{message}\n{record}"));
        self.waiting.push_back(Delivery { number, alarm, action, event: incident.event, message, json });
    }

    /// As in uWSGI: the same message as the last one, and too soon after it.
    fn is_repeated(&mut self, name: &str, message: &str, now: u64) -> bool {
        let frequency_us = self.configured.frequency.as_micros() as u64;
        let last = self.last.iter().position(|last| last.alarm == name);
        let is_same = |last: &Last| last.message == message && now.saturating_sub(last.at_us) < frequency_us;
        if last.is_some_and(|at| is_same(&self.last[at])) {
            return true;
        }
        let raised = Last { alarm: name.to_owned(), message: message.to_owned(), at_us: now };
        match last {
            Some(at) => self.last[at] = raised,
            None => self.last.push(raised),
        }
        false
    }

    fn drop_one(&mut self) {
        if let Some(count) = self.dropped.count(1, clock::monotonic_us()) {
            log::say_of_alarm(&format!(
                "[uwsgi-alarm] {count} alarm(s) dropped: {MAX_WAITING} wait for their turn (said once a minute)"
            ));
        }
    }

    /// The next that are to be delivered.
    fn start(&mut self) -> Vec<Action> {
        let free = MAX_RUNNING.saturating_sub(self.running.len());
        let next: Vec<Delivery> = self.waiting.drain(..free.min(self.waiting.len())).collect();
        self.running.extend(next.iter().cloned());
        next.into_iter().map(Action::Deliver).collect()
    }

    /// The server stops: deliveries that hang do not hold it up, nor do many that wait.
    fn hurry(&mut self, children: &mut Children, now: u64) {
        if children.of(Role::Worker).chain(children.of(Role::Zygote)).next().is_none() {
            self.end_us.get_or_insert(now + STOP_GRACE_US);
        }
        let until = self.end_us.unwrap_or(u64::MAX).min(now + STOP_GRACE_US);
        for child in children.of_mut(Role::Alarm) {
            if child.leaving().is_none() {
                child.leave(Leaving::Stopped, Some(until));
            }
        }
    }

    /// The server ends without those that wait.
    fn give_up(&mut self) {
        let count = std::mem::take(&mut self.waiting).len();
        if count > 0 {
            log::say_of_alarm(&format!("[uwsgi-alarm] {count} alarm(s) dropped: the server stops"));
        }
    }

    pub fn on_ended(&mut self, child: &Child, ended: Ended) {
        let Some(at) = self.running.iter().position(|delivery| delivery.number == child.id) else { return };
        let delivery = self.running.swap_remove(at);
        let is_command = matches!(delivery.action, AlarmAction::Command(_));
        let how = match ended {
            Ended::Exited(0) => return,
            // It has said why itself.
            Ended::Exited(_) if !is_command => return,
            Ended::Exited(status) => format!("its command ended with status {status}"),
            Ended::Killed(_) if child.was_killed => {
                let seconds = clock::monotonic_us().saturating_sub(child.spawned_us) as f64 / 1e6;
                format!("it was not done after {seconds:.0} s and is killed")
            }
            Ended::Killed(signal) => format!("it was killed by {}", signal::name(signal)),
        };
        log::say_of_alarm(&format!("[uwsgi-alarm] {}: {how}", delivery.alarm));
    }
}

impl Service for Alarms {
    fn watch(&self, epoll: &Epoll) -> Result<()> {
        self.lines.watch(epoll)?;
        self.descriptors.watch(epoll)
    }

    fn private(&self) -> Vec<RawFd> {
        self.lines.private().chain([self.descriptors.descriptor()]).collect()
    }

    fn configure(&mut self, settings: &Settings) {
        self.configured = settings.alarms.clone();
        self.certificates = Certificates::of(settings);
        self.descriptors.configure(&settings.alarms.descriptors);
        log::set_line_alarms(self.lines.rules(&settings.alarms));
    }

    fn tick(&mut self, now: u64, server: &Server, children: &mut Children) -> Vec<Action> {
        if server.phase == Phase::Stopping {
            self.hurry(children, now);
        }
        // A process that could not be forked is no child.
        self.running.retain(|delivery| children.of(Role::Alarm).any(|child| child.id == delivery.number));
        let mut incidents = self.lines.look();
        incidents.extend(self.descriptors.look());
        incidents.extend(self.backlogs.look(now, server));
        incidents.extend(self.certificates.look());
        incidents.extend(server.incidents.take());
        incidents.iter().for_each(|incident| self.raise(incident, server));
        if self.end_us.is_some_and(|end_us| now >= end_us) {
            self.give_up();
            return Vec::new();
        }
        self.start()
    }

    /// What is reported after the service's turn must not wait until something else ends the master's sleep.
    fn deadline(&self, now: u64, server: &Server) -> Option<u64> {
        let can_start = !self.waiting.is_empty() && self.running.len() < MAX_RUNNING;
        (can_start || !server.incidents.is_empty()).then_some(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Alarm, AlarmEvent};
    use crate::master::server::tests::serving;

    /// A server with an alarm `a` that is raised for full backlogs.
    fn alarmed() -> (Server, Alarms) {
        let mut settings = Settings::default();
        let action = AlarmAction::Command("true".to_owned());
        settings.alarms.list.push(Alarm { name: "a".to_owned(), action });
        settings.alarms.subscriptions.push(("a".to_owned(), AlarmEvent::Backlog));
        settings.alarms.message_size = 5;
        let alarms = Alarms::new(&settings, 0).unwrap();
        (serving(settings), alarms)
    }

    fn messages(alarms: &Alarms) -> Vec<&str> {
        alarms.waiting.iter().map(|delivery| delivery.message.as_str()).collect()
    }

    #[test]
    fn who_has_subscribed_hears_of_it_once_and_not_at_length() {
        let (server, mut alarms) = alarmed();
        for message in ["full äöü", "full äöü", "other", "full äöü"] {
            alarms.raise(&Incident::of(AlarmEvent::Backlog, message), &server);
        }
        alarms.raise(&Incident::of(AlarmEvent::Harakiri, "late"), &server);
        alarms.raise(
            &Incident::named("metric", vec!["a".into(), "nobody".into(), "a".into()], "high"),
            &server,
        );
        assert_eq!(messages(&alarms), ["full ", "other", "full ", "high"]);
    }

    #[test]
    fn few_run_some_wait_and_the_others_are_dropped() {
        let (server, mut alarms) = alarmed();
        let mut children = Children::default();
        let report = |number: usize| server.report(Incident::of(AlarmEvent::Backlog, number.to_string()));
        (0..100).for_each(report);
        assert_eq!(alarms.deadline(7, &server), Some(7));
        let started = alarms.tick(1, &server, &mut children);
        assert_eq!((started.len(), alarms.waiting.len()), (MAX_RUNNING, MAX_WAITING - MAX_RUNNING));
        for action in started {
            let Action::Deliver(delivery) = action else { panic!("{action:?}") };
            children.expect(Child::new(Role::Alarm, delivery.number, 0, 1));
        }
        assert_eq!(alarms.tick(2, &server, &mut children), []);
        assert_eq!(alarms.deadline(7, &server), None);
        let ended = children.of(Role::Alarm).next().unwrap().clone();
        alarms.on_ended(&ended, Ended::Exited(0));
        assert_eq!(alarms.tick(3, &server, &mut children).len(), 1);
    }
}

//! Harakiri: requests that run longer than they may.

use crate::config::{AlarmEvent, Settings};
use crate::master::action::{Action, Dump, Output, Then};
use crate::master::incident::Incident;
use crate::master::server::Server;
use crate::master::service::Service;
use crate::shm::scoreboard::{CoreSlot, Phase, Scoreboard};
use crate::supervise::{Child, Children, Leaving, Role};
use std::sync::atomic::Ordering::*;
use std::time::Duration;

/// After a longer break between two looks the machine was suspended.
const SUSPENDED_US: u64 = 5_000_000;

pub struct Harakiri {
    last_look_us: u64,
}

/// A request whose time is up.
struct Late {
    core: usize,
    deadline: u64,
}

impl Harakiri {
    pub fn starting(now: u64) -> Harakiri {
        Harakiri { last_look_us: now }
    }
}

impl Service for Harakiri {
    fn tick(&mut self, now: u64, server: &Server, children: &mut Children) -> Vec<Action> {
        // After a suspend every deadline looks missed: let one round pass.
        let was_away = now.saturating_sub(self.last_look_us) > SUSPENDED_US;
        self.last_look_us = now;
        let Some(limit) = server.settings().harakiri.timeout.filter(|_| !was_away) else {
            return Vec::new();
        };
        let may_run = |child: &&mut Child| child.was_ready && child.leaving() != Some(Leaving::Harakiri);
        let workers = children.of_mut(Role::Worker).filter(may_run);
        workers.filter_map(|child| check(server, child, limit, now)).collect()
    }

    /// Often enough that no kill is late by more than a quarter of the timeout.
    fn deadline(&self, now: u64, server: &Server) -> Option<u64> {
        Some(now + interval_us(server.settings()))
    }
}

fn interval_us(settings: &Settings) -> u64 {
    let quarter = settings.harakiri.timeout.map_or(1_000_000, |time| time.as_micros() as u64 / 4);
    quarter.clamp(50_000, 1_000_000)
}

fn check(server: &Server, child: &mut Child, limit: Duration, now: u64) -> Option<Action> {
    let scoreboard = server.scoreboard();
    let late = latest(scoreboard, child.slot, now)?;
    let core = scoreboard.core(child.slot, late.core);
    let grace = server.settings().harakiri.graceful_timeout.map_or(0, |time| time.as_micros() as u64);
    let is_gentle = grace > 0 && now < late.deadline + grace;
    let title = sentence(scoreboard, child, late.core, is_gentle, now, limit.as_secs_f32());
    if is_gentle && !warn_once(core) {
        return None;
    }
    if !is_gentle {
        child.leave(Leaving::Harakiri, None);
        server.report(incident(scoreboard, child, late.core, &title));
    }
    let then = if is_gentle { Then::Expire } else { Then::Kill };
    Some(Action::DumpStacks(Dump { slot: child.slot, output: Output::Log(title), then }))
}

/// The request that is late by most: it decides about its worker.
fn latest(scoreboard: Scoreboard, slot: usize, now: u64) -> Option<Late> {
    let late = scoreboard.cores(slot).enumerate().filter_map(|(core, slot)| {
        let deadline = slot.deadline_us().load(Acquire);
        let is_late = deadline != 0 && deadline <= now && slot.phase() != Phase::Idle;
        is_late.then_some(Late { core, deadline })
    });
    late.min_by_key(|late| (late.deadline, late.core))
}

/// The gentle step is taken once for each request.
fn warn_once(core: CoreSlot) -> bool {
    let started = core.started_us().load(Relaxed);
    core.warned_us().swap(started, Relaxed) != started
}

fn incident(scoreboard: Scoreboard, child: &Child, core: usize, title: &str) -> Incident {
    let incident = Incident::of(AlarmEvent::Harakiri, title).with("worker", child.id).with("pid", child.pid);
    let incident = incident.with("core", core);
    match scoreboard.core(child.slot, core).current_request() {
        Some(current) => incident.with("method", current.method).with("uri", current.target),
        None => incident,
    }
}

fn sentence(
    scoreboard: Scoreboard,
    child: &Child,
    core: usize,
    is_gentle: bool,
    now: u64,
    limit: f32,
) -> String {
    let current = scoreboard.core(child.slot, core).current_request();
    let (what, age) = current.map_or_else(
        || ("a request that has just ended".to_owned(), 0.0),
        |current| {
            let age = now.saturating_sub(current.started_us) as f32 / 1e6;
            (current.to_string(), age)
        },
    );
    format!(
        "*** HARAKIRI ON WORKER {} (pid: {}, core: {core}): {what} has run for {age:.1} s, harakiri = {limit} s; {} ***",
        child.id,
        child.pid.unwrap_or(0),
        if is_gentle { "raising HarakiriTimeout in it" } else { "the worker is killed" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::server::tests::{add_worker, serving};

    const SECOND: u64 = 1_000_000;

    /// One worker whose request has been late since the first second.
    fn server(graceful_timeout: Option<Duration>) -> (Server, Children) {
        let mut settings = Settings::default();
        settings.harakiri.timeout = Some(Duration::from_secs(1));
        settings.harakiri.graceful_timeout = graceful_timeout;
        let (server, mut children) = (serving(settings), Children::default());
        add_worker(&server, &mut children, 1, 2);
        server.scoreboard().core(2, 0).begin(8, 1, SECOND, b"GET", b"/slow");
        (server, children)
    }

    fn then(actions: &[Action]) -> Option<Then> {
        match actions {
            [Action::DumpStacks(dump)] => Some(dump.then),
            _ => None,
        }
    }

    #[test]
    fn a_late_request_ends_its_worker_once() {
        let (server, mut children) = server(None);
        let mut harakiri = Harakiri::starting(0);
        assert_eq!(harakiri.tick(SECOND - 1, &server, &mut children), []);
        let actions = harakiri.tick(SECOND, &server, &mut children);
        let Some(Action::DumpStacks(dump)) = actions.first() else { panic!("{actions:?}") };
        let title = "*** HARAKIRI ON WORKER 1 (pid: 0, core: 0): GET /slow has run for 1.0 s, harakiri = 1 s; the worker is \
                     killed ***";
        assert_eq!((dump.slot, &dump.output, dump.then), (2, &Output::Log(title.to_owned()), Then::Kill));
        assert_eq!(children.get(Role::Worker, 2).unwrap().leaving(), Some(Leaving::Harakiri));
        assert_eq!(harakiri.tick(SECOND, &server, &mut children), []);
    }

    #[test]
    fn grace_comes_first_and_once() {
        let (server, mut children) = server(Some(Duration::from_secs(2)));
        let mut harakiri = Harakiri::starting(0);
        assert_eq!(then(&harakiri.tick(SECOND, &server, &mut children)), Some(Then::Expire));
        assert_eq!(harakiri.tick(2 * SECOND, &server, &mut children), []);
        assert_eq!(then(&harakiri.tick(3 * SECOND, &server, &mut children)), Some(Then::Kill));
    }

    #[test]
    fn a_machine_that_was_suspended_gets_another_round() {
        let (server, mut children) = server(None);
        let mut harakiri = Harakiri::starting(0);
        let woken = 100 * SECOND;
        assert_eq!(harakiri.tick(woken, &server, &mut children), []);
        assert_eq!(then(&harakiri.tick(woken + 1, &server, &mut children)), Some(Then::Kill));
    }

    #[test]
    fn nobody_is_late_by_more_than_a_quarter() {
        let (server, _) = server(None);
        assert_eq!(Harakiri::starting(0).deadline(7, &server), Some(7 + SECOND / 4));
        assert_eq!(interval_us(&Settings::default()), SECOND);
    }
}

//! Workers that are replaced while all is well: they have served enough, grown too much, or lived long enough. Few at a
//! time, and each only when its successor is ready.

use super::spawn::Spawner;
use super::{commands, scaling};
use crate::config::Recycle;
use crate::log;
use crate::master::action::Why;
use crate::master::server::{Phase, Server};
use crate::shm::scoreboard::RestartRequest;
use crate::supervise::{Child, Children, Leaving, Role};
use crate::worker::application::Application;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// uWSGI's `min-worker-lifetime`, where memory is the reason: a limit that a new worker exceeds at once would replace
/// workers without end. Other reasons need not wait, since the successor is there first.
const SHORTEST_LIFE: Duration = Duration::from_secs(10);
/// Until another successor is tried for one that did not get ready.
const RETRY_US: u64 = 1_000_000;

/// A worker that is to be replaced.
#[derive(Clone, Copy, Debug)]
struct Plan {
    slot: usize,
    why: Why,
    /// The slot of the worker that takes its place when it is ready.
    successor: Option<usize>,
    /// Not replaced before: the last successor did not get ready.
    not_before_us: u64,
}

#[derive(Debug, Default)]
pub struct Recycler {
    plans: Vec<Plan>,
}

impl Recycler {
    fn plan(&self, slot: usize) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.slot == slot)
    }

    /// The worker in this slot is to be replaced. The first reason holds.
    pub fn mark(&mut self, slot: usize, why: Why) {
        if self.plan(slot).is_none() {
            self.plans.push(Plan { slot, why, successor: None, not_before_us: 0 });
        }
    }

    /// May one more worker be replaced now?
    fn has_room(&self, server: &Server, children: &Children) -> bool {
        let leaves = |child: &&Child| {
            self.successor(child.slot).is_some() || child.leaving() == Some(Leaving::Recycled)
        };
        children.of(Role::Worker).filter(leaves).count() < scaling::at_once(server.settings())
    }

    fn successor(&self, slot: usize) -> Option<usize> {
        self.plan(slot).and_then(|plan| plan.successor)
    }

    /// Starts a successor for each worker whose time has come, few at a time.
    pub fn start_successors<R: Application>(
        &mut self,
        spawner: &mut Spawner<'_, R>,
        server: &Server,
        children: &mut Children,
        now: u64,
    ) {
        for (slot, id, why) in self.candidates(server, children, now) {
            if !self.has_room(server, children) {
                return;
            }
            if let Some(successor) = spawner.start_worker(id, server, children) {
                self.set_successor(slot, why, successor);
            }
        }
    }

    /// Workers whose time has come: slot, number, why.
    fn candidates(&self, server: &Server, children: &Children, now: u64) -> Vec<(usize, u32, Why)> {
        if server.phase != Phase::Serving {
            return Vec::new();
        }
        let candidate = |child: &Child| Some((child.slot, child.id, self.reason(server, child, now)?));
        children.of(Role::Worker).filter_map(candidate).collect()
    }

    fn reason(&self, server: &Server, child: &Child, now: u64) -> Option<Why> {
        let plan = self.plan(child.slot);
        let waits = plan.is_some_and(|plan| plan.successor.is_some() || now < plan.not_before_us);
        if !child.is_up() || waits {
            return None;
        }
        let recycle = &server.settings().recycle;
        let age = Duration::from_micros(now.saturating_sub(child.spawned_us));
        let old = is_old(recycle, child.id, age).then_some(Why::Lifetime);
        let why = requested(server, child).or(plan.map(|plan| plan.why)).or(old)?;
        (age >= shortest_life(recycle, why)).then_some(why)
    }

    /// The successor is on its way.
    fn set_successor(&mut self, slot: usize, why: Why, successor: usize) {
        self.mark(slot, why);
        for plan in self.plans.iter_mut().filter(|plan| plan.slot == slot) {
            (plan.why, plan.successor) = (why, Some(successor));
        }
    }

    /// The worker in this slot serves. If it replaces another, that one is commanded to retire.
    pub fn retire_predecessor(&self, successor: usize, server: &Server, children: &mut Children) -> bool {
        let Some(plan) = self.plans.iter().find(|plan| plan.successor == Some(successor)) else {
            return false;
        };
        if let Some(old) = children.get_mut(Role::Worker, plan.slot) {
            say_why(server, old, plan.why);
            server.accounts.borrow_mut().enter_recycling(plan.why);
            commands::retire(server, old, Leaving::Recycled);
        }
        true
    }

    /// The worker in this slot is gone, or will never come. Who waits for it as a successor gets another in a while.
    pub fn forget(&mut self, slot: usize, now: u64) {
        self.plans.retain(|plan| plan.slot != slot);
        for plan in self.plans.iter_mut().filter(|plan| plan.successor == Some(slot)) {
            (plan.successor, plan.not_before_us) = (None, now + RETRY_US);
        }
    }
}

/// What the worker itself has asked for.
fn requested(server: &Server, child: &Child) -> Option<Why> {
    match server.slot(child).restart_request() {
        RestartRequest::MaxRequests => Some(Why::Requests),
        RestartRequest::Exception => Some(Why::Exception),
        RestartRequest::Leave => Some(Why::Told),
        RestartRequest::Broken => Some(Why::Broken),
        RestartRequest::None | RestartRequest::Reload => None,
    }
}

fn shortest_life(recycle: &Recycle, why: Why) -> Duration {
    match why {
        Why::Told | Why::Broken => Duration::ZERO,
        Why::Memory(..) => recycle.min_lifetime.unwrap_or(SHORTEST_LIFE),
        _ => recycle.min_lifetime.unwrap_or_default(),
    }
}

fn is_old(recycle: &Recycle, id: u32, age: Duration) -> bool {
    let delta = recycle.max_lifetime_delta.saturating_mul(id.saturating_sub(1));
    recycle.max_lifetime.is_some_and(|life| age >= life.saturating_add(delta))
}

/// Says of a worker whose successor is ready why it is replaced.
fn say_why(server: &Server, child: &Child, why: Why) {
    let text = match why {
        Why::Requests => format!("has served {} requests", server.slot(child).requests().load(Relaxed)),
        Why::Exception => "has raised an exception that asks for it (reload-on-exception)".to_owned(),
        Why::Told => "was told to leave".to_owned(),
        Why::Broken => "cannot take connections any more".to_owned(),
        Why::Lifetime => "has lived for max-worker-lifetime".to_owned(),
        Why::Memory(bytes, option) => format!("has {} MB, more than {option} allows", bytes >> 20),
    };
    log::say(&format!("{} {text}; replaced", child.name()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::server::tests::{add_worker, serving};

    #[test]
    fn later_workers_live_longer() {
        let seconds = Duration::from_secs;
        let recycle =
            Recycle { max_lifetime: Some(seconds(60)), max_lifetime_delta: seconds(5), ..Recycle::default() };
        assert!(is_old(&recycle, 1, seconds(60)) && !is_old(&recycle, 2, seconds(64)));
        assert!(is_old(&recycle, 2, seconds(65)));
        assert!(!is_old(&Recycle::default(), 1, seconds(1 << 40)));
    }

    fn server(workers: u32) -> (Server, Children) {
        let (server, mut children) = (serving(scaling::tests::settings(workers)), Children::default());
        (1..=workers).for_each(|id| add_worker(&server, &mut children, id, id as usize - 1));
        (server, children)
    }

    #[test]
    fn a_worker_is_replaced_when_it_asks_and_its_successor_is_there() {
        let (server, mut children) = server(2);
        let mut recycler = Recycler::default();
        assert_eq!(recycler.candidates(&server, &children, 0), []);
        server.scoreboard().worker(1).set_restart_request(RestartRequest::MaxRequests);
        assert_eq!(recycler.candidates(&server, &children, 0), [(1, 2, Why::Requests)]);
        recycler.set_successor(1, Why::Requests, 3);
        assert_eq!(recycler.candidates(&server, &children, 0), []);
        assert!(!recycler.has_room(&server, &children));
        assert!(!recycler.retire_predecessor(0, &server, &mut children));
        assert!(recycler.retire_predecessor(3, &server, &mut children));
        assert_eq!(children.get(Role::Worker, 1).unwrap().leaving(), Some(Leaving::Recycled));
        assert!(!recycler.has_room(&server, &children));
    }

    #[test]
    fn a_successor_that_does_not_come_is_tried_again_later() {
        let (server, children) = server(1);
        let mut recycler = Recycler::default();
        recycler.mark(0, Why::Lifetime);
        recycler.mark(0, Why::Memory(1, "reload-on-rss"));
        assert_eq!(recycler.candidates(&server, &children, 0), [(0, 1, Why::Lifetime)]);
        recycler.set_successor(0, Why::Lifetime, 2);
        recycler.forget(2, 5);
        assert_eq!(recycler.candidates(&server, &children, RETRY_US + 4), []);
        assert_eq!(recycler.candidates(&server, &children, RETRY_US + 5), [(0, 1, Why::Lifetime)]);
        recycler.forget(0, 5);
        assert_eq!(recycler.candidates(&server, &children, RETRY_US + 5), []);
    }

    #[test]
    fn memory_that_is_exceeded_at_once_replaces_nobody_at_once() {
        let (server, children) = server(1);
        let mut recycler = Recycler::default();
        let why = Why::Memory(1, "reload-on-rss");
        recycler.mark(0, why);
        let shortest = SHORTEST_LIFE.as_micros() as u64;
        assert_eq!(recycler.candidates(&server, &children, shortest - 1), []);
        assert_eq!(recycler.candidates(&server, &children, shortest), [(0, 1, why)]);
    }
}

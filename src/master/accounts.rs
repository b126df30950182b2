//! What the server has counted since it started, beyond the lives of its processes: by worker number, and as a whole.

use super::action::Why;
use crate::shm::scoreboard::Counters;
use crate::supervise::{Child, Ended, Leaving};
use std::collections::BTreeMap;

/// Of one worker number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Of its processes that have ended.
    pub ended: Counters,
    /// Processes that it has had.
    pub spawns: u64,
    /// When the last of them began, in seconds since 1970.
    pub last_spawn: i64,
    pub harakiri: u64,
    /// The mean time of its last requests, as uWSGI takes it: a new process goes on with that of the one before it.
    pub average_us: u64,
}

/// How a reload has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    Succeeded,
    /// The new generation did not get ready.
    Failed,
    /// The configuration is not valid.
    Refused,
}

/// What a number counts, in the order in which it is shown.
type Counts<const N: usize> = [(&'static str, u64); N];

#[derive(Clone, Debug)]
pub struct Accounts {
    workers: BTreeMap<u32, Account>,
    /// Processes of workers that have ended, by reason.
    ends: Counts<8>,
    /// Workers that were replaced while all was well, by reason.
    recyclings: Counts<6>,
    reloads: Counts<3>,
}

impl Default for Accounts {
    fn default() -> Accounts {
        let names =
            ["reloaded", "recycled", "stopped", "harakiri", "memory", "discarded", "crashed", "exited"];
        let reasons = ["max-requests", "exception", "lifetime", "told", "broken", "memory"];
        Accounts {
            workers: BTreeMap::new(),
            ends: names.map(|name| (name, 0)),
            recyclings: reasons.map(|name| (name, 0)),
            reloads: ["success", "failure", "refused"].map(|name| (name, 0)),
        }
    }
}

impl Accounts {
    pub fn workers(&self) -> impl Iterator<Item = (u32, &Account)> {
        self.workers.iter().map(|(id, account)| (*id, account))
    }

    pub fn of(&self, id: u32) -> Account {
        self.workers.get(&id).cloned().unwrap_or_default()
    }

    pub fn ends(&self) -> &[(&'static str, u64)] {
        &self.ends
    }

    pub fn recyclings(&self) -> &[(&'static str, u64)] {
        &self.recyclings
    }

    pub fn reloads(&self) -> &[(&'static str, u64)] {
        &self.reloads
    }

    // ── entries ──

    /// A process of worker `id` is started; returns the mean time that it goes on with.
    pub fn enter_spawn(&mut self, id: u32, wall_secs: i64) -> u64 {
        let account = self.workers.entry(id).or_default();
        account.spawns += 1;
        account.last_spawn = wall_secs;
        account.average_us
    }

    /// It has ended.
    pub fn enter_end(&mut self, child: &Child, ended: Ended, counters: &Counters, average_us: u64) {
        let account = self.workers.entry(child.id).or_default();
        account.ended += counters;
        account.average_us = average_us;
        account.harakiri += u64::from(child.leaving() == Some(Leaving::Harakiri));
        add(&mut self.ends, end(child, ended));
    }

    pub fn enter_recycling(&mut self, why: Why) {
        add(&mut self.recyclings, reason(why));
    }

    pub fn enter_reload(&mut self, result: Reload) {
        let name = match result {
            Reload::Succeeded => "success",
            Reload::Failed => "failure",
            Reload::Refused => "refused",
        };
        add(&mut self.reloads, name);
    }
}

fn add(counts: &mut [(&'static str, u64)], name: &str) {
    counts.iter_mut().filter(|(known, _)| *known == name).for_each(|(_, count)| *count += 1);
}

fn end(child: &Child, ended: Ended) -> &'static str {
    match (child.leaving(), ended) {
        (Some(Leaving::Reloaded), _) => "reloaded",
        (Some(Leaving::Recycled), _) => "recycled",
        (Some(Leaving::Stopped), _) => "stopped",
        (Some(Leaving::Harakiri), _) => "harakiri",
        (Some(Leaving::Killed), _) => "memory",
        (Some(Leaving::Discarded), _) => "discarded",
        (None, Ended::Killed(_)) => "crashed",
        (None, Ended::Exited(_)) => "exited",
    }
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::Requests => "max-requests",
        Why::Exception => "exception",
        Why::Lifetime => "lifetime",
        Why::Told => "told",
        Why::Broken => "broken",
        Why::Memory(..) => "memory",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::Role;

    #[test]
    fn a_worker_number_outlives_its_processes() {
        let mut accounts = Accounts::default();
        let mut counters = Counters::default();
        counters.sums.requests = 5;
        let mut child = Child::new(Role::Worker, 2, 0, 1);
        assert_eq!(accounts.enter_spawn(2, 100), 0);
        accounts.enter_end(&child, Ended::Killed(9), &counters, 70);
        assert_eq!(accounts.enter_spawn(2, 200), 70);
        child.leave(Leaving::Harakiri, None);
        accounts.enter_end(&child, Ended::Killed(9), &counters, 80);
        let account = accounts.of(2);
        assert_eq!((account.ended.sums.requests, account.spawns, account.harakiri), (10, 2, 1));
        assert_eq!((account.last_spawn, account.average_us), (200, 80));
        let counted: Vec<_> = accounts.ends().iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [&("harakiri", 1), &("crashed", 1)]);
        assert_eq!(accounts.of(3), Account::default());
    }

    #[test]
    fn recyclings_and_reloads_are_counted_by_reason() {
        let mut accounts = Accounts::default();
        let all = [Why::Requests, Why::Exception, Why::Lifetime, Why::Told, Why::Broken, Why::Memory(1, "")];
        all.into_iter().for_each(|why| accounts.enter_recycling(why));
        for result in [Reload::Succeeded, Reload::Failed, Reload::Refused] {
            accounts.enter_reload(result);
        }
        assert!(accounts.recyclings().iter().chain(accounts.reloads()).all(|(_, count)| *count == 1));
    }
}

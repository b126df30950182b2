//! All children of a process, and those that are to be started.

use super::child::{Child, Leaving, Role};
use super::exit;
use crate::log;
use crate::policy::backoff::Backoff;
use crate::shm::scoreboard::Assignment;
use crate::sys::io;
use crate::sys::process::{self, ForkHooks};
use std::io::Result;
use std::os::fd::RawFd;
use std::time::Duration;

/// Until a child that was killed is killed again.
const KILL_AGAIN_US: u64 = 1_000_000;

/// A child that is to be started, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub role: Role,
    pub id: u32,
    pub at_us: u64,
}

#[derive(Debug, Default)]
pub struct Children {
    list: Vec<Child>,
    due: Vec<Due>,
    backoffs: Vec<(Role, u32, Backoff)>,
}

impl Children {
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Child> {
        self.list.iter()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Child> {
        self.list.iter_mut()
    }

    pub fn of(&self, role: Role) -> impl Iterator<Item = &Child> {
        self.iter().filter(move |child| child.role == role)
    }

    pub fn of_mut(&mut self, role: Role) -> impl Iterator<Item = &mut Child> {
        self.iter_mut().filter(move |child| child.role == role)
    }

    /// The child with this role in this slot.
    pub fn get(&self, role: Role, slot: usize) -> Option<&Child> {
        self.of(role).find(|child| child.slot == slot)
    }

    pub fn get_mut(&mut self, role: Role, slot: usize) -> Option<&mut Child> {
        self.of_mut(role).find(|child| child.slot == slot)
    }

    // ── coming and going ──

    /// Forks a child that first closes what is this process's alone, then runs `body` and exits with its status.
    pub fn fork(
        &mut self,
        mut child: Child,
        hooks: &dyn ForkHooks,
        private: &[RawFd],
        body: impl FnOnce() -> i32,
    ) -> Result<i32> {
        let pid = process::fork(hooks, || {
            io::close(private);
            body()
        })?;
        child.pid = Some(pid);
        self.list.push(child);
        Ok(pid)
    }

    /// Another process forks this child, and will tell its pid.
    pub fn expect(&mut self, child: Child) {
        self.list.push(child);
    }

    pub fn assigned_mut(&mut self, assignment: Assignment) -> Option<&mut Child> {
        self.iter_mut().find(|child| child.assignment == assignment)
    }

    /// Takes out the child with this pid, which has ended.
    pub fn take(&mut self, pid: i32) -> Option<Child> {
        self.take_first(|child| child.pid == Some(pid))
    }

    /// Takes out the child with this assignment, which could not be forked.
    pub fn take_assigned(&mut self, assignment: Assignment) -> Option<Child> {
        self.take_first(|child| child.assignment == assignment)
    }

    fn take_first(&mut self, is_it: impl Fn(&Child) -> bool) -> Option<Child> {
        self.list.iter().position(is_it).map(|index| self.list.swap_remove(index))
    }

    /// Takes out the children that this parent, which is gone, was to fork and has not reported.
    pub fn take_unforked(&mut self, parent: i32) -> Vec<Child> {
        let is_unforked = |child: &mut Child| child.pid.is_none() && child.parent == Some(parent);
        self.list.extract_if(.., is_unforked).collect()
    }

    // ── deadlines ──

    /// Kills those whose time is up; `mercy` is what they had to leave in. `give_up` ends a boot; `false`: the child
    /// has got ready in this moment.
    pub fn kill_overdue(&mut self, now: u64, mercy: Duration, give_up: impl Fn(&Child) -> bool) {
        for child in self.iter_mut().filter(|child| child.pid.is_some() && child.is_overdue(now)) {
            child.kill_at = Some(now + KILL_AGAIN_US);
            if child.is_booting() && !give_up(child) {
                continue;
            }
            if let Some(message) = exit::overdue(child, mercy) {
                log::say(&message);
            }
            if !child.role.decides_for_generation() && child.leaving().is_none() {
                child.leave(Leaving::Discarded, child.kill_at);
            }
            child.kill();
        }
    }

    /// When the next child has to be killed or started.
    pub fn deadline(&self) -> Option<u64> {
        let kills = self.iter().filter(|child| child.pid.is_some()).filter_map(|child| child.kill_at);
        kills.chain(self.due.iter().map(|due| due.at_us)).min()
    }

    // ── starting again ──

    /// Puts a child on the list of those that are to be started.
    pub fn start_at(&mut self, role: Role, id: u32, at_us: u64) {
        self.due.push(Due { role, id, at_us });
    }

    /// The same, but one that stands there already keeps its time.
    pub fn start_unless_due(&mut self, role: Role, id: u32, at_us: u64) {
        if self.due.iter().all(|due| (due.role, due.id) != (role, id)) {
            self.start_at(role, id, at_us);
        }
    }

    /// Nobody of this role is to be started.
    pub fn cancel(&mut self, role: Role) {
        self.due.retain(|due| due.role != role);
    }

    /// Those whose time has come.
    pub fn take_due(&mut self, now: u64) -> Vec<Due> {
        self.due.extract_if(.., |due| due.at_us <= now).collect()
    }

    /// How long to wait before a child that has died is started again.
    pub fn backoff(&mut self, child: &Child, now: u64) -> Duration {
        let lived = Duration::from_micros(now.saturating_sub(child.spawned_us));
        match child.leaving() {
            Some(Leaving::Harakiri) => Duration::ZERO,
            _ => self.backoff_of(child).after_death(lived, child.was_ready),
        }
    }

    /// Deaths of this child's predecessors and its own, in a row, before one was healthy.
    pub fn early_deaths(&mut self, child: &Child) -> u32 {
        self.backoff_of(child).early_deaths()
    }

    fn backoff_of(&mut self, child: &Child) -> &mut Backoff {
        let key = (child.role, child.id);
        let known = self.backoffs.iter().position(|(role, id, _)| (*role, *id) == key);
        let index = known.unwrap_or_else(|| {
            self.backoffs.push((child.role, child.id, Backoff::default()));
            self.backoffs.len() - 1
        });
        &mut self.backoffs[index].2
    }
}

//! Workers that are replaced while all is well: they have served enough, grown too much, or lived long enough.

use super::child::{Child, Leaving};
use super::{Master, Phase};
use crate::config::Recycle;
use crate::log;
use crate::policy::recycle::at_once;
use crate::shm::scoreboard::RestartRequest;
use crate::sys::{clock, process};
use crate::worker::application::Application;
use std::time::Duration;

/// uWSGI's `min-worker-lifetime`, where memory is the reason: a limit that a new worker exceeds at once would replace
/// workers without end. Other reasons need not wait, since the successor is there first.
const SHORTEST_LIFE: Duration = Duration::from_secs(10);

/// Why a worker is to be replaced, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Requests,
    Exception,
    Lifetime,
    /// It was told to leave, by a signal or by the application.
    Told,
    /// It cannot take connections any more.
    Broken,
    /// Bytes that it has, and the option that forbids them.
    Memory(u64, &'static str),
}

impl<R: Application> Master<'_, R> {
    /// Replaces workers, few at a time and each only when its successor is ready.
    pub(super) fn recycle(&mut self) {
        if self.phase != Phase::Serving {
            return;
        }
        let most = at_once(self.settings.instance.processes);
        let leaves = |child: &&Child| child.successor.is_some() || child.leaving == Some(Leaving::Recycled);
        let mut busy = self.children.iter().filter(leaves).count();
        let now = clock::monotonic_us();
        for index in 0..self.children.len() {
            if busy >= most {
                return;
            }
            let Some(why) = self.reason_to_recycle(index, now) else { continue };
            let id = self.children[index].id;
            if let Some(slot) = self.spawn(id) {
                self.children[index].successor = Some(slot);
                self.children[index].why = Some(why);
                busy += 1;
            }
        }
    }

    fn reason_to_recycle(&self, index: usize, now: u64) -> Option<Why> {
        let child = &self.children[index];
        if !child.is_up() || child.successor.is_some() || now < child.replace_after_us {
            return None;
        }
        let recycle = &self.settings.recycle;
        let age = Duration::from_micros(now.saturating_sub(child.spawned_us));
        let request = match child.on(&self.scoreboard).restart_request() {
            RestartRequest::MaxRequests => Some(Why::Requests),
            RestartRequest::Exception => Some(Why::Exception),
            RestartRequest::Leave => Some(Why::Told),
            RestartRequest::Broken => Some(Why::Broken),
            RestartRequest::None | RestartRequest::Reload => None,
        };
        let why = request.or(child.why).or(is_old(recycle, child.id, age).then_some(Why::Lifetime))?;
        let shortest = match why {
            Why::Told | Why::Broken => Duration::ZERO,
            Why::Memory(..) => recycle.min_lifetime.unwrap_or(SHORTEST_LIFE),
            _ => recycle.min_lifetime.unwrap_or_default(),
        };
        (age >= shortest).then_some(why)
    }

    /// Looks at the memory of each worker, where the configuration has a limit.
    pub(super) fn watch_memory(&mut self, now: u64) {
        let recycle = self.settings.recycle.clone();
        let limits =
            [recycle.resident, recycle.address_space, recycle.evil_resident, recycle.evil_address_space];
        if limits == [0; 4] {
            return;
        }
        for index in 0..self.children.len() {
            let child = &self.children[index];
            let Some(pid) = child.pid.filter(|_| child.is_up()) else { continue };
            let Some(memory) = process::memory(pid) else { continue };
            if let Some((bytes, option)) = beyond(memory, recycle.evil_resident, recycle.evil_address_space) {
                self.kill_for_memory(index, bytes, &format!("evil-{option}"), now);
            } else if child.why.is_none()
                && child.served(&self.scoreboard) > 0
                && let Some((bytes, option)) = beyond(memory, recycle.resident, recycle.address_space)
            {
                self.children[index].why = Some(Why::Memory(bytes, option));
            }
        }
        self.recycle();
    }

    fn kill_for_memory(&mut self, index: usize, bytes: u64, option: &str, now: u64) {
        let child = &mut self.children[index];
        log::say(&format!("{} has {} MB, more than {option} allows; killed", child.name(), bytes >> 20));
        child.leaving = Some(Leaving::Killed);
        child.kill_at = Some(now + 1_000_000);
        child.kill();
    }

    /// What the log says of a worker whose successor is ready.
    pub(super) fn say_why_replaced(&self, index: usize) {
        let child = &self.children[index];
        let served = child.served(&self.scoreboard);
        let text = match child.why {
            None | Some(Why::Requests) => format!("has served {served} requests"),
            Some(Why::Exception) => {
                "has raised an exception that asks for it (reload-on-exception)".to_owned()
            }
            Some(Why::Told) => "was told to leave".to_owned(),
            Some(Why::Broken) => "cannot take connections any more".to_owned(),
            Some(Why::Lifetime) => "has lived for max-worker-lifetime".to_owned(),
            Some(Why::Memory(bytes, option)) => format!("has {} MB, more than {option} allows", bytes >> 20),
        };
        log::say(&format!("{} {text}; replaced", child.name()));
    }
}

fn is_old(recycle: &Recycle, id: u32, age: Duration) -> bool {
    let delta = recycle.max_lifetime_delta.saturating_mul(id.saturating_sub(1));
    recycle.max_lifetime.is_some_and(|life| age >= life.saturating_add(delta))
}

/// Which limit the memory of a process exceeds: what it has, and the option.
fn beyond(memory: process::Memory, resident: u64, address_space: u64) -> Option<(u64, &'static str)> {
    if resident > 0 && memory.resident >= resident {
        return Some((memory.resident, "reload-on-rss"));
    }
    (address_space > 0 && memory.address_space >= address_space)
        .then_some((memory.address_space, "reload-on-as"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_workers_live_longer() {
        let seconds = Duration::from_secs;
        let recycle =
            Recycle { max_lifetime: Some(seconds(60)), max_lifetime_delta: seconds(5), ..Recycle::default() };
        assert!(is_old(&recycle, 1, seconds(60)) && !is_old(&recycle, 2, seconds(64)));
        assert!(is_old(&recycle, 2, seconds(65)));
        assert!(!is_old(&Recycle::default(), 1, seconds(1 << 40)));
    }

    #[test]
    fn no_limit_is_never_exceeded() {
        let memory = process::Memory { resident: 100, address_space: 1000 };
        assert_eq!(beyond(memory, 0, 0), None);
        assert_eq!(beyond(memory, 100, 0), Some((100, "reload-on-rss")));
        assert_eq!(beyond(memory, 101, 999), Some((1000, "reload-on-as")));
    }
}

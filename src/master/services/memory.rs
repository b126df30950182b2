//! The memory of workers, where the configuration has a limit.

use crate::config::Recycle;
use crate::log;
use crate::master::action::{Action, Why};
use crate::master::server::Server;
use crate::master::service::{EachSecond, Service};
use crate::supervise::{Child, Children, Leaving, Role};
use crate::sys::process;
use std::sync::atomic::Ordering::Relaxed;

pub struct Memory {
    second: EachSecond,
}

impl Memory {
    pub fn starting(now: u64) -> Memory {
        Memory { second: EachSecond::starting(now) }
    }
}

impl Service for Memory {
    fn tick(&mut self, now: u64, server: &Server, children: &mut Children) -> Vec<Action> {
        let recycle = &server.settings().recycle;
        let limits =
            [recycle.resident, recycle.address_space, recycle.evil_resident, recycle.evil_address_space];
        if !self.second.pass(now) || limits == [0; 4] {
            return Vec::new();
        }
        let workers = children.of_mut(Role::Worker).filter(|child| child.is_up());
        workers.filter_map(|child| check(server, recycle, child, now)).collect()
    }
}

fn check(server: &Server, recycle: &Recycle, child: &mut Child, now: u64) -> Option<Action> {
    let memory = process::memory(child.pid?)?;
    if let Some((bytes, option)) = beyond(memory, recycle.evil_resident, recycle.evil_address_space) {
        kill(child, bytes, &format!("evil-{option}"), now);
        return None;
    }
    let has_served = server.slot(child).requests().load(Relaxed) > 0;
    let (bytes, option) = beyond(memory, recycle.resident, recycle.address_space).filter(|_| has_served)?;
    Some(Action::Recycle(child.slot, Why::Memory(bytes, option)))
}

fn kill(child: &mut Child, bytes: u64, option: &str, now: u64) {
    log::say(&format!("{} has {} MB, more than {option} allows; killed", child.name(), bytes >> 20));
    child.leave(Leaving::Killed, Some(now + 1_000_000));
    child.kill();
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
    fn no_limit_is_never_exceeded() {
        let memory = process::Memory { resident: 100, address_space: 1000 };
        assert_eq!(beyond(memory, 0, 0), None);
        assert_eq!(beyond(memory, 100, 0), Some((100, "reload-on-rss")));
        assert_eq!(beyond(memory, 101, 999), Some((1000, "reload-on-as")));
    }
}

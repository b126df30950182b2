//! How many workers there are to be. Nobody else in the master asks the configuration for that.

use crate::config::Settings;
use crate::master::server::Server;
use crate::policy::recycle;
use crate::supervise::{Child, Children, Role};

/// How many workers are to serve now. They have the numbers from 1 to this.
pub fn target(settings: &Settings) -> u32 {
    settings.instance.processes
}

/// The most workers that the server may come to have at a time.
pub fn limit(settings: &Settings) -> u32 {
    settings.instance.processes
}

/// How many workers may be on their way out at the same time, their successors being there already.
pub fn at_once(settings: &Settings) -> usize {
    recycle::at_once(target(settings))
}

/// Slots of the scoreboard: a reload has two generations side by side, and a recycled worker its successor.
pub fn slots(settings: &Settings) -> usize {
    2 * limit(settings) as usize + recycle::at_once(limit(settings)) + 2
}

/// Numbers of workers of the newest generation that are to serve and neither do so nor boot.
pub fn missing(server: &Server, children: &Children) -> Vec<u32> {
    (1..=target(server.settings())).filter(|&id| lacks(server, children, id)).collect()
}

/// Does no worker of the newest generation with this number serve or boot?
pub fn lacks(server: &Server, children: &Children, id: u32) -> bool {
    !has(server, children, id, |child| child.leaving().is_none())
}

/// Does every worker of the newest generation serve?
pub fn is_complete(server: &Server, children: &Children) -> bool {
    (1..=target(server.settings())).all(|id| has(server, children, id, Child::is_up))
}

fn has(server: &Server, children: &Children, id: u32, is_so: impl Fn(&Child) -> bool) -> bool {
    let mut workers = children.of(Role::Worker);
    workers.any(|child| child.id == id && child.generation == server.generation && is_so(child))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::master::server::tests::{add_worker, serving};
    use crate::supervise::Leaving;

    pub fn settings(processes: u32) -> Settings {
        let mut settings = Settings::default();
        settings.instance.processes = processes;
        settings
    }

    #[test]
    fn who_is_missing_is_of_the_newest_generation() {
        let (mut server, mut children) = (serving(settings(3)), Children::default());
        add_worker(&server, &mut children, 1, 0);
        add_worker(&server, &mut children, 3, 4);
        assert_eq!(missing(&server, &children), [2]);
        assert!(!is_complete(&server, &children));
        add_worker(&server, &mut children, 2, 1);
        assert!(is_complete(&server, &children));
        children.get_mut(Role::Worker, 4).unwrap().leave(Leaving::Recycled, None);
        assert_eq!(missing(&server, &children), [3]);
        server.generation = 2;
        assert_eq!(missing(&server, &children), [1, 2, 3]);
    }

    #[test]
    fn two_generations_and_successors_have_slots() {
        for (processes, expected) in [(1, (1, 1, 5)), (4, (4, 1, 11)), (32, (32, 4, 70))] {
            let settings = settings(processes);
            assert_eq!((target(&settings), at_once(&settings), slots(&settings)), expected);
        }
    }
}

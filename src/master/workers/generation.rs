//! A generation: the workers of one load of configuration and code. A new one gets ready before the old one retires;
//! one that does not get ready leaves the old one serving.

use super::{commands, crash, scaling};
use crate::base::text::cut;
use crate::config::AlarmEvent;
use crate::log;
use crate::master::incident::{Incident, RECORD};
use crate::master::server::{Phase, Server};
use crate::process::exit::EXIT_NO_APP;
use crate::shm::scoreboard::Stage;
use crate::supervise::exit::{self, Circumstances};
use crate::supervise::{Child, Children, Ended, Leaving, Role};
use crate::sys::{clock, crash as sys_crash, signal};
use std::sync::atomic::Ordering::*;
use std::time::Duration;

/// Workers of a first generation that die before they are ready, in a row, until the server gives up.
const MAX_FAILED_BOOTS: u32 = 3;
/// Until another try where something failed.
const RETRY_US: u64 = 1_000_000;

/// What follows the end of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consequence {
    Nothing,
    /// It is started again after this time.
    Restart(Duration),
    /// The newest generation cannot get ready: why, and the exit status of a server that has no other.
    Failed(String, i32),
    /// The zygote is gone; the workers serve on.
    ZygoteLost(String),
}

/// Workers that have written on the scoreboard that they are ready. Not before their pid is known: a ready worker is
/// signalled.
pub fn newly_ready(server: &Server, children: &Children) -> Vec<usize> {
    let is_ready = |child: &&Child| {
        child.is_booting() && child.pid.is_some() && server.slot(child).stage() == Stage::Ready
    };
    children.of(Role::Worker).filter(is_ready).map(|child| child.slot).collect()
}

/// The generation that serves.
pub fn serving(server: &Server) -> u64 {
    server.scoreboard().generation().load(Acquire)
}

/// Every worker of older generations may go.
pub fn retire_older(server: &Server, children: &mut Children) {
    let is_old = |child: &&mut Child| child.generation != server.generation && child.leaving().is_none();
    for child in children.of_mut(Role::Worker).filter(is_old) {
        commands::retire(server, child, Leaving::Reloaded);
    }
}

/// The newest generation is given up.
pub fn discard_newest(server: &Server, children: &mut Children) {
    for child in children.of_mut(Role::Worker).filter(|child| child.generation == server.generation) {
        commands::retire(server, child, Leaving::Discarded);
    }
}

pub fn retire_all(server: &Server, children: &mut Children) {
    children.of_mut(Role::Worker).for_each(|child| commands::retire(server, child, Leaving::Stopped));
}

/// Workers that are missing are started in a while, unless they are due already.
pub fn start_missing_later(server: &Server, children: &mut Children, now: u64) {
    for id in scaling::missing(server, children) {
        children.start_unless_due(Role::Worker, id, now + RETRY_US);
    }
}

/// The same, whenever they were due.
pub fn start_missing_anew(server: &Server, children: &mut Children, now: u64) {
    for id in scaling::missing(server, children) {
        children.start_at(Role::Worker, id, now + RETRY_US);
    }
}

pub fn after_worker(
    server: &Server,
    children: &mut Children,
    child: &Child,
    ended: Ended,
    now: u64,
) -> Consequence {
    // A retired worker whose successor serves already leaves no gap.
    if child.generation != server.generation || !scaling::lacks(server, children, child.id) {
        return Consequence::Nothing;
    }
    let is_new = !child.was_ready && server.phase != Phase::Serving;
    if is_new && ended == Ended::Exited(EXIT_NO_APP) {
        return Consequence::Failed("the application cannot be loaded".to_owned(), EXIT_NO_APP);
    }
    let wait = children.backoff(child, now);
    tell_wait(server, child, wait, children.early_deaths(child));
    if is_new && children.early_deaths(child) >= MAX_FAILED_BOOTS {
        return Consequence::Failed("workers die before they are ready".to_owned(), 1);
    }
    Consequence::Restart(wait)
}

/// A worker that keeps dying is started again later each time.
fn tell_wait(server: &Server, child: &Child, wait: Duration, deaths: u32) {
    if !wait.is_zero() {
        let message = format!("worker {} is started again in {:.1} s", child.id, wait.as_secs_f32());
        log::say(&message);
        let incident = Incident::of(AlarmEvent::CrashLoop, message).with("worker", child.id);
        server.report(incident.with("deaths", deaths).with("wait", wait.as_secs_f32()));
    }
}

/// A worker has ended: what it has counted is in the accounts, the log says how it ended, and nobody is in its slot.
pub fn vacate(server: &Server, child: &Child, ended: Ended, is_stopping: bool) {
    let slot = server.slot(child);
    let counters = server.scoreboard().counters(child.slot);
    let served = counters.sums.requests;
    let record = crash::record(server, child, ended, clock::monotonic_us());
    server.accounts.borrow_mut().enter_end(child, ended, &counters, slot.average_us().load(Relaxed));
    slot.unassign();
    slot.pid().store(0, Release);
    server.scoreboard().cores(child.slot).for_each(|core| core.end());
    tell_end(server, child, ended, Circumstances { served, is_stopping }, &record);
}

/// How a worker has ended, for the log and for alarms, with the record that it has left.
fn tell_end(server: &Server, child: &Child, ended: Ended, circumstances: Circumstances, record: &str) {
    let Some(message) = exit::message(child, ended, circumstances) else { return };
    log::say(&format!("{message}{record}"));
    if let Ended::Killed(signal) = ended
        && !child.was_killed
    {
        let event =
            if sys_crash::SIGNALS.contains(&signal) { AlarmEvent::Segfault } else { AlarmEvent::Killed };
        let incident = Incident::of(event, message).with("worker", child.id).with("pid", child.pid);
        let incident = incident.with("signal", signal::name(signal)).with("requests", circumstances.served);
        let record = cut(record.trim_start(), server.settings().alarms.message_size);
        server.report(if record.is_empty() { incident } else { incident.with(RECORD, record) });
    }
}

pub fn after_zygote(server: &Server, zygote: &Child, ended: Ended) -> Consequence {
    let why = match ended {
        Ended::Exited(EXIT_NO_APP) => "the application cannot be loaded".to_owned(),
        _ => exit::cause("the process that loads the application", ended),
    };
    match server.phase {
        // It was let go.
        _ if zygote.leaving().is_some() => Consequence::Nothing,
        Phase::Stopping => Consequence::Nothing,
        Phase::Serving => Consequence::ZygoteLost(why),
        _ if ended == Ended::Exited(EXIT_NO_APP) => Consequence::Failed(why, EXIT_NO_APP),
        _ => Consequence::Failed(why, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::master::server::tests::{add_worker, serving};

    fn booting(server: &Server) -> Child {
        Child { pid: Some(9), ..Child::new(Role::Worker, 1, 0, server.generation) }
    }

    fn after(server: &Server, children: &mut Children, child: &Child, status: i32) -> Consequence {
        after_worker(server, children, child, Ended::Exited(status), child.spawned_us + 1000)
    }

    #[test]
    fn a_new_generation_fails_where_an_old_one_starts_workers_again() {
        let (mut server, mut children) = (serving(Settings::default()), Children::default());
        let child = booting(&server);
        assert!(matches!(after(&server, &mut children, &child, EXIT_NO_APP), Consequence::Restart(_)));
        server.phase = Phase::Reloading;
        let no_app = Consequence::Failed("the application cannot be loaded".to_owned(), EXIT_NO_APP);
        assert_eq!(after(&server, &mut children, &child, EXIT_NO_APP), no_app);
        assert!(matches!(after(&server, &mut children, &child, 3), Consequence::Restart(_)));
        let failed = Consequence::Failed("workers die before they are ready".to_owned(), 1);
        assert_eq!(after(&server, &mut children, &child, 3), failed);
    }

    #[test]
    fn nobody_takes_the_place_of_who_is_replaced_already() {
        let (mut server, mut children) = (serving(Settings::default()), Children::default());
        let child = booting(&server);
        add_worker(&server, &mut children, 1, 1);
        assert_eq!(after(&server, &mut children, &child, 0), Consequence::Nothing);
        server.generation = 2;
        assert_eq!(after(&server, &mut children, &child, 0), Consequence::Nothing);
    }

    #[test]
    fn a_zygote_that_ends_by_itself_stops_a_reload_and_no_server() {
        let mut server = serving(Settings::default());
        let mut zygote = Child::new(Role::Zygote, 0, 9, 1);
        let lost = "the process that loads the application ended with status 3".to_owned();
        let ended = Ended::Exited(3);
        assert_eq!(after_zygote(&server, &zygote, ended), Consequence::ZygoteLost(lost.clone()));
        server.phase = Phase::Starting;
        assert_eq!(after_zygote(&server, &zygote, ended), Consequence::Failed(lost, 1));
        zygote.leave(Leaving::Reloaded, None);
        assert_eq!(after_zygote(&server, &zygote, ended), Consequence::Nothing);
    }

    #[test]
    fn a_worker_is_ready_when_its_pid_is_known() {
        let (server, mut children) = (serving(Settings::default()), Children::default());
        server.scoreboard().worker(2).assign(1, 1, server.scoreboard().next_assignment());
        server.scoreboard().worker(2).set_stage(Stage::Ready);
        children.expect(Child::new(Role::Worker, 1, 2, 1));
        assert!(newly_ready(&server, &children).is_empty());
        children.get_mut(Role::Worker, 2).unwrap().set_pid(i32::MAX, 0);
        assert_eq!(newly_ready(&server, &children), [2]);
    }
}

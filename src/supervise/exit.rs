//! What the log says of a child that has ended, or that has to.

use super::child::{Child, Leaving, Role, Stage};
use crate::process::exit::EXIT_NO_APP;
use crate::sys::process::{self, Ended};
use crate::sys::signal;
use std::time::Duration;

/// What matters beside the child and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// Requests that it has answered.
    pub served: u64,
    /// Nobody takes its place.
    pub is_stopping: bool,
}

/// `None`: it was said when it was killed, or what follows from it is said instead.
pub fn message(child: &Child, ended: Ended, circumstances: Circumstances) -> Option<String> {
    let Circumstances { served, is_stopping } = circumstances;
    let name = child.name();
    Some(match (child.stage, ended) {
        _ if child.role != Role::Worker => return None,
        (Stage::Leaving(Leaving::Harakiri), _) => format!("{name} was killed by harakiri; replacing it"),
        (Stage::Leaving(_), Ended::Killed(signal::SIGKILL)) if !child.was_ready => return None,
        (Stage::Leaving(Leaving::Discarded | Leaving::Killed), _) => return None,
        (_, Ended::Exited(0)) if child.leaving().is_none() && !is_stopping => {
            format!("{name} has ended by itself; replacing it")
        }
        (_, Ended::Exited(0)) => format!("{name} has left after {served} requests"),
        (_, Ended::Killed(signal)) => killed(child, signal, circumstances),
        (_, Ended::Exited(EXIT_NO_APP)) => format!("{name} could not load the application"),
        (_, Ended::Exited(process::PANICKED)) => {
            format!("{name} ended by a bug of rwsgi (see the panic above); please report it")
        }
        (_, Ended::Exited(status)) => format!("{name} ended with status {status}"),
    })
}

fn killed(child: &Child, signal: i32, circumstances: Circumstances) -> String {
    let is_strange = signal == signal::SIGKILL && !child.was_killed;
    let is_replaced = child.leaving().is_none() && !circumstances.is_stopping;
    format!(
        "{} was killed by {}{} after {} requests{}",
        child.name(),
        signal::name(signal),
        if is_strange { " (by hand, or by the kernel for want of memory: see dmesg)" } else { "" },
        circumstances.served,
        if is_replaced { "; replacing it" } else { "" },
    )
}

/// How `what` ended, as the cause of what follows.
pub fn cause(what: &str, ended: Ended) -> String {
    match ended {
        Ended::Exited(status) => format!("{what} ended with status {status}"),
        Ended::Killed(signal) => format!("{what} was killed by {}", signal::name(signal)),
    }
}

/// Of a child whose time is up, before it is killed. `None`: it was said, or what follows from it will be.
pub fn overdue(child: &Child, mercy: Duration) -> Option<String> {
    let name = child.name();
    match child.stage {
        _ if child.role != Role::Worker => None,
        Stage::Leaving(Leaving::Reloaded | Leaving::Recycled | Leaving::Stopped) if child.was_ready => {
            let mercy = mercy.as_secs();
            Some(format!("{name} is still busy after worker-reload-mercy = {mercy} s; killed"))
        }
        Stage::Leaving(_) => None,
        _ => Some(format!("{name} did not get ready within boot-timeout; killed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: Circumstances = Circumstances { served: 7, is_stopping: false };
    const STOPPING: Circumstances = Circumstances { served: 7, is_stopping: true };

    fn worker(stage: Stage, was_ready: bool) -> Child {
        Child { stage, was_ready, pid: Some(99), ..Child::new(Role::Worker, 2, 0, 1) }
    }

    #[test]
    fn an_end_is_told_once_and_with_its_reason() {
        let ready = worker(Stage::Ready, true);
        let told = |child: &Child, ended| message(child, ended, RUNNING);
        let of = |text: &str| Some(format!("worker 2 (pid 99) {text}"));
        assert_eq!(told(&ready, Ended::Exited(0)), of("has ended by itself; replacing it"));
        assert_eq!(message(&ready, Ended::Exited(0), STOPPING), of("has left after 7 requests"));
        let by_hand = "was killed by SIGKILL (by hand, or by the kernel for want of memory: see dmesg) after 7 requests";
        let ended = Ended::Killed(signal::SIGKILL);
        assert_eq!(told(&ready, ended), of(&format!("{by_hand}; replacing it")));
        assert_eq!(message(&ready, ended, STOPPING), of(by_hand));
        let by_us = Child { was_killed: true, ..worker(Stage::Leaving(Leaving::Reloaded), true) };
        assert_eq!(told(&by_us, ended), of("was killed by SIGKILL after 7 requests"));
        assert_eq!(told(&ready, Ended::Exited(EXIT_NO_APP)), of("could not load the application"));
        assert_eq!(told(&worker(Stage::Leaving(Leaving::Reloaded), false), ended), None);
        assert_eq!(told(&worker(Stage::Leaving(Leaving::Discarded), true), Ended::Exited(3)), None);
        assert_eq!(told(&Child::new(Role::Zygote, 0, 0, 1), ended), None);
    }

    #[test]
    fn who_is_killed_for_being_late_is_named() {
        let told = |stage, was_ready| overdue(&worker(stage, was_ready), Duration::from_secs(60));
        assert!(told(Stage::Booting, false).unwrap().ends_with("within boot-timeout; killed"));
        assert!(told(Stage::Leaving(Leaving::Stopped), true).unwrap().contains("mercy = 60 s; killed"));
        assert_eq!(told(Stage::Leaving(Leaving::Stopped), false), None);
        assert_eq!(told(Stage::Leaving(Leaving::Harakiri), true), None);
    }
}

//! What the master is to do, on behalf of a signal, a file that was touched, or a worker. It is done in one place,
//! `run.rs`.

use crate::alarm::Delivery;
use crate::report::Document;
use crate::report::stacks::WorkerStacks;
use crate::sys::signal;
use std::rc::Rc;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the next generation. The cause says in the log why.
    Reload(String),
    /// The first time gracefully, the second time at once.
    Stop(String),
    /// Accept nothing new; the second time: go on.
    TogglePause(String),
    /// Open the log's file anew.
    ReopenLog(String),
    LogStatus,
    /// Take the stacks of one worker.
    DumpStacks(Dump),
    DumpAllStacks(String),
    /// Start what an alarm does.
    Deliver(Delivery),
    /// Take the stacks of one worker, or of all, for whoever has asked for them.
    ReadStacks(Reader, Option<u32>),
    /// What a reader has asked for.
    GiveStacks(Reader, Rc<Vec<WorkerStacks>>),
    /// Take a profile for a reader of the stats server.
    Profile(Ticket, ProfileRequest),
    /// Replace the worker in this slot when a successor is ready.
    Recycle(usize, Why),
    /// Give a reader of the stats server the document that it waits for.
    Answer(Ticket, Document),
}

/// Names a reader of the stats server that waits for its document: no two readers ever have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(pub u64);

/// How a profile is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileRequest {
    pub time: Duration,
    /// Samples a second.
    pub hz: u64,
    /// `None`: all workers.
    pub worker: Option<u32>,
}

/// A stack dump of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    pub slot: usize,
    pub output: Output,
    pub then: Then,
}

/// Who has asked for stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A reader of the stats server: the document `/stacks`.
    Document(Ticket),
    /// A reader of `py-tracebacker`: the lines that uWSGI writes.
    Tracebacker(Ticket),
}

/// What becomes of a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// All of it is logged, below this title.
    Log(String),
    /// The stacks of the threads that run these requests are logged.
    Slow(Vec<SlowRequest>),
    /// Those who have asked the master for stacks get it.
    Readers,
}

/// A request that has run longer than `log-slow-stack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowRequest {
    pub core: usize,
    pub started_us: u64,
}

/// What follows a stack dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Nothing,
    /// Tell the worker that a request's time is up.
    Expire,
    /// The worker answers its clients, then dies.
    Kill,
}

/// Why a worker is to be replaced, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Requests,
    Exception,
    Lifetime,
    /// A signal or the application asked it to leave.
    Told,
    /// It cannot take connections any more.
    Broken,
    /// Bytes that it has, and the option that forbids them.
    Memory(u64, &'static str),
}

/// Signals that the master acts on.
pub const SIGNALS: [i32; 8] = [
    signal::SIGCHLD,
    signal::SIGHUP,
    signal::SIGINT,
    signal::SIGTERM,
    signal::SIGQUIT,
    signal::SIGUSR1,
    signal::SIGUSR2,
    signal::SIGTSTP,
];

/// Makes an action of its cause.
pub type OfCause = fn(String) -> Action;

/// What signals ask for, in the order in which it is done. Of those that stop the first counts.
const ACTIONS: [(i32, &str, OfCause); 7] = [
    (signal::SIGINT, "SIGINT", Action::Stop),
    (signal::SIGTERM, "SIGTERM", Action::Stop),
    (signal::SIGQUIT, "SIGQUIT", Action::Stop),
    (signal::SIGHUP, "SIGHUP", Action::Reload),
    (signal::SIGTSTP, "SIGTSTP", Action::TogglePause),
    (signal::SIGUSR1, "SIGUSR1", |_| Action::LogStatus),
    (signal::SIGUSR2, "SIGUSR2", Action::DumpAllStacks),
];

/// What a set of signals asks for.
pub fn of_signals(noted: u64) -> Vec<Action> {
    let asked = ACTIONS.iter().filter(|(signal, ..)| signal::is_in(noted, *signal));
    let mut actions: Vec<Action> = asked.map(|(_, name, action)| action((*name).to_owned())).collect();
    actions.dedup_by(|a, b| matches!((a, b), (Action::Stop(_), Action::Stop(_))));
    actions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(signals: &[i32]) -> u64 {
        signals.iter().fold(0, |set, signal| set | 1 << signal)
    }

    #[test]
    fn signals_ask_for_actions_in_a_fixed_order() {
        let name = str::to_owned;
        assert_eq!(of_signals(0), []);
        assert_eq!(of_signals(noted(&[signal::SIGCHLD])), []);
        assert_eq!(
            of_signals(noted(&SIGNALS)),
            [
                Action::Stop(name("SIGINT")),
                Action::Reload(name("SIGHUP")),
                Action::TogglePause(name("SIGTSTP")),
                Action::LogStatus,
                Action::DumpAllStacks(name("SIGUSR2")),
            ]
        );
        assert_eq!(of_signals(noted(&[signal::SIGQUIT])), [Action::Stop(name("SIGQUIT"))]);
    }
}

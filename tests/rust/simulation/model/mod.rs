//! A simulation of a server: clients that send a request when the last is answered, processes with threads and an
//! interpreter each, processors. Requests are given out by the functions of src/policy, or by other rules.

pub mod engine;
pub mod live;
mod machine;
mod outcome;
mod random;
pub mod rules;
pub mod traces;

use engine::{Connections, Setup, simulate};
use outcome::Outcome;
use rules::{Admits, Places, Rule};
use rwsgi::policy::admission::YOUNG_US;
use traces::{Clients, Work};

/// The first process in the kernel's order that has a thread takes what comes: rwsgi 0.1 on HTTP.
pub const FIRST: Rule = Rule::new("first thread", Admits::Always, Places::First);
/// Whichever thread is there first: uWSGI, gunicorn.
pub const PLAIN: Rule = Rule::new("plain accept", Admits::Always, Places::Random);
/// rwsgi 0.1 on uwsgi sockets.
pub const BEFORE: Rule = Rule::new("idle or waiting", Admits::Stalled, Places::Least);
/// First come first served: as many requests as processes.
pub const FCFS: Rule = Rule::new("one a process", Admits::Never, Places::Better);
/// All share the processors at once.
pub const SHARING: Rule = Rule::new("processor sharing", Admits::Always, Places::Better);
pub const TWO_CHOICES: Rule = Rule::new("two choices", Admits::Young(YOUNG_US), Places::TwoChoices);
pub const AGE: Rule = Rule::new("age", Admits::Young(YOUNG_US), Places::Better);

/// Processes × threads.
pub type Shape = (usize, usize);

/// Two processors, as where the live figures were measured.
pub fn setup(rule: Rule, connections: Connections, shape: Shape, clients: &[Clients], seconds: f64) -> Setup {
    let threads = if rule.admits == Admits::Never { 1 } else { shape.1 };
    Setup {
        rule,
        processors: 2,
        processes: shape.0,
        threads,
        has_gil: true,
        connections,
        clients: clients.to_vec(),
        seconds,
        seed: 1,
    }
}

pub fn run(rule: Rule, connections: Connections, shape: Shape, clients: &[Clients], seconds: f64) -> Outcome {
    simulate(&setup(rule, connections, shape, clients, seconds))
}

/// A quick request, 0.1 ms, of a client that pauses for 50 ms, beside others. It is the last of the kinds.
pub fn quick_beside(count: usize, work: Work) -> Vec<Clients> {
    vec![Clients::new(count, work), Clients::new(1, Work::Cpu(100)).thinking(40_000, 60_000)]
}

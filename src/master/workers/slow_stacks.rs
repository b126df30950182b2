//! `log-slow-stack`: the stack of a request that takes long is logged while it runs.

use crate::log;
use crate::master::action::{Action, Dump, Output, SlowRequest, Then};
use crate::master::server::Server;
use crate::master::service::Service;
use crate::report::stacks::{self, UNANSWERED, WorkerStacks};
use crate::shm::scoreboard::{CoreSlot, Phase, Scoreboard};
use crate::supervise::{Child, Children, Leaving, Role};
use std::sync::atomic::Ordering::Relaxed;

/// The stacks of so many requests are logged a second.
const MAX_A_SECOND: u32 = 10;
const SECOND_US: u64 = 1_000_000;

pub struct SlowStacks {
    /// For each core of each slot the start of the request whose stack was taken last.
    taken: Vec<u64>,
    next_look_us: u64,
    second: Second,
}

/// What was taken and left out since a moment, for a second.
#[derive(Default)]
struct Second {
    since_us: u64,
    taken: u32,
    left_out: u32,
}

impl SlowStacks {
    pub fn starting(now: u64) -> SlowStacks {
        SlowStacks { taken: Vec::new(), next_look_us: now, second: Second::default() }
    }

    /// The requests of one worker that have become slow. Notes when the next one may.
    fn look(&mut self, scoreboard: Scoreboard, slot: usize, limit: u64, now: u64) -> Vec<SlowRequest> {
        let mut slow = Vec::new();
        for (core, words) in scoreboard.cores(slot).enumerate() {
            let Some(started_us) = started(words) else { continue };
            let taken = &mut self.taken[slot * scoreboard.threads() + core];
            if *taken == started_us {
                continue;
            }
            if now.saturating_sub(started_us) < limit {
                self.next_look_us = self.next_look_us.min(started_us + limit);
                continue;
            }
            *taken = started_us;
            if self.second.has_room() {
                slow.push(SlowRequest { core, started_us });
            }
        }
        slow
    }
}

/// When the request that a core runs began.
fn started(core: CoreSlot) -> Option<u64> {
    (core.phase() != Phase::Idle).then(|| core.started_us().load(Relaxed))
}

impl Second {
    /// Begins anew when a second is over; says then what was left out.
    fn turn(&mut self, now: u64) {
        if now.saturating_sub(self.since_us) < SECOND_US {
            return;
        }
        if self.left_out > 0 {
            log::say(&format!(
                "log-slow-stack: {} more requests have become slow within a second; their stacks are left out",
                self.left_out
            ));
        }
        *self = Second { since_us: now, ..Second::default() };
    }

    fn has_room(&mut self) -> bool {
        let has_room = self.taken < MAX_A_SECOND;
        let count = if has_room { &mut self.taken } else { &mut self.left_out };
        *count += 1;
        has_room
    }
}

impl Service for SlowStacks {
    fn tick(&mut self, now: u64, server: &Server, children: &mut Children) -> Vec<Action> {
        let Some(limit) = server.settings().log.slow_stack else { return Vec::new() };
        if now < self.next_look_us {
            return Vec::new();
        }
        let (limit, scoreboard) = (limit.as_micros() as u64, server.scoreboard());
        self.second.turn(now);
        self.taken.resize(scoreboard.slots() * scoreboard.threads(), 0);
        // What begins later cannot be slow before.
        self.next_look_us = now + limit;
        let may_run = |child: &&Child| child.was_ready && child.leaving() != Some(Leaving::Harakiri);
        let mut actions = Vec::new();
        for child in children.of(Role::Worker).filter(may_run) {
            let slow = self.look(scoreboard, child.slot, limit, now);
            if !slow.is_empty() {
                let output = Output::Slow(slow);
                actions.push(Action::DumpStacks(Dump { slot: child.slot, output, then: Then::Nothing }));
            }
        }
        self.next_look_us = self.next_look_us.max(now + rest_us(limit));
        actions
    }

    fn deadline(&self, _: u64, server: &Server) -> Option<u64> {
        let left_out = (self.second.left_out > 0).then_some(self.second.since_us + SECOND_US);
        let next = left_out.map_or(self.next_look_us, |at| at.max(self.next_look_us));
        server.settings().log.slow_stack.map(|_| next)
    }
}

/// Between two looks at least: where many requests run, one of them becomes slow at any time.
fn rest_us(limit: u64) -> u64 {
    (limit / 10).clamp(1_000, 100_000)
}

/// Logs what these requests do, each as an entry of its own.
pub fn log_each(requests: &[SlowRequest], worker: &WorkerStacks, now: u64) {
    for request in requests {
        log::say(&entry(*request, worker, now));
    }
}

fn entry(request: SlowRequest, worker: &WorkerStacks, now: u64) -> String {
    let SlowRequest { core, started_us } = request;
    let age = now.saturating_sub(started_us) as f64 / 1e6;
    let place = format!("worker {} (pid {}), core {core}", worker.id, worker.pid);
    let thread = worker.threads.iter().find(|thread| thread.core == Some(core));
    let current = thread.and_then(|thread| thread.current.as_ref());
    let Some((thread, current)) = thread.zip(current.filter(|current| current.started_us == started_us))
    else {
        let why = if worker.answered { "(it ended while its stack was taken)" } else { UNANSWERED };
        return format!("slow request: a request in {place} has run for {age:.1} s\n{why}");
    };
    let mut text = format!(
        "slow request: {current} has run for {age:.1} s in {place}; its stack, most recent call first:"
    );
    stacks::push_frames(&mut text, thread);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::master::server::tests::{add_worker, serving};
    use crate::report::stacks::{Frame, ThreadStack};
    use std::time::Duration;

    const LIMIT: u64 = 500_000;

    fn server(limit: Option<u64>) -> (Server, Children) {
        let mut settings = Settings::default();
        settings.log.slow_stack = limit.map(Duration::from_micros);
        let (server, mut children) = (serving(settings), Children::default());
        add_worker(&server, &mut children, 1, 1);
        (server, children)
    }

    fn slow(actions: &[Action]) -> Vec<SlowRequest> {
        actions
            .iter()
            .flat_map(|action| match action {
                Action::DumpStacks(Dump { output: Output::Slow(requests), slot: 1, then: Then::Nothing }) => {
                    requests.clone()
                }
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_slow_request_is_found_once_and_in_time() {
        let (server, mut children) = server(Some(LIMIT));
        let mut service = SlowStacks::starting(0);
        assert_eq!(service.tick(1, &server, &mut children), []);
        assert_eq!(service.deadline(1, &server), Some(1 + LIMIT));
        server.scoreboard().core(1, 0).begin(8, 200_000, 0, b"GET", b"/");
        assert_eq!(service.tick(1 + LIMIT, &server, &mut children), []);
        assert_eq!(service.deadline(1 + LIMIT, &server), Some(200_000 + LIMIT));
        let found = slow(&service.tick(200_000 + LIMIT, &server, &mut children));
        assert_eq!(found, [SlowRequest { core: 0, started_us: 200_000 }]);
        assert_eq!(service.tick(9 * LIMIT, &server, &mut children), []);
        assert_eq!(service.deadline(9 * LIMIT, &server), Some(10 * LIMIT));
    }

    #[test]
    fn without_the_option_nobody_looks() {
        let (server, mut children) = server(None);
        server.scoreboard().core(1, 0).begin(8, 1, 0, b"GET", b"/");
        let mut service = SlowStacks::starting(0);
        assert_eq!(service.tick(9 * LIMIT, &server, &mut children), []);
        assert_eq!(service.deadline(9 * LIMIT, &server), None);
    }

    #[test]
    fn what_is_too_much_for_a_second_is_counted() {
        let (server, mut children) = server(Some(1_000));
        let mut service = SlowStacks::starting(0);
        let mut found = 0;
        for round in 1..=12 {
            let now = SECOND_US + round * 10_000;
            server.scoreboard().core(1, 0).begin(8, now - 1_000, 0, b"GET", b"/");
            found += slow(&service.tick(now, &server, &mut children)).len();
        }
        assert_eq!((found, service.second.left_out), (10, 2));
        let over = service.second.since_us + SECOND_US;
        assert_eq!(service.deadline(over - 1, &server), Some(over));
        service.tick(over, &server, &mut children);
        assert_eq!(service.second.left_out, 0);
    }

    #[test]
    fn the_entry_has_the_stack_of_this_request_alone() {
        let (server, _) = server(None);
        let core = server.scoreboard().core(1, 0);
        core.begin(8, 1_000_000, 0, b"GET", b"/a");
        let frames = vec![Frame { file: "/a.py".to_owned(), line: 3, function: "view".to_owned() }];
        let mine =
            ThreadStack { core: Some(0), current: core.current_request(), frames, ..ThreadStack::default() };
        let threads = vec![ThreadStack::default(), mine];
        let worker = WorkerStacks { id: 2, pid: 9, answered: true, threads };
        let request = SlowRequest { core: 0, started_us: 1_000_000 };
        let head = "slow request: GET /a has run for 0.5 s in worker 2 (pid 9), core 0; its stack, most recent call first:";
        assert_eq!(entry(request, &worker, 1_500_000), format!("{head}\n  File \"/a.py\", line 3 in view"));
        let ended = entry(SlowRequest { started_us: 7, ..request }, &worker, 1_500_000);
        assert!(ended.ends_with("\n(it ended while its stack was taken)"), "{ended}");
        let silent = WorkerStacks { id: 2, pid: 9, ..WorkerStacks::default() };
        assert!(entry(request, &silent, 1_500_000).ends_with(UNANSWERED));
    }
}

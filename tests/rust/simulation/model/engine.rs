//! The simulation: clients, processes and their threads, one event after the other.

mod serving;

use super::machine::{Gil, Processors, SWITCH_INTERVAL_US};
use super::outcome::{Answer, Outcome};
use super::random::Random;
use super::rules::{Places, Rule};
use super::traces::{Clients, Step};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// This part of the time is over before anything is counted.
const WARM_UP: f64 = 0.1;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Connections {
    New,
    Kept,
}

#[derive(Clone, Debug)]
pub struct Setup {
    pub rule: Rule,
    pub processors: usize,
    pub processes: usize,
    pub threads: usize,
    /// Without a GIL threads compute side by side.
    pub has_gil: bool,
    pub connections: Connections,
    pub clients: Vec<Clients>,
    pub seconds: f64,
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives { client: usize },
    SliceOver { thread: usize, plan: u64 },
    WaitOver { thread: usize },
    IntervalOver { thread: usize, switches: u64, wait: u64 },
    Look { process: usize, look: u64 },
    Given { client: usize, process: usize },
}

struct Client {
    kind: usize,
    /// The process that has its connection.
    process: usize,
    steps: Vec<Step>,
    sent_us: u64,
}

#[derive(Default)]
struct Thread {
    client: Option<usize>,
    step: usize,
    gil_wait: u64,
}

#[derive(Default)]
struct Process {
    spare: Vec<usize>,
    gil: Gil,
    held: VecDeque<usize>,
    given: u64,
    begun_us: u64,
    progress_us: u64,
    ended_us: u64,
    back_off_us: u64,
    look: u64,
    is_look_due: bool,
}

pub struct Simulation {
    setup: Setup,
    now: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    planned: u64,
    random: Random,
    cpus: Processors,
    clients: Vec<Client>,
    threads: Vec<Thread>,
    processes: Vec<Process>,
    backlog: VecDeque<usize>,
    outcome: Outcome,
}

pub fn simulate(setup: &Setup) -> Outcome {
    let mut simulation = Simulation::new(setup.clone());
    simulation.connect();
    simulation.run();
    simulation.outcome
}

impl Simulation {
    fn new(setup: Setup) -> Simulation {
        let threads = setup.processes * setup.threads;
        let spare = |process: usize| (process * setup.threads..(process + 1) * setup.threads).rev().collect();
        let processes =
            (0..setup.processes).map(|process| Process { spare: spare(process), ..Process::default() });
        let kinds = setup.clients.iter().enumerate();
        let clients = kinds.flat_map(|(kind, clients)| (0..clients.count).map(move |_| kind));
        let clients: Vec<_> =
            clients.map(|kind| Client { kind, process: 0, steps: Vec::new(), sent_us: 0 }).collect();
        Simulation {
            now: 0,
            events: BinaryHeap::new(),
            planned: 0,
            random: Random(setup.seed),
            cpus: Processors::new(setup.processors, threads),
            threads: (0..threads).map(|_| Thread::default()).collect(),
            processes: processes.collect(),
            backlog: VecDeque::new(),
            outcome: Outcome::new(
                setup.processes,
                clients.len(),
                setup.clients.len(),
                setup.seconds * (1.0 - WARM_UP),
            ),
            clients,
            setup,
        }
    }

    fn connect(&mut self) {
        for client in 0..self.clients.len() {
            let process = match self.setup.rule.places {
                Places::Random => self.random.below(self.setup.processes),
                // Without requests, the first process has a thread for each until it has as many as threads.
                _ => client / self.setup.threads % self.setup.processes,
            };
            self.clients[client].process = process;
            let at = self.random.between(0, 20_000);
            self.plan(at, Event::Arrives { client });
        }
    }

    fn run(&mut self) {
        let end = (self.setup.seconds * 1e6) as u64;
        while let Some(Reverse((at, _, event))) = self.events.pop().filter(|Reverse((at, ..))| *at <= end) {
            self.now = at;
            self.handle(event);
            while let Some(thread) = self.cpus.start_next(self.now) {
                self.started(thread);
            }
        }
    }

    fn plan(&mut self, after: u64, event: Event) {
        self.planned += 1;
        self.events.push(Reverse((self.now + after, self.planned, event)));
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrives { client } => self.arrives(client),
            Event::SliceOver { thread, plan } => {
                if self.cpus.tasks[thread].plan == plan && self.cpus.end_slice(thread, self.now) {
                    self.step_over(thread);
                }
            }
            Event::WaitOver { thread } => self.step_over(thread),
            Event::IntervalOver { thread, switches, wait } => self.interval_over(thread, switches, wait),
            Event::Look { process, look } => {
                if self.processes[process].look == look {
                    self.processes[process].is_look_due = false;
                    self.serve(process);
                }
            }
            Event::Given { client, process } => {
                self.processes[process].given -= 1;
                self.hold(client, process);
            }
        }
    }

    // ── threads ──

    fn process_of(&self, thread: usize) -> usize {
        thread / self.setup.threads
    }

    fn gil(&mut self, thread: usize) -> &mut Gil {
        let process = self.process_of(thread);
        &mut self.processes[process].gil
    }

    /// The kernel has put a thread on a processor.
    fn started(&mut self, thread: usize) {
        let gil = self.gil(thread);
        if gil.holder == Some(thread) && gil.is_asked_for {
            self.drop_gil(thread);
        } else {
            let slice = self.cpus.slice(thread);
            let plan = self.cpus.tasks[thread].plan;
            self.plan(slice, Event::SliceOver { thread, plan });
        }
    }

    fn drop_gil(&mut self, thread: usize) {
        self.cpus.stop(thread, self.now);
        self.release_gil(thread);
        self.acquire_gil(thread);
    }

    fn acquire_gil(&mut self, thread: usize) {
        if self.gil(thread).acquire(thread) {
            self.cpus.wake(thread, self.now);
        } else {
            self.wait_for_gil(thread);
        }
    }

    fn wait_for_gil(&mut self, thread: usize) {
        let switches = self.gil(thread).switches;
        let wait = self.threads[thread].gil_wait;
        self.plan(SWITCH_INTERVAL_US, Event::IntervalOver { thread, switches, wait });
    }

    fn release_gil(&mut self, thread: usize) {
        if let Some(next) = self.gil(thread).release() {
            self.threads[next].gil_wait += 1;
            self.cpus.wake(next, self.now);
        }
    }

    fn interval_over(&mut self, thread: usize, switches: u64, wait: u64) {
        if self.threads[thread].gil_wait != wait {
            return;
        }
        let gil = self.gil(thread);
        gil.ask(thread, switches);
        let (holder, is_asked_for) = (gil.holder, gil.is_asked_for);
        self.wait_for_gil(thread);
        if let Some(holder) = holder.filter(|&holder| is_asked_for && self.cpus.is_on(holder)) {
            self.drop_gil(holder);
        }
    }

    fn begin(&mut self, client: usize, process: usize) {
        let now = self.now;
        let of = &mut self.processes[process];
        let thread = of.spare.pop().unwrap();
        (of.begun_us, of.progress_us) = (now, now);
        self.cpus.tasks[thread].cpu_us = 0;
        self.threads[thread].client = Some(client);
        self.threads[thread].step = 0;
        self.step(thread);
    }

    fn step(&mut self, thread: usize) {
        let step = self.threads[thread]
            .client
            .map(|client| self.clients[client].steps.get(self.threads[thread].step));
        match step.flatten().copied() {
            Some(Step::Python(us)) if self.setup.has_gil => {
                self.cpus.tasks[thread].left_us = us;
                self.acquire_gil(thread);
            }
            Some(Step::Native(us) | Step::Python(us)) => {
                self.cpus.tasks[thread].left_us = us;
                self.cpus.wake(thread, self.now);
            }
            Some(Step::Wait(us)) => self.plan(us, Event::WaitOver { thread }),
            None => self.end(thread),
        }
    }

    fn step_over(&mut self, thread: usize) {
        if self.gil(thread).holder == Some(thread) {
            self.release_gil(thread);
        }
        self.threads[thread].step += 1;
        self.step(thread);
    }

    fn end(&mut self, thread: usize) {
        let (process, now) = (self.process_of(thread), self.now);
        let client = self.threads[thread].client.take().unwrap();
        let of = &mut self.processes[process];
        of.spare.push(thread);
        (of.progress_us, of.ended_us) = (now, now);
        let Client { kind, sent_us, .. } = self.clients[client];
        if now as f64 > self.setup.seconds * 1e6 * WARM_UP {
            self.outcome.note(Answer { process, client, kind, took_us: now - sent_us });
        }
        let (least, most) = self.setup.clients[kind].think_us;
        let think = self.random.between(least, most);
        self.plan(think, Event::Arrives { client });
        self.serve(process);
    }
}

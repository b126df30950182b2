//! Who runs a request, and where it waits.

use super::{Connections, Event, Simulation};
use crate::model::rules::{Admits, Places, Snapshot};
use rwsgi::policy::admission::{Admission, Machine, Running, SHORT_US};
use rwsgi::policy::placement::{Load, Place, better_place};
use std::time::Duration;

/// To send a connection to another process, which has to wake up for it.
const GIVE_US: u64 = 50;
/// When the threads of a process are all busy, its standby poller looks for another process.
const STANDBY_US: u64 = 1_000;

impl Simulation {
    pub(super) fn arrives(&mut self, client: usize) {
        let work = self.setup.clients[self.clients[client].kind].work;
        self.clients[client].steps = work.steps(&mut self.random);
        self.clients[client].sent_us = self.now;
        if self.setup.rule.places == Places::TwoChoices {
            let process = self.better_of_two();
            self.hold(client, process);
        } else if self.setup.connections == Connections::Kept {
            let process = self.clients[client].process;
            self.hold(client, process);
        } else {
            self.backlog.push_back(client);
            self.offer();
        }
    }

    pub(super) fn hold(&mut self, client: usize, process: usize) {
        self.clients[client].process = process;
        // Given ones may have waited for longer.
        let since = |&other: &usize| self.clients[other].sent_us <= self.clients[client].sent_us;
        let place = self.processes[process].held.iter().rposition(since).map_or(0, |index| index + 1);
        self.processes[process].held.insert(place, client);
        if self.in_flight(process) == 0 || !self.processes[process].is_look_due {
            self.serve(process);
        }
    }

    fn better_of_two(&mut self) -> usize {
        let (one, other) = (self.random.below(self.setup.processes), self.random.below(self.setup.processes));
        if self.load(one).total() <= self.load(other).total() { one } else { other }
    }

    /// A connection stands in the backlog: the kernel wakes one process after the other.
    fn offer(&mut self) {
        let mut order: Vec<usize> = (0..self.setup.processes).collect();
        match self.setup.rule.places {
            Places::First => {}
            Places::Random | Places::TwoChoices => {
                for at in (1..order.len()).rev() {
                    order.swap(at, self.random.below(at + 1));
                }
            }
            Places::Least | Places::Better => {
                order.sort_by_key(|&process| (self.in_flight(process), self.processes[process].ended_us))
            }
        }
        for process in order {
            if !self.backlog.is_empty()
                && (self.in_flight(process) == 0 || !self.processes[process].is_look_due)
            {
                self.serve(process);
            }
        }
    }

    fn in_flight(&self, process: usize) -> usize {
        self.setup.threads - self.processes[process].spare.len()
    }

    fn load(&self, process: usize) -> Load {
        let of = &self.processes[process];
        let waiting = of.held.len() as u64 + of.given;
        let oldest_us = of.held.front().map_or(0, |&client| self.clients[client].sent_us);
        Load { in_flight: self.in_flight(process) as u64, waiting, begun_us: of.begun_us, oldest_us }
    }

    /// A process takes what it may, and finds a place for the rest.
    pub(super) fn serve(&mut self, process: usize) {
        loop {
            let of = &self.processes[process];
            if of.held.is_empty() && self.backlog.is_empty() || self.backs_off(process) {
                return;
            }
            let wait_us = match self.admit(process) {
                Admission::Begin => {
                    let held = self.processes[process].held.pop_front();
                    let Some(client) = held.or_else(|| self.backlog.pop_front()) else { return };
                    self.begin(client, process);
                    continue;
                }
                Admission::Wait(time) => time.as_micros() as u64,
            };
            let Some(wait_us) = self.place(process, wait_us) else { continue };
            return self.look_after(process, wait_us);
        }
    }

    /// With the rule of before, a process that has found itself computing takes nothing until its next look, or its end.
    fn backs_off(&self, process: usize) -> bool {
        self.setup.rule.admits == Admits::Stalled
            && self.processes[process].is_look_due
            && self.in_flight(process) > 0
    }

    fn admit(&mut self, process: usize) -> Admission {
        if self.processes[process].spare.is_empty() {
            return Admission::Wait(Duration::from_micros(STANDBY_US));
        }
        if self.in_flight(process) == 0 {
            return Admission::Begin;
        }
        let running = self.running(process);
        let machine = Machine {
            processes: self.setup.processes as u64,
            processors: self.setup.processors as u64,
            at_once: if self.setup.has_gil { 1 } else { self.setup.processors as u64 },
        };
        let of = &mut self.processes[process];
        let since_progress_us = self.now - of.progress_us;
        let back_off_us = &mut of.back_off_us;
        self.setup.rule.admit(Snapshot { running: &running, machine, since_progress_us, back_off_us })
    }

    fn running(&self, process: usize) -> Vec<Running> {
        let threads = process * self.setup.threads..(process + 1) * self.setup.threads;
        let busy = threads.filter(|&thread| self.threads[thread].client.is_some());
        busy.map(|thread| Running {
            computes: self.cpus.is_runnable(thread),
            cpu_us: self.cpus.cpu_us(thread, self.now),
        })
        .collect()
    }

    /// `None`: another process has got one. Otherwise the time until another look makes sense.
    fn place(&mut self, process: usize, wait_us: u64) -> Option<u64> {
        if self.setup.rule.places != Places::Better || self.processes[process].held.is_empty() {
            return Some(wait_us);
        }
        let age = self.now - self.processes[process].begun_us;
        if age < SHORT_US {
            return Some(wait_us.min(SHORT_US - age));
        }
        let others = (0..self.setup.processes).filter(|&other| other != process);
        let others = others.map(|other| (other, self.load(other)));
        let Some(place) = better_place(self.load(process), others) else { return Some(wait_us) };
        self.give(process, place);
        None
    }

    fn give(&mut self, from: usize, place: Place) {
        let held = &mut self.processes[from].held;
        let (client, to) = match place {
            Place::Oldest(to) => (held.pop_front().unwrap(), to),
            Place::Youngest(to) => (held.pop_back().unwrap(), to),
        };
        self.processes[to].given += 1;
        self.outcome.gives += 1;
        self.plan(GIVE_US, Event::Given { client, process: to });
    }

    fn look_after(&mut self, process: usize, wait_us: u64) {
        self.processes[process].look += 1;
        self.processes[process].is_look_due = true;
        self.outcome.looks += 1;
        let look = self.processes[process].look;
        self.plan(wait_us, Event::Look { process, look });
    }
}

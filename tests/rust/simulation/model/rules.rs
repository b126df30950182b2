//! Who runs a request: the rules that are compared.

use rwsgi::policy::admission::{self, Admission, Machine, Running};
use std::time::Duration;

/// May a process begin another request beside those that it runs?
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Admits {
    /// As long as it has a thread: uWSGI, gunicorn; sharing of the GIL.
    Always,
    /// First come first served, one request a process.
    Never,
    /// Not while one computes, unless none was begun or completed for a second: rwsgi 0.1 on uwsgi sockets.
    Stalled,
    /// Not while one that is younger computes: `policy::admission`.
    Young(u64),
}

/// Who gets a new connection first; where a request of a kept one waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Places {
    /// The first process in the kernel's order that has a thread.
    First,
    Random,
    /// The process that runs the least: the accept queues. Kept connections stay where they are.
    Least,
    /// Kept connections move as well: `policy::placement`.
    Better,
    /// The better of two processes, at random, when it comes.
    TwoChoices,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    pub name: &'static str,
    pub admits: Admits,
    pub places: Places,
}

/// What a rule knows of a process.
pub struct Snapshot<'a> {
    pub running: &'a [Running],
    pub machine: Machine,
    pub since_progress_us: u64,
    pub back_off_us: &'a mut u64,
}

const STALLED_US: u64 = 1_000_000;
const BACK_OFF_US: (u64, u64) = (1_000, 128_000);

impl Rule {
    pub const fn new(name: &'static str, admits: Admits, places: Places) -> Rule {
        Rule { name, admits, places }
    }

    pub fn admit(&self, of: Snapshot) -> Admission {
        match self.admits {
            Admits::Always => Admission::Begin,
            // Its own end comes sooner.
            Admits::Never => Admission::Wait(Duration::from_secs(1)),
            Admits::Stalled => stalled(of),
            Admits::Young(young_us) => {
                admission::admit_beside_older(of.running.iter().copied(), of.machine, young_us)
            }
        }
    }
}

fn stalled(of: Snapshot) -> Admission {
    let computes = of.running.iter().any(|running| running.computes);
    if !computes || of.since_progress_us >= STALLED_US {
        *of.back_off_us = 0;
        return Admission::Begin;
    }
    let time = (*of.back_off_us).clamp(BACK_OFF_US.0, BACK_OFF_US.1);
    *of.back_off_us = 2 * time;
    Admission::Wait(Duration::from_micros(time))
}

//! What clients ask for.

use super::random::Random;

/// What a thread does for a request, one after the other; microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Outside of the interpreter: accept, read, parse.
    Native(u64),
    Python(u64),
    /// A database, another service.
    Wait(u64),
}

const MOST_VARIED_US: u64 = 2_000;

impl Step {
    /// Nothing takes the same time twice: databases vary more than computations.
    fn vary(&mut self, random: &mut Random) {
        let (us, part) = match self {
            Step::Native(us) | Step::Wait(us) => (us, 5),
            Step::Python(us) => (us, 20),
        };
        let by = (*us / part).min(MOST_VARIED_US);
        *us = random.between(*us - by, *us + by);
    }
}

/// Server, proxy and client together spend so much on each request beside the application. They share the processors,
/// so it is charged to the process that serves it. From the row of the live figures where nothing is to decide: 2×1 on
/// a uwsgi socket with 8 clients.
pub const OVERHEAD_US: u64 = 320;
/// From an answer to the client's next request: from the same row with 2 clients.
pub const GAP_US: u64 = 300;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    Cpu(u64),
    /// Between two, evenly.
    Even(u64, u64),
    /// Bounded Pareto with the shape 1.1: most are short, most of the time goes into few.
    Pareto(u64, u64),
    Sleep(u64),
    /// 2 + 2 + 1 ms of CPU around 10 and 5 ms of waiting.
    Page,
    /// Of three requests one computes for 5 ms, one sleeps for 20 ms, one is a page.
    Mixed,
}

impl Work {
    pub fn steps(self, random: &mut Random) -> Vec<Step> {
        let mut steps = vec![Step::Native(OVERHEAD_US)];
        steps.extend(self.in_python(random));
        steps.iter_mut().for_each(|step| step.vary(random));
        steps
    }

    fn in_python(self, random: &mut Random) -> Vec<Step> {
        match self {
            Work::Cpu(us) => vec![Step::Python(us)],
            Work::Even(least, most) => vec![Step::Python(random.between(least, most))],
            Work::Pareto(least, most) => vec![Step::Python(pareto(random, least as f64, most as f64))],
            Work::Sleep(us) => vec![Step::Python(100), Step::Wait(us), Step::Python(100)],
            Work::Page => page(),
            Work::Mixed => {
                [Work::Cpu(5_000), Work::Sleep(20_000), Work::Page][random.below(3)].in_python(random)
            }
        }
    }
}

fn pareto(random: &mut Random, least: f64, most: f64) -> u64 {
    let shape = 1.1;
    let share = 1.0 - random.fraction() * (1.0 - (least / most).powf(shape));
    (least / share.powf(1.0 / shape)) as u64
}

fn page() -> Vec<Step> {
    use Step::*;
    vec![Python(2_000), Wait(10_000), Python(2_000), Wait(5_000), Python(1_000)]
}

/// Clients of one kind: each has one request under way, or thinks.
#[derive(Clone, Copy, Debug)]
pub struct Clients {
    pub count: usize,
    pub work: Work,
    /// Between an answer and the next request, from least to most.
    pub think_us: (u64, u64),
}

impl Clients {
    pub fn new(count: usize, work: Work) -> Clients {
        Clients { count, work, think_us: (GAP_US / 2, GAP_US * 3 / 2) }
    }

    pub fn thinking(self, least: u64, most: u64) -> Clients {
        Clients { think_us: (least, most), ..self }
    }
}

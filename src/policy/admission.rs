//! May a process begin another request beside those that it runs?
//!
//! First come first served is best while requests are short: what is begun beside a computation waits for the GIL and
//! makes both slow. Long computations must share the interpreter: or a quick request waits for all of them. How long a
//! request will compute is not known; how long it has is a good guess (most that have computed for long go on for long).
//! So a process takes no second request while one that computes is young, and does when all have grown old. One that
//! waits for a database or a file keeps nobody out.

use std::time::Duration;

/// CPU time after which a request that computes no longer keeps others out: longer than most pages compute, and as long as
/// a quick request can wait for several times. Of 12, 20 and 40 ms the simulation likes this one best (docs/tuning.md).
pub const YOUNG_US: u64 = 20_000;
/// A computation that has begun so recently may be over before another process could be given its successor.
pub const SHORT_US: u64 = 300;
/// How soon after a look that found young computations the next is made, with a processor for each process.
const LOOK_US: u64 = 1_000;

/// A request that a process runs, as one look finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// It has a processor, or would have one if there were enough.
    pub computes: bool,
    /// CPU time that it has had.
    pub cpu_us: u64,
}

/// What the processes of a server have to share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    pub processes: u64,
    pub processors: u64,
    /// Requests of one process that can compute at the same time: 1 where there is a GIL.
    pub at_once: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Begin,
    /// Not now. When a request of this process ends, or after this time, it is worth another look.
    Wait(Duration),
}

/// Decides for a process that runs at least one request.
pub fn admit(running: impl Iterator<Item = Running>, machine: Machine) -> Admission {
    admit_beside_older(running, machine, YOUNG_US)
}

/// The same with another age: the simulation compares some.
pub fn admit_beside_older(
    running: impl Iterator<Item = Running>,
    machine: Machine,
    young_us: u64,
) -> Admission {
    let young = running.filter(|request| request.computes && request.cpu_us < young_us);
    let (count, oldest_us) =
        young.fold((0, 0), |(count, oldest), request| (count + 1, oldest.max(request.cpu_us)));
    if count < machine.at_once {
        return Admission::Begin;
    }
    // What all processes spend on looking is bounded: with more of them than processors each looks less often.
    let pace = LOOK_US * machine.processes.div_ceil(machine.processors.max(1)).max(1);
    // What has computed for some time goes on for about as long.
    let time = pace.max(oldest_us).min(young_us - oldest_us).max(LOOK_US);
    Admission::Wait(Duration::from_micros(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine { processes: 2, processors: 2, at_once: 1 };
    const WAITS: Running = Running { computes: false, cpu_us: 1_000 };

    fn computes(cpu_us: u64) -> Running {
        Running { computes: true, cpu_us }
    }

    fn admits(running: &[Running], machine: Machine) -> bool {
        admit(running.iter().copied(), machine) == Admission::Begin
    }

    #[test]
    fn a_young_computation_keeps_others_out() {
        assert!(!admits(&[WAITS, computes(100)], MACHINE));
        assert!(!admits(&[computes(1_000_000), computes(YOUNG_US - 1)], MACHINE));
    }

    #[test]
    fn old_computations_and_waits_do_not() {
        assert!(admits(&[], MACHINE) && admits(&[WAITS, WAITS], MACHINE));
        assert!(admits(&[WAITS, computes(YOUNG_US), computes(1_000_000)], MACHINE));
    }

    #[test]
    fn without_a_gil_processors_are_the_limit() {
        let free = Machine { at_once: 2, ..MACHINE };
        assert!(admits(&[computes(0)], free) && !admits(&[computes(0), computes(1)], free));
    }

    #[test]
    fn looks_are_rarer_when_processors_are_shared_and_after_long_computations() {
        let after =
            |cpu_us, processes| admit([computes(cpu_us)].into_iter(), Machine { processes, ..MACHINE });
        assert_eq!(after(0, 2), Admission::Wait(Duration::from_millis(1)));
        assert_eq!(after(0, 8), Admission::Wait(Duration::from_millis(4)));
        assert_eq!(after(3_000, 2), Admission::Wait(Duration::from_millis(3)));
        assert_eq!(after(YOUNG_US - 2_500, 8), Admission::Wait(Duration::from_micros(2_500)));
        assert_eq!(after(YOUNG_US - 1, 8), Admission::Wait(Duration::from_millis(1)));
    }
}

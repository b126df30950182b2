//! The standby poller sleeps while there is nothing for it to do: no wake-up is lost. One that is lost leaves it asleep for ever,
//! which loom calls a deadlock.

use crate::base::sync::{AtomicU64, Ordering::*, Part, without};
use crate::explored;
use crate::sys::eventfd::EventFd;
use crate::under_test::phase::Phase;
use crate::under_test::sleeper::Sleeper;
use loom::thread;
use std::sync::Arc;

/// A worker as its standby poller sees it.
struct Worker {
    sleeper: Sleeper,
    /// The phases of its cores.
    cores: Vec<AtomicU64>,
    /// Connections in the table that want looking after.
    serviceable: AtomicU64,
}

impl Worker {
    fn new(cores: usize) -> Worker {
        let cores = (0..cores).map(|_| AtomicU64::new(Phase::Idle as u64)).collect();
        Worker { sleeper: Sleeper::new(EventFd::default()), cores, serviceable: AtomicU64::new(0) }
    }

    fn has_serviceable(&self) -> bool {
        self.serviceable.load(Relaxed) > 0
    }

    /// Every core is at work, and something is left in the table.
    fn is_needed(&self) -> bool {
        self.has_serviceable() && self.cores.iter().all(|core| Phase::of(core) != Phase::Idle)
    }

    /// As `Core::show_request` does.
    fn begin(&self, core: usize) {
        Phase::Running.store(&self.cores[core]);
        if self.sleeper.is_asleep() && self.has_serviceable() {
            self.sleeper.wake();
        }
    }

    /// An answer whose end its client has not taken, and then the next request.
    fn leave_and_begin(&self, core: usize) {
        self.serviceable.fetch_add(1, Relaxed);
        self.begin(core);
    }

    fn watch(&self, sleep: fn(&Worker)) {
        while !self.is_needed() {
            sleep(self);
        }
    }
}

fn sleep(worker: &Worker) {
    worker.sleeper.sleep(|| worker.is_needed(), || false);
}

fn explore(cores: usize, sleep: fn(&Worker)) {
    explored(move || {
        let worker = Arc::new(Worker::new(cores));
        let threads: Vec<_> = (0..cores)
            .map(|core| {
                let worker = worker.clone();
                thread::spawn(move || if core == 0 { worker.leave_and_begin(0) } else { worker.begin(core) })
            })
            .collect();
        worker.watch(sleep);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn it_wakes_when_the_only_thread_is_at_work() {
    explore(1, sleep);
}

#[test]
fn it_wakes_when_the_last_of_two_threads_is_at_work() {
    explore(2, sleep);
}

#[test]
fn a_call_of_a_signal_handler_ends_its_sleep() {
    explored(|| {
        let worker = Arc::new(Worker::new(1));
        let handler = {
            let worker = worker.clone();
            thread::spawn(move || assert!(worker.sleeper.call()))
        };
        worker.sleeper.sleep(|| false, || false);
        assert!(worker.sleeper.take_call());
        handler.join().unwrap();
        assert!(!worker.sleeper.take_call());
    });
}

/// The master gives an order, and the signal handler notifies the event.
#[test]
fn an_order_ends_its_sleep() {
    explored(|| {
        let worker = Arc::new(Worker::new(1));
        let order = Arc::new(AtomicU64::new(0));
        let handler = {
            let (worker, order) = (worker.clone(), order.clone());
            thread::spawn(move || {
                order.store(1, Release);
                worker.sleeper.event().notify();
            })
        };
        worker.sleeper.sleep(|| false, || order.load(Acquire) == 1);
        handler.join().unwrap();
    });
}

#[test]
#[should_panic = "deadlock"]
fn the_fences_are_needed() {
    without(Part::Fence, || explore(1, sleep));
}

#[test]
#[should_panic = "deadlock"]
fn it_has_to_look_after_it_has_said_that_it_sleeps() {
    explore(1, |worker| {
        let is_needed = worker.is_needed();
        worker.sleeper.sleep(|| is_needed, || false);
    });
}

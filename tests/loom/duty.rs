//! Threads of a worker that are on duty begin requests while another parks: it is called, or does not go to sleep. One that
//! sleeps while none is on duty would leave every further connection waiting, which loom calls a deadlock.

use crate::base::sync::{Part, without};
use crate::explored;
use crate::sys::eventfd::EventFd;
use crate::under_test::duty::Duty;
use loom::thread;
use std::sync::Arc;

fn explore() {
    explored(|| {
        let shared = Arc::new((Duty::default(), EventFd::default()));
        assert!(shared.0.report() && shared.0.report() && !shared.0.report());
        let leave = |(duty, call): &(Duty, EventFd)| {
            if duty.leave() {
                call.notify();
            }
        };
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || leave(&shared))
            })
            .collect();
        shared.0.park(|| shared.1.wait());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(shared.0.report());
    });
}

#[test]
fn a_parked_thread_is_called_when_the_last_on_duty_leaves() {
    explore();
}

#[test]
#[should_panic = "deadlock"]
fn without_the_fences_it_may_sleep_on() {
    without(Part::Fence, explore);
}

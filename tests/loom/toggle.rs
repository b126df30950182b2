//! Threads that take the listeners out of the worker's epoll and put them back: what the flag says is what the epoll has.

use crate::base::sync::{AtomicBool, Ordering::*, Part, without};
use crate::explored;
use crate::under_test::toggle::Toggle;
use loom::thread;
use std::sync::Arc;

/// A worker's epoll with two listeners.
struct Listening {
    listeners: Toggle,
    epoll: [AtomicBool; 2],
}

type Changed = Result<(), ()>;

impl Listening {
    fn new() -> Listening {
        Listening { listeners: Toggle::default(), epoll: [AtomicBool::new(true), AtomicBool::new(true)] }
    }

    fn put(&self, is_in: bool) -> Changed {
        self.epoll.iter().for_each(|listener| listener.store(is_in, Relaxed));
        Ok(())
    }

    fn set(&self, on: bool) {
        if self.listeners.is_off() == on {
            self.listeners.turn(on, || self.put(on)).unwrap();
        }
    }

    fn step_back(&self) {
        let leave = || self.epoll[0].swap(false, Relaxed);
        let enter = || {
            self.epoll[0].store(true, Relaxed);
            Changed::Ok(())
        };
        self.listeners.restart(leave, enter).unwrap();
    }

    fn check(&self) {
        let is_in = self.epoll.iter().map(|listener| listener.load(Relaxed));
        let expected = !self.listeners.is_off();
        assert!(is_in.into_iter().all(|is_in| is_in == expected), "the flag lies");
    }
}

type Act = fn(&Listening);

fn explore(one: Act, other: Act) {
    explored(move || {
        let listening = Arc::new(Listening::new());
        let thread = {
            let listening = listening.clone();
            thread::spawn(move || other(&listening))
        };
        one(&listening);
        thread.join().unwrap();
        listening.check();
        // The next thread that waits for connections puts them back.
        listening.set(true);
        assert!(!listening.listeners.is_off());
        listening.check();
    });
}

/// The table fills up, and has room again.
fn stop_and_go(listening: &Listening) {
    listening.set(false);
    listening.set(true);
}

#[test]
fn listeners_are_never_left_out() {
    explore(stop_and_go, stop_and_go);
    explore(stop_and_go, |listening| listening.set(false));
    explore(stop_and_go, Listening::step_back);
}

#[test]
#[should_panic = "the flag lies"]
fn the_lock_is_needed() {
    without(Part::Lock, || explore(stop_and_go, stop_and_go));
}

#[test]
#[should_panic = "the flag lies"]
fn the_lock_is_needed_to_step_back() {
    without(Part::Lock, || explore(|listening| listening.set(false), Listening::step_back));
}

//! Models of the protocols between threads and processes. The files of src/ are the very ones that run; only what they
//! import is loom's.
#![cfg(test)]
// Each model uses a part of what it includes.
#![allow(dead_code)]

// Paths in these begin beside this file.
#[path = "."]
mod base {
    pub mod sync;
}
#[path = "."]
mod sys {
    pub mod eventfd;
}

#[path = "."]
mod under_test {
    #[path = "../../src/worker/accept/duty.rs"]
    pub mod duty;
    #[path = "../../src/worker/handoff/last_look.rs"]
    pub mod last_look;
    #[path = "../../src/shm/phase.rs"]
    pub mod phase;
    #[path = "../../src/worker/handoff/sleeper.rs"]
    pub mod sleeper;
    #[path = "../../src/worker/accept/toggle.rs"]
    pub mod toggle;
}

mod duty;
mod mailbox;
mod phase;
mod sleeper;
mod toggle;

/// Runs a model in every order in which its threads can take turns, and with every value that a load may find. Among three
/// threads, orders with more than so many forced turns are too many to run, and show nothing new.
fn explored(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

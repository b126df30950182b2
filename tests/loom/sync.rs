//! src/base/sync.rs as the models have it.

use loom::sync::MutexGuard;
pub use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub use loom::thread::yield_now;
use std::cell::Cell;

std::thread_local! {
    static WITHOUT: Cell<Option<Part>> = const { Cell::new(None) };
}

/// What a model can leave out, to show that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Fence,
    Lock,
}

/// Runs something without a part. A model and its threads stay within the thread that began it.
pub fn without<T>(part: Part, run: impl FnOnce() -> T) -> T {
    WITHOUT.set(Some(part));
    run()
}

fn is_left_out(part: Part) -> bool {
    WITHOUT.get() == Some(part)
}

pub fn fence(order: Ordering) {
    if !is_left_out(Part::Fence) {
        loom::sync::atomic::fence(order);
    }
}

/// parking_lot's, as far as it is used.
#[derive(Debug, Default)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub fn lock(&self) -> Option<MutexGuard<'_, T>> {
        (!is_left_out(Part::Lock)).then(|| self.0.lock().unwrap())
    }
}

//! How many threads of a worker wait for what comes, and that one is called when none does any more while others are
//! parked. tests/loom/duty.rs holds it to that.

use crate::base::sync::{AtomicU64, Ordering::*, fence};

/// One takes the next request, and one is there for the one after.
const ON_DUTY: u64 = 2;

#[derive(Debug, Default)]
pub struct Duty {
    on_duty: AtomicU64,
    parked: AtomicU64,
}

impl Duty {
    /// The calling thread goes on duty. `false`: enough are.
    pub fn report(&self) -> bool {
        let fits = |count| (count < ON_DUTY).then_some(count + 1);
        self.on_duty.fetch_update(AcqRel, Acquire, fits).is_ok()
    }

    /// A thread on duty begins a request. `true`: one that is parked has to be called.
    pub fn leave(&self) -> bool {
        // Whoever parks counts itself and then looks at those on duty; one of the two sees the other.
        let was_last = self.on_duty.fetch_sub(1, AcqRel) == 1;
        fence(SeqCst);
        was_last && self.parked.load(Relaxed) > 0
    }

    /// Parks the calling thread: `wait` returns when it is called. `None`: it is needed now.
    pub fn park<T>(&self, wait: impl FnOnce() -> T) -> Option<T> {
        self.parked.fetch_add(1, Relaxed);
        fence(SeqCst);
        let waited = (self.on_duty.load(Acquire) > 0).then(wait);
        self.parked.fetch_sub(1, Relaxed);
        waited
    }
}

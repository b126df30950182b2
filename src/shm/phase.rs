//! What a core does, and whether its thread or the worker's stack-dump handler owns the client of its request.
//! tests/loom/phase.rs holds it to one owner.

use crate::base::sync::{AtomicU64, Ordering::*, yield_now};

/// What a core does. The step from `Running` to `Answering` is the request thread's, the one from `Running` to
/// `Expired` that of the worker's stack-dump handler; the first of both owns the client's descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Phase {
    Idle = 0,
    Running = 1,
    Answering = 2,
    Expired = 3,
    /// The handler has answered.
    Answered = 4,
}

impl Phase {
    #[inline]
    pub fn of(word: &AtomicU64) -> Phase {
        match word.load(Acquire) {
            1 => Phase::Running,
            2 => Phase::Answering,
            3 => Phase::Expired,
            4 => Phase::Answered,
            _ => Phase::Idle,
        }
    }

    #[inline]
    pub fn store(self, word: &AtomicU64) {
        word.store(self as u64, Release);
    }

    /// The step from this phase to the next, unless another has been taken.
    #[inline]
    fn step(self, next: Phase, word: &AtomicU64) -> bool {
        word.compare_exchange(self as u64, next as u64, AcqRel, Acquire).is_ok()
    }
}

/// Before the first byte of an answer. `false`: the stack-dump handler gives it; send nothing, and [`await_answer`]
/// before the client is closed.
#[inline]
pub fn answer(word: &AtomicU64) -> bool {
    Phase::Running.step(Phase::Answering, word) || Phase::of(word) == Phase::Answering
}

/// After an interim answer: the real one has not begun.
pub fn resume(word: &AtomicU64) {
    Phase::Answering.step(Phase::Running, word);
}

/// Takes the client from a request whose answer has not begun.
pub fn expire(word: &AtomicU64) -> bool {
    Phase::Running.step(Phase::Expired, word)
}

/// Answers a request in place of its thread, unless that has begun. `send` gets the client as it is after the claim:
/// before that, another request may have been in the slot. `false` of `send`: it is not answered yet.
pub fn answer_instead(word: &AtomicU64, client: &AtomicU64, send: impl FnOnce(u64) -> bool) {
    if expire(word) && send(client.load(Acquire)) {
        Phase::Answered.store(word);
    }
}

/// Until the handler has sent its answer, the client's descriptor must not become another's.
#[cold]
pub fn await_answer(word: &AtomicU64) {
    while Phase::of(word) == Phase::Expired {
        yield_now();
    }
}

//! Where TLS is spoken, the standby poller answers the clients of a worker that is about to be killed.

use super::answers;
use crate::shm::scoreboard::{CoreSlot, ENCRYPTED, Phase};
use crate::sys::{clock, io};
use crate::worker::context::Context;
use crate::worker::response::wait::SharedExchange;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering::*;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long it tries to get at an exchange that another thread holds. All of it stays within the master's patience.
const ANSWER_LIMIT_US: u64 = 200_000;
const BETWEEN_TRIES: Duration = Duration::from_millis(1);

/// The exchange of each core, where another thread may have to answer in its place; empty elsewhere.
pub struct HarakiriReplies(Box<[OnceLock<Arc<SharedExchange>>]>);

impl HarakiriReplies {
    pub fn new(context: &Context) -> HarakiriReplies {
        let is_needed = context.settings.harakiri.timeout.is_some() && context.has_tls();
        let cores = if is_needed { context.scoreboard.threads() } else { 0 };
        HarakiriReplies(std::iter::repeat_with(OnceLock::new).take(cores).collect())
    }

    pub fn are_needed(&self) -> bool {
        !self.0.is_empty()
    }

    /// A core is there.
    pub fn show(&self, core: usize, exchange: &Arc<SharedExchange>) {
        if let Some(place) = self.0.get(core) {
            let _ = place.set(exchange.clone());
        }
    }

    pub fn answer_encrypted_clients(&self, context: &Context) {
        let mut left: Vec<_> = context.cores().zip(&*self.0).collect();
        left.retain(|(core, _)| core.client().load(Acquire) & ENCRYPTED != 0);
        try_to_answer(&mut left);
        for (core, _) in &left {
            // Nobody holds an exchange while it waits, so this one takes a long step: it reads a large body, or a file.
            // What it reads ends here, and its thread gives the answer.
            if core.expire() {
                io::shutdown_receive((core.client().load(Acquire) & !ENCRYPTED) as RawFd - 1);
            }
        }
        try_to_answer(&mut left);
    }
}

/// Answers those whose exchange can be locked within a moment; each of the others is held by a thread.
fn try_to_answer(left: &mut Vec<(CoreSlot, &OnceLock<Arc<SharedExchange>>)>) {
    let until = clock::monotonic_us() + ANSWER_LIMIT_US;
    loop {
        left.retain(|(core, exchange)| exchange.get().is_some_and(|exchange| !is_settled(*core, exchange)));
        if left.is_empty() || clock::monotonic_us() >= until {
            return;
        }
        std::thread::sleep(BETWEEN_TRIES);
    }
}

/// Answers the request, unless its answer has begun; `false`: another thread has it in its hands.
fn is_settled(core: CoreSlot, exchange: &SharedExchange) -> bool {
    // Whoever has it takes a step that does not wait.
    let Some(mut exchange) = exchange.try_lock() else { return core.phase() == Phase::Idle };
    core.expire();
    if let Some(answer) = answers::claimed(core) {
        exchange.say_last(answer);
    }
    true
}

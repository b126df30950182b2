//! What a worker does for its clients in its last moment: the stack-dump signal runs this, inside the handler. TLS is not
//! for handlers: where it is spoken, the handler wakes the standby poller, which answers those clients; the application's threads
//! may be anywhere.

use super::Shared;
use super::response::wait::SharedExchange;
use crate::log;
use crate::proto::http::status::Plain;
use crate::shm::scoreboard::{CoreSlot, ENCRYPTED, Phase, Scoreboard};
use crate::sys::{clock, io};
use std::os::fd::RawFd;
use std::sync::atomic::Ordering::*;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long the standby poller tries to get at an exchange that another thread holds. All of it stays within the master's patience.
const ANSWER_LIMIT_US: u64 = 200_000;
const BETWEEN_TRIES: Duration = Duration::from_millis(1);

/// A place for each core.
pub type Exchanges = Box<[OnceLock<Arc<SharedExchange>>]>;

pub fn exchanges(cores: usize) -> Exchanges {
    std::iter::repeat_with(OnceLock::new).take(cores).collect()
}

struct Rescue {
    scoreboard: Scoreboard,
    slot: usize,
    expired: Vec<u8>,
    bystander: Vec<u8>,
    mark: RawFd,
    /// Kept where TLS clients may have to be answered, which is the standby poller's to do.
    shared: Option<Arc<Shared>>,
}

static RESCUE: OnceLock<Rescue> = OnceLock::new();

/// Readies the answers, and the standby poller where it is needed: a handler cannot start a thread. `mark` gets one NUL byte after each dump, so that its reader
/// knows where the dump ends.
pub fn prepare(shared: &Arc<Shared>, mark: RawFd) {
    let plain = |status| {
        let mut out = Vec::new();
        Plain::last(status, &shared.server_headers).push_to(&mut out);
        out
    };
    let has_tls = !shared.exchanges.is_empty();
    if has_tls && !shared.need_standby() {
        log::say(&format!("worker {}: harakiri will leave TLS clients without an answer", shared.id));
    }
    let _ = RESCUE.set(Rescue {
        scoreboard: shared.scoreboard,
        slot: shared.slot_index,
        expired: plain(504),
        bystander: plain(503),
        mark,
        shared: has_tls.then(|| shared.clone()),
    });
}

/// Runs inside a signal handler: atomics, send and write only.
pub fn after_dump() {
    let Some(rescue) = RESCUE.get() else { return };
    let is_last = rescue.scoreboard.worker(rescue.slot).rescue().load(Acquire) != 0;
    let others_wait = is_last && rescue.answer_plain_clients();
    let is_left =
        others_wait && rescue.shared.as_ref().is_some_and(|shared| shared.leave_rescue_to_standby());
    if !is_left {
        rescue.finish();
    }
}

impl Rescue {
    /// Answers every request whose answer has not begun, but those over TLS. `true`: there are some.
    fn answer_plain_clients(&self) -> bool {
        let mut others_wait = false;
        for core in self.scoreboard.cores(self.slot) {
            match core.client().load(Acquire) {
                0 => {}
                client if client & ENCRYPTED != 0 => others_wait |= core.phase() == Phase::Running,
                _ => core.answer_instead(|client| {
                    let is_plain = client & ENCRYPTED == 0;
                    others_wait |= !is_plain;
                    if is_plain && client != 0 {
                        io::send_raw(client as RawFd - 1, self.answer(core));
                    }
                    is_plain
                }),
            }
        }
        others_wait
    }

    /// 504 for a request whose time is up, 503 for the others, which die with the process.
    fn answer(&self, core: CoreSlot) -> &[u8] {
        let deadline = core.deadline_us().load(Acquire);
        let is_late = deadline != 0 && deadline <= clock::monotonic_us();
        if is_late { &self.expired } else { &self.bystander }
    }

    /// The master may go on.
    fn finish(&self) {
        io::write_mark(self.mark);
        self.scoreboard.worker(self.slot).dumps().fetch_add(1, Release);
    }
}

/// The answer of a request that has been claimed for good, if that is so.
pub fn claimed(core: CoreSlot) -> Option<&'static [u8]> {
    let rescue = RESCUE.get().filter(|_| core.phase() == Phase::Expired)?;
    Some(rescue.answer(core))
}

// ── what the standby poller does ──

impl Shared {
    /// A core is there.
    pub fn show_exchange(&self, core: usize, exchange: &Arc<SharedExchange>) {
        if let Some(place) = self.exchanges.get(core) {
            let _ = place.set(exchange.clone());
        }
    }
}

/// And tells the master that it may go on.
pub fn answer_encrypted_clients(shared: &Shared) {
    let mut left: Vec<_> = shared.scoreboard.cores(shared.slot_index).zip(&*shared.exchanges).collect();
    left.retain(|(core, _)| core.client().load(Acquire) & ENCRYPTED != 0);
    try_to_answer(&mut left);
    for (core, _) in &left {
        // Nobody holds an exchange while it waits, so this one takes a long step: it reads a large body, or a file. What it
        // reads ends here, and its thread gives the answer.
        if core.expire() {
            io::shutdown_receive((core.client().load(Acquire) & !ENCRYPTED) as RawFd - 1);
        }
    }
    try_to_answer(&mut left);
    RESCUE.get().into_iter().for_each(Rescue::finish);
}

/// Answers those that can be had within a moment; what is left has an answer to come, and somebody holds it.
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
    if let Some(answer) = claimed(core) {
        exchange.say_last(answer);
    }
    true
}

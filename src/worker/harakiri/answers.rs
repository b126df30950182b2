//! The stack-dump signal runs this, inside the handler: clients without TLS are answered here. TLS is not for handlers:
//! where it is spoken, the handler wakes the standby poller, which answers those clients; the application's threads may
//! be anywhere.

use crate::proto::http::status::Plain;
use crate::shm::scoreboard::{Answered, CoreSlot, ENCRYPTED, Phase, Scoreboard, WorkerSlot};
use crate::sys::io;
use crate::worker::context::Context;
use crate::worker::counting::Counting;
use crate::worker::handoff::standby::StandbyPoller;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering::*;
use std::sync::{Arc, OnceLock};

struct Answers {
    scoreboard: Scoreboard,
    slot: usize,
    expired: Vec<u8>,
    bystander: Vec<u8>,
    /// Of each core.
    counting: Vec<Counting>,
    mark: RawFd,
    /// Where a listener speaks TLS: it answers these clients, and those whose requests wait in the connection table.
    standby: Option<Arc<StandbyPoller>>,
}

static ANSWERS: OnceLock<Answers> = OnceLock::new();

/// Readies the answers. `mark` gets one NUL byte after each dump, so that its reader knows where the dump ends.
/// `standby` has been started: a handler cannot start a thread.
pub fn prepare(context: &Context, standby: Option<Arc<StandbyPoller>>, mark: RawFd) {
    let plain = |status| {
        let mut out = Vec::new();
        Plain::last(status, &context.server_headers).push_to(&mut out);
        out
    };
    let _ = ANSWERS.set(Answers {
        scoreboard: context.scoreboard,
        slot: context.slot_index,
        expired: plain(504),
        bystander: plain(503),
        counting: (0..context.scoreboard.threads()).map(|core| Counting::new(context, core)).collect(),
        mark,
        standby,
    });
}

/// Runs inside a signal handler: atomics, send and write only.
pub fn after_dump() {
    let Some(answers) = ANSWERS.get() else { return };
    let is_last = answers.worker().rescue_us().load(Acquire) != 0;
    if is_last {
        answers.answer_plain_clients();
    }
    let is_left = is_last && answers.standby.as_ref().is_some_and(|standby| standby.call());
    if !is_left {
        answers.finish();
    }
}

/// The standby poller has answered those that were left to it: the master may go on.
pub fn finish() {
    ANSWERS.get().into_iter().for_each(Answers::finish);
}

impl Answers {
    fn worker(&self) -> WorkerSlot {
        self.scoreboard.worker(self.slot)
    }

    /// Answers every request whose answer has not begun, but those over TLS.
    fn answer_plain_clients(&self) {
        for (index, core) in self.scoreboard.cores(self.slot).enumerate() {
            let client = core.client().load(Acquire);
            if client == 0 || client & ENCRYPTED != 0 {
                continue;
            }
            core.answer_instead(|client| {
                let is_plain = client & ENCRYPTED == 0;
                if is_plain && client != 0 {
                    self.count(index, core);
                    io::send_raw(client as RawFd - 1, self.answer(core));
                }
                is_plain
            });
        }
    }

    /// 504 for a request whose time was up when the master decided to kill, 503 for the others, which die with the process:
    /// clients over TLS are answered later than those without.
    fn answer(&self, core: CoreSlot) -> &[u8] {
        if self.is_late(core) { &self.expired } else { &self.bystander }
    }

    fn is_late(&self, core: CoreSlot) -> bool {
        let deadline = core.deadline_us().load(Acquire);
        deadline != 0 && deadline <= self.worker().rescue_us().load(Acquire)
    }

    /// The thread of a request that is answered here does not count it.
    fn count(&self, index: usize, core: CoreSlot) {
        let Some(counting) = self.counting.get(index) else { return };
        let until_us = self.worker().rescue_us().load(Acquire);
        let running_us = until_us.saturating_sub(core.started_us().load(Relaxed));
        let sent = self.answer(core).len() as u64;
        let answered = Answered { running_us, sent, ..Answered::default() };
        let status = if self.is_late(core) { 504 } else { 503 };
        counting.enter(core, self.worker(), status, answered);
    }

    /// The master may go on. It sees by the count whose mark has come.
    fn finish(&self) {
        self.worker().dumps().fetch_add(1, Release);
        io::write_mark(self.mark);
    }
}

/// The answer of a request that has been claimed for good, if that is so.
pub fn claimed(core: CoreSlot) -> Option<&'static [u8]> {
    let answers = ANSWERS.get().filter(|_| core.phase() == Phase::Expired)?;
    Some(answers.answer(core))
}

/// Such an answer goes out: the thread of its request does not count it.
pub fn count(core: CoreSlot) {
    let Some(answers) = ANSWERS.get() else { return };
    let index = answers.scoreboard.cores(answers.slot).position(|other| other.is(core));
    index.into_iter().for_each(|index| answers.count(index, core));
}

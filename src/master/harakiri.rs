//! Harakiri: requests that run longer than they may.

use super::Master;
use super::child::Leaving;
use super::dump::{Job, Then};
use crate::shm::scoreboard::Phase as CorePhase;
use crate::worker::application::Application;
use std::sync::atomic::Ordering::*;

impl<R: Application> Master<'_, R> {
    pub(super) fn check_harakiri(&mut self, now: u64) {
        let Some(limit) = self.settings.harakiri.timeout else { return };
        let grace = self.settings.harakiri.graceful_timeout.map_or(0, |time| time.as_micros() as u64);
        for index in 0..self.children.len() {
            let child = &self.children[index];
            if !child.was_ready || child.leaving == Some(Leaving::Harakiri) {
                continue;
            }
            // The request that is late by most decides about its worker.
            let late = self.scoreboard.cores(child.slot).enumerate().filter_map(|(core, slot)| {
                let deadline = slot.deadline_us().load(Acquire);
                (deadline != 0 && deadline <= now && slot.phase() != CorePhase::Idle)
                    .then_some((deadline, core))
            });
            let Some((deadline, core)) = late.min() else { continue };
            let gentle = grace > 0 && now < deadline + grace;
            let title = self.sentence(index, core, gentle, now, limit.as_secs_f32());
            let slot = child.slot;
            if !gentle {
                self.children[index].leaving = Some(Leaving::Harakiri);
                self.children[index].kill_at = None;
                self.dumps.ask(Job { slot, title, then: Then::Kill });
            } else if self.warn_once(slot, core) {
                self.dumps.ask(Job { slot, title, then: Then::Expire });
            }
        }
    }

    /// The gentle step is taken once for each request.
    fn warn_once(&self, slot: usize, core: usize) -> bool {
        let core = self.scoreboard.core(slot, core);
        let started = core.started_us().load(Relaxed);
        core.warned_us().swap(started, Relaxed) != started
    }

    fn sentence(&self, index: usize, core: usize, gentle: bool, now: u64, limit: f32) -> String {
        let child = &self.children[index];
        let current = self.scoreboard.core(child.slot, core).current_request();
        let (what, age) = current.map_or_else(
            || ("a request that has just ended".to_owned(), 0.0),
            |current| {
                let age = now.saturating_sub(current.started_us) as f32 / 1e6;
                (format!("{} {}", current.method, current.target), age)
            },
        );
        format!(
            "*** HARAKIRI ON WORKER {} (pid: {}, core: {core}): {what} has run for {age:.1} s, harakiri = {limit} s; {} ***",
            child.id,
            child.pid.unwrap_or(0),
            if gentle { "raising HarakiriTimeout in it" } else { "the worker is killed" }
        )
    }
}

//! SIGUSR1: what everybody does, into the log.

use super::Master;
use crate::log;
use crate::shm::scoreboard::Stage;
use crate::sys::{clock, socket};
use crate::worker::application::Application;
use std::fmt::Write;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::*;

impl<R: Application> Master<'_, R> {
    pub(super) fn log_status(&self) {
        log::say(&self.status());
    }

    fn status(&self) -> String {
        let now = clock::monotonic_us();
        let age = |since: u64| now.saturating_sub(since) / 1_000_000;
        let mut out = format!(
            "status: {:?}, generation {}, up {} s{}",
            self.phase,
            self.generation,
            age(self.started_us),
            if self.paused { ", paused" } else { "" }
        );
        for listener in self.base.listeners.iter() {
            let waiting = socket::backlog(listener.fd.as_fd()).map(|queue| queue.waiting);
            let queue = waiting.map_or_else(String::new, |waiting| format!(", {waiting} waiting"));
            let _ = write!(out, "\nlistens on {}{queue}", listener.name);
        }
        let mut children: Vec<_> = self.children.iter().collect();
        children.sort_by_key(|child| (child.id, child.generation));
        for child in children {
            let slot = child.on(&self.scoreboard);
            let stage = match (slot.stage(), child.leaving) {
                (Stage::Ready, None) => "ready".to_owned(),
                (Stage::Booting, None) => "booting".to_owned(),
                (_, Some(why)) => format!("leaving ({why:?})").to_lowercase(),
                (stage, None) => format!("{stage:?}").to_lowercase(),
            };
            let _ = write!(
                out,
                "\n{}: {stage}, generation {}, {} requests, {} exceptions, {} clients gone, {} refused, up {} s",
                child.name(),
                child.generation,
                slot.requests().load(Relaxed),
                slot.exceptions().load(Relaxed),
                slot.gone_clients().load(Relaxed),
                slot.refused().load(Relaxed),
                age(child.spawned_us)
            );
            for (index, core) in self.scoreboard.cores(child.slot).enumerate() {
                if let Some(current) = core.current_request() {
                    let ms = now.saturating_sub(current.started_us) / 1000;
                    let _ =
                        write!(out, "\n  core {index}: {} {} for {ms} ms", current.method, current.target);
                }
            }
        }
        out
    }
}

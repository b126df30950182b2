//! A process whose every thread is in a long request, beside others that go on: what waits in it is better off there,
//! however many wait there.

use super::mailbox::AVOID_US;
use crate::policy::placement;
use crate::sys::clock;
use crate::worker::shared::Shared;
use std::sync::atomic::Ordering::*;

/// What the others had served when this process had just begun its last request.
#[derive(Default)]
pub struct Outrun {
    begun_us: u64,
    served: Vec<u64>,
}

impl Outrun {
    /// Who would begin what waits here much sooner. As long as somebody would, nobody is to give this process more.
    pub fn quicker(&mut self, shared: &Shared) -> Option<usize> {
        let (context, handoff) = (&shared.context, &shared.handoff);
        let served = |slot: usize| context.scoreboard.worker(slot).requests().load(Relaxed);
        let begun_us = context.slot.begun_us().load(Relaxed);
        if self.begun_us != begun_us {
            self.begun_us = begun_us;
            self.served.clear();
            self.served.extend((0..context.scoreboard.slots()).map(served));
            return None;
        }
        let loads = handoff.takers(context).map(|slot| (slot, handoff.load(context, slot)));
        let since =
            |slot: usize| served(slot).saturating_sub(self.served.get(slot).copied().unwrap_or(u64::MAX));
        let quicker = loads.filter(|&(slot, load)| placement::is_quicker(load, since(slot)));
        let best = quicker.min_by_key(|(_, load)| load.total()).map(|(slot, _)| slot)?;
        context.slot.avoided_until_us().store(clock::monotonic_us() + AVOID_US, Relaxed);
        Some(best)
    }
}

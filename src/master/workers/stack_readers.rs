//! Those who have asked the master for stacks (`/stacks`, `py-tracebacker`), and the dumps that they share.

use crate::master::action::{Action, Reader};
use crate::report::stacks::WorkerStacks;
use std::collections::HashMap;
use std::rc::Rc;

/// Dumps that are no older do for a new reader, too: however many read, a worker is asked ten times a second at most.
const FRESH_US: u64 = 100_000;
/// So many may wait at a time.
const MAX_READERS: usize = 64;

#[derive(Default)]
pub struct StackReaders {
    waiting: Vec<Waiting>,
    /// The last stacks of the worker in each slot, with the time when they came.
    last: HashMap<usize, (u64, WorkerStacks)>,
}

struct Waiting {
    reader: Reader,
    /// The workers whose stacks are missing.
    slots: Vec<usize>,
    stacks: Vec<WorkerStacks>,
}

impl StackReaders {
    /// `false`: too many wait already.
    pub fn add(&mut self, reader: Reader, mut slots: Vec<usize>, now: u64) -> bool {
        if self.waiting.len() >= MAX_READERS {
            return false;
        }
        self.last.retain(|_, (at_us, _)| now.saturating_sub(*at_us) <= FRESH_US);
        let fresh = slots.extract_if(.., |slot| self.last.contains_key(slot)).collect::<Vec<_>>();
        let stacks = fresh.iter().map(|slot| self.last[slot].1.clone()).collect();
        self.waiting.push(Waiting { reader, slots, stacks });
        true
    }

    pub fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Workers whose stacks somebody waits for.
    pub fn wanted(&self) -> Vec<usize> {
        let mut wanted: Vec<_> = self.waiting.iter().flat_map(|waiting| waiting.slots.clone()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// The stacks of a worker, for all who wait for them.
    pub fn put(&mut self, slot: usize, stacks: WorkerStacks, now: u64) {
        for waiting in &mut self.waiting {
            if waiting.slots.contains(&slot) {
                waiting.stacks.push(stacks.clone());
                waiting.slots.retain(|&other| other != slot);
            }
        }
        if stacks.answered {
            self.last.insert(slot, (now, stacks));
        }
    }

    /// The worker in this slot is gone: it is not in the document.
    pub fn forget(&mut self, slot: usize) {
        self.last.remove(&slot);
        for waiting in &mut self.waiting {
            waiting.slots.retain(|&other| other != slot);
        }
    }

    /// Answers for those who have all that they have asked for.
    pub fn take_complete(&mut self, now: u64) -> Vec<Action> {
        if self.waiting.is_empty() {
            self.last.retain(|_, (at_us, _)| now.saturating_sub(*at_us) <= FRESH_US);
        }
        let complete = self.waiting.extract_if(.., |waiting| waiting.slots.is_empty());
        let answers = complete.map(|Waiting { reader, mut stacks, .. }| {
            stacks.sort_by_key(|worker| worker.id);
            Action::GiveStacks(reader, Rc::new(stacks))
        });
        answers.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::action::Ticket;

    fn stacks(id: u32) -> WorkerStacks {
        WorkerStacks { id, answered: true, ..WorkerStacks::default() }
    }

    fn readers_of(actions: &[Action]) -> Vec<(Reader, Vec<u32>)> {
        let one = |action: &Action| match action {
            Action::GiveStacks(reader, stacks) => (*reader, stacks.iter().map(|worker| worker.id).collect()),
            other => panic!("{other:?}"),
        };
        actions.iter().map(one).collect()
    }

    #[test]
    fn readers_share_what_is_fresh() {
        let mut readers = StackReaders::default();
        assert!(
            readers.add(Reader::Document(Ticket(1)), vec![3, 0], 0)
                && readers.add(Reader::Document(Ticket(2)), vec![3], 0)
        );
        assert_eq!(readers.wanted(), [0, 3]);
        readers.put(3, stacks(1), 5);
        assert_eq!(readers_of(&readers.take_complete(5)), [(Reader::Document(Ticket(2)), vec![1])]);
        readers.put(0, stacks(2), 6);
        assert_eq!(readers_of(&readers.take_complete(6)), [(Reader::Document(Ticket(1)), vec![1, 2])]);
        readers.add(Reader::Document(Ticket(3)), vec![3], 5 + FRESH_US);
        assert_eq!(readers_of(&readers.take_complete(5 + FRESH_US)).len(), 1);
        readers.add(Reader::Document(Ticket(4)), vec![3], 6 + FRESH_US);
        assert_eq!(readers.wanted(), [3]);
    }

    #[test]
    fn nobody_waits_for_a_worker_that_is_gone() {
        let mut readers = StackReaders::default();
        readers.add(Reader::Document(Ticket(1)), vec![0], 0);
        readers.forget(0);
        assert_eq!(readers_of(&readers.take_complete(1)), [(Reader::Document(Ticket(1)), vec![])]);
        assert!(!readers.are_waiting());
    }

    #[test]
    fn who_has_not_answered_is_asked_again() {
        let mut readers = StackReaders::default();
        readers.add(Reader::Document(Ticket(1)), vec![0, 1], 0);
        readers.put(0, WorkerStacks { id: 1, ..WorkerStacks::default() }, 5);
        readers.add(Reader::Document(Ticket(2)), vec![0], 6);
        // The first has its answer, whoever asks meanwhile.
        assert_eq!(readers.wanted(), [0, 1]);
        readers.put(1, stacks(2), 7);
        assert_eq!(readers_of(&readers.take_complete(7)), [(Reader::Document(Ticket(1)), vec![1, 2])]);
    }

    #[test]
    fn there_are_not_too_many_readers() {
        let mut readers = StackReaders::default();
        let added =
            (0..100).filter(|&number| readers.add(Reader::Document(Ticket(number)), vec![0], 0)).count();
        assert_eq!(added, MAX_READERS);
    }
}

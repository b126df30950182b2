//! The scoreboard: one slot a worker, one a core, all of it atomics. The worker writes, other processes read; there are
//! no locks.
//!
//! Slots are 128-byte aligned so that two workers never share a cache line. A slot carries the pid and the generation
//! of its worker: readers take a slot's word only for the worker they mean.

mod core;
pub mod counters;
mod snapshot;
mod words;
mod worker;

pub use self::core::{
    Answered, BUCKETS, CoreSlot, CurrentRequest, ENCRYPTED, METHOD_LEN, REQUEST_ID_LEN, TARGET_LEN,
};
pub use super::phase::Phase;
pub use counters::Counters;
pub use snapshot::{CoreSnapshot, Snapshot, WorkerSnapshot};
pub use worker::{Assignment, CONNECTION_STATES, Command, REFUSALS, RestartRequest, Stage, WorkerSlot};

use crate::sys::shm::Mapping;
use counters::CLASSES;
use std::io::Result;
use std::sync::atomic::{AtomicU64, Ordering::*};
use words::words;

words! {
    /// The words that belong to no slot.
    pub struct ServerSlot in Server {
        server: ServerWords {
            /// Requests of the whole instance since it started.
            total_requests,
            /// The newest generation that is complete.
            generation,
            /// How often the log has been opened anew.
            log_epoch,
            /// The last assignment that was given to a process.
            assigned,
            /// Connections that the master has in its hands and gives to workers as soon as one has room.
            held,
        }
    }
}

#[derive(Clone, Copy)]
pub struct Scoreboard {
    server: ServerSlot,
    workers: &'static [AtomicU64],
    cores: &'static [AtomicU64],
    /// Answers by slot, row, listener and class; a row for each core, and one for the threads that have none.
    answers: &'static [AtomicU64],
    threads: usize,
    listeners: usize,
}

/// Words of a block of 128 bytes: what different cores write lies in different blocks.
const BLOCK: usize = 16;

impl Scoreboard {
    /// A scoreboard for `slots` worker processes of `threads` cores each, and one listener.
    pub fn new(slots: usize, threads: usize) -> Result<Scoreboard> {
        Scoreboard::with_listeners(slots, threads, 1)
    }

    pub fn with_listeners(slots: usize, threads: usize, listeners: usize) -> Result<Scoreboard> {
        let row = (listeners * CLASSES).next_multiple_of(BLOCK);
        let counts = [
            ServerSlot::WORDS,
            slots * WorkerSlot::WORDS,
            slots * threads * CoreSlot::WORDS,
            slots * (threads + 1) * row,
        ];
        let mapping = Mapping::new(counts.iter().sum::<usize>() * size_of::<AtomicU64>())?;
        let words = mapping.words(0, counts.iter().sum());
        let (server, rest) = words.split_at(counts[0]);
        let (workers, rest) = rest.split_at(counts[1]);
        let (cores, answers) = rest.split_at(counts[2]);
        Ok(Scoreboard { server: ServerSlot::at(server, 0), workers, cores, answers, threads, listeners })
    }

    /// Clears a slot for a new process with this number, which has to leave when the slot does not name it any more.
    pub fn assign(&self, slot: usize, id: u64, generation: u64, assignment: Assignment) {
        self.cores(slot).for_each(|core| core.clear());
        let rows = (self.threads + 1) * self.row();
        self.answers[slot * rows..][..rows].iter().for_each(|word| word.store(0, Relaxed));
        self.worker(slot).assign(id, generation, assignment);
    }

    pub fn listeners(&self) -> usize {
        self.listeners
    }

    #[inline]
    fn row(&self) -> usize {
        (self.listeners * CLASSES).next_multiple_of(BLOCK)
    }

    /// How many requests of a listener were answered, by the class of the status. In the rows below
    /// [`Scoreboard::threads`] only the core of this number writes, in the one above any thread.
    #[inline]
    pub fn answers(&self, slot: usize, row: usize, listener: usize) -> &'static [AtomicU64] {
        &self.answers_of(slot, row)[listener * CLASSES..][..CLASSES]
    }

    /// The same for all listeners, one behind the other.
    pub fn answers_of(&self, slot: usize, row: usize) -> &'static [AtomicU64] {
        &self.answers[(slot * (self.threads + 1) + row) * self.row()..][..self.listeners * CLASSES]
    }

    pub fn slots(&self) -> usize {
        self.workers.len() / WorkerSlot::WORDS
    }

    pub fn threads(&self) -> usize {
        self.threads
    }

    pub fn worker(&self, slot: usize) -> WorkerSlot {
        WorkerSlot::at(self.workers, slot)
    }

    pub fn core(&self, slot: usize, core: usize) -> CoreSlot {
        CoreSlot::at(self.cores, slot * self.threads + core)
    }

    pub fn cores(&self, slot: usize) -> impl Iterator<Item = CoreSlot> + '_ {
        (0..self.threads).map(move |core| self.core(slot, core))
    }

    /// Requests of the whole instance since it started.
    pub fn total_requests(&self) -> &'static AtomicU64 {
        self.server.total_requests()
    }

    /// How often the log has been opened anew.
    pub fn log_epoch(&self) -> &'static AtomicU64 {
        self.server.log_epoch()
    }

    /// The newest generation that is complete.
    pub fn generation(&self) -> &'static AtomicU64 {
        self.server.generation()
    }

    /// Connections that the master has in its hands and gives to workers as soon as one has room.
    pub fn held(&self) -> &'static AtomicU64 {
        self.server.held()
    }

    /// An assignment that no process has had.
    pub fn next_assignment(&self) -> Assignment {
        Assignment::new(self.server.assigned().fetch_add(1, Relaxed) + 1)
    }
}

/// Adds to a word that only the calling thread writes: cheaper than a locked instruction.
pub fn bump(word: &AtomicU64, by: u64) -> u64 {
    let now = word.load(Relaxed) + by;
    word.store(now, Relaxed);
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_shown_until_it_ends() {
        let scoreboard = Scoreboard::new(2, 3).unwrap();
        let core = scoreboard.core(1, 2);
        assert_eq!(core.current_request(), None);
        core.begin(8, 1000, 5000, b"GET", b"/a/long/target?with=query");
        let current = core.current_request().unwrap();
        assert_eq!((current.method.as_str(), current.target.as_str()), ("GET", "/a/long/target?with=query"));
        core.end();
        assert_eq!(core.current_request(), None);
        assert_eq!(scoreboard.core(1, 1).current_request(), None);
    }

    #[test]
    fn a_request_is_shown_with_its_ids() {
        let core = Scoreboard::new(1, 1).unwrap().core(0, 0);
        let shown = |request_id: &[u8], trace_id: &[u8]| {
            core.set_ids(request_id, trace_id);
            core.begin(8, 0, 0, b"GET", b"/a");
            core.current_request().unwrap().to_string()
        };
        assert_eq!(shown(b"4f1c", &[b'a'; 32]), format!("GET /a id 4f1c trace {}", "a".repeat(32)));
        assert_eq!(shown(&[b'i'; 200], b""), format!("GET /a id {}", "i".repeat(REQUEST_ID_LEN)));
        assert_eq!(shown(b"", b""), "GET /a");
    }

    #[test]
    fn the_board_cuts_what_is_too_long() {
        let core = Scoreboard::new(1, 1).unwrap().core(0, 0);
        core.begin(8, 0, 0, &[b'M'; 100], &[b'u'; 5000]);
        let current = core.current_request().unwrap();
        assert_eq!((current.method.len(), current.target.len()), (METHOD_LEN, TARGET_LEN));
    }

    #[test]
    fn a_process_that_lost_its_slot_has_to_leave() {
        let scoreboard = Scoreboard::new(1, 1).unwrap();
        let (slot, first, second) =
            (scoreboard.worker(0), scoreboard.next_assignment(), scoreboard.next_assignment());
        slot.assign(1, 1, first);
        slot.set_command(Command::Pause);
        assert_eq!((slot.command_for(first), slot.command_for(second)), (Command::Pause, Command::Retire));
        slot.assign(1, 1, second);
        slot.set_command(Command::Drain);
        assert_eq!((slot.command_for(first), slot.command_for(second)), (Command::Retire, Command::Drain));
        slot.unassign();
        assert!(!slot.is_assigned(second));
    }

    #[test]
    fn a_boot_ends_in_one_way() {
        let scoreboard = Scoreboard::new(1, 1).unwrap();
        let slot = scoreboard.worker(0);
        slot.assign(1, 1, scoreboard.next_assignment());
        assert!(slot.end_boot(Stage::Ready) && !slot.end_boot(Stage::Gone));
        assert_eq!(slot.stage(), Stage::Ready);
        slot.assign(1, 1, scoreboard.next_assignment());
        assert!(slot.end_boot(Stage::Gone) && !slot.end_boot(Stage::Ready));
        assert_eq!(slot.stage(), Stage::Gone);
    }

    #[test]
    fn one_side_owns_the_client() {
        let core = Scoreboard::new(1, 1).unwrap().core(0, 0);
        core.begin(8, 0, 0, b"GET", b"/");
        assert!(core.answer() && core.answer());
        assert!(!core.expire());
        core.end();
        core.begin(8, 0, 0, b"GET", b"/");
        assert!(core.expire());
        assert!(!core.answer());
    }
}

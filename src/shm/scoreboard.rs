//! The scoreboard: one slot a worker, one a core, all of it atomics. The worker writes, everyone else reads, nobody locks.
//!
//! Slots are 128-byte aligned so that two workers never share a cache line. A slot carries the pid and the generation
//! of its worker: readers take a slot's word only for the worker they mean.

use super::phase;
pub use super::phase::Phase;
use crate::sys::shm::Mapping;
use std::io::Result;
use std::sync::atomic::{AtomicU64, Ordering::*};

const HEAD_WORDS: usize = 16;
const WORKER_WORDS: usize = 32;
const CORE_WORDS: usize = 48;
const CORE_TEXT: usize = 9;

/// The longest method and request target, together, that the scoreboard shows of a request.
pub const TEXT_LEN: usize = (CORE_WORDS - CORE_TEXT) * 8;

/// Beside a client's descriptor: what is sent to it has to be encrypted.
pub const ENCRYPTED: u64 = 1 << 32;

/// How far a worker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Stage {
    Gone = 0,
    Booting = 1,
    Ready = 2,
    Retiring = 3,
}

/// What the master wants of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Command {
    Serve = 0,
    /// Accept nothing new until told to serve again.
    Pause = 1,
    /// Finish what was begun, then leave; others take what comes.
    Retire = 2,
    /// The same, but nobody else will: serve what waits in the backlog first.
    Drain = 3,
}

impl Command {
    /// Does the worker take requests, and go on doing so?
    pub fn serves(self) -> bool {
        self == Command::Serve
    }

    /// May an answer leave its connection open? A worker that leaves passes plain ones on; a TLS session it cannot.
    pub fn keeps_connections(self, is_tls: bool) -> bool {
        self.serves() || (self == Command::Retire && !is_tls)
    }
}

/// Names one process in one slot: no two processes of a server ever have the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Assignment(u64);

impl Assignment {
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    pub fn from_bytes(bytes: [u8; 8]) -> Assignment {
        Assignment(u64::from_le_bytes(bytes))
    }
}

/// Of the word with the command, the bits of the command itself; above them stands the assignment.
const COMMAND_BITS: u32 = 8;

/// Why a worker asks to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum RestartRequest {
    None = 0,
    MaxRequests = 1,
    /// After an exception of the application (`reload-on-exception`).
    Exception = 2,
    /// Not the worker alone, everything: a module has changed (`py-autoreload`).
    Reload = 3,
    /// A signal told this worker to leave, or the application did.
    Leave = 4,
    /// It cannot wait for connections any more.
    Broken = 5,
}

#[derive(Clone, Copy)]
pub struct Scoreboard {
    head: &'static [AtomicU64],
    workers: &'static [AtomicU64],
    cores: &'static [AtomicU64],
    threads: usize,
}

impl Scoreboard {
    /// A scoreboard for `slots` worker processes of `threads` cores each.
    pub fn new(slots: usize, threads: usize) -> Result<Scoreboard> {
        let (head, workers) = (HEAD_WORDS * 8, slots * WORKER_WORDS * 8);
        let cores = slots * threads * CORE_WORDS * 8;
        let mapping = Mapping::new(head + workers + cores)?;
        Ok(Scoreboard {
            head: mapping.words(0, HEAD_WORDS),
            workers: mapping.words(head, slots * WORKER_WORDS),
            cores: mapping.words(head + workers, slots * threads * CORE_WORDS),
            threads,
        })
    }

    pub fn slots(&self) -> usize {
        self.workers.len() / WORKER_WORDS
    }

    pub fn threads(&self) -> usize {
        self.threads
    }

    pub fn worker(&self, slot: usize) -> WorkerSlot {
        WorkerSlot { words: &self.workers[slot * WORKER_WORDS..][..WORKER_WORDS] }
    }

    pub fn core(&self, slot: usize, core: usize) -> CoreSlot {
        CoreSlot { words: &self.cores[(slot * self.threads + core) * CORE_WORDS..][..CORE_WORDS] }
    }

    pub fn cores(&self, slot: usize) -> impl Iterator<Item = CoreSlot> + '_ {
        (0..self.threads).map(move |core| self.core(slot, core))
    }

    /// Requests of the whole instance since it started.
    pub fn total_requests(&self) -> &AtomicU64 {
        &self.head[0]
    }

    /// How often the log has been opened anew.
    pub fn log_epoch(&self) -> &AtomicU64 {
        &self.head[2]
    }

    /// The newest generation that is complete.
    pub fn generation(&self) -> &AtomicU64 {
        &self.head[1]
    }

    /// Connections that the master has in its hands and gives to workers as soon as one has room.
    pub fn held(&self) -> &AtomicU64 {
        &self.head[4]
    }

    /// An assignment that no process has had.
    pub fn next_assignment(&self) -> Assignment {
        Assignment(self.head[3].fetch_add(1, Relaxed) + 1)
    }
}

/// One worker's slot. Counters belong to the process that sits in it and begin at 0 with each.
#[derive(Clone, Copy)]
pub struct WorkerSlot {
    words: &'static [AtomicU64],
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $index:expr;)*) => {
        $($(#[$doc])* #[inline] pub fn $name(&self) -> &'static AtomicU64 { &self.words[$index] })*
    };
}

impl WorkerSlot {
    fields! {
        pid = 0;
        generation = 1;
        /// The number people know it by, from 1.
        id = 2;
        stage_word = 3;
        command_word = 4;
        restart_request_word = 5;
        /// Signals for which the app has its own handlers, as a set of bits.
        app_signals = 6;
        spawned_at = 7;
        /// Requests that a thread is running now.
        in_flight = 16;
        exceptions = 17;
        /// Clients that went away before their answer was complete.
        gone_clients = 18;
        /// Connections refused before they reached the app.
        refused = 19;
        bytes_sent = 20;
        running_us = 21;
        /// Counts finished stack dumps.
        dumps = 22;
        requests = 23;
        /// Not 0: the next stack dump is the worker's last; clients without an answer get one.
        rescue = 25;
        /// Connections that others have given it and it has not taken yet.
        mailbox_len = 31;
        /// When it last took one, or was given one with none before it.
        mailbox_us = 30;
        /// Not 0: it has no room for connections of others.
        table_full = 29;
        /// What its neighbours had served when it began, so that a newcomer does not have to catch up.
        served_baseline = 24;
    }

    /// Requests, as far as the order among the workers is concerned.
    pub fn served(&self) -> u64 {
        self.requests().load(Relaxed) + self.served_baseline().load(Relaxed)
    }

    /// Clears the slot for a new process, which has to leave when the slot does not name it any more.
    pub fn assign(&self, id: u64, generation: u64, assignment: Assignment) {
        self.words.iter().for_each(|word| word.store(0, Relaxed));
        self.command_word().store(assignment.0 << COMMAND_BITS, Relaxed);
        self.id().store(id, Relaxed);
        self.generation().store(generation, Relaxed);
        self.stage_word().store(Stage::Booting as u64, Release);
    }

    pub fn stage(&self) -> Stage {
        match self.stage_word().load(Acquire) {
            1 => Stage::Booting,
            2 => Stage::Ready,
            3 => Stage::Retiring,
            _ => Stage::Gone,
        }
    }

    pub fn set_stage(&self, stage: Stage) {
        self.stage_word().store(stage as u64, Release);
    }

    /// `Ready` by the worker, or `Gone` by the master, which kills it then. `false`: the other one was first.
    pub fn end_boot(&self, stage: Stage) -> bool {
        self.stage_word().compare_exchange(Stage::Booting as u64, stage as u64, AcqRel, Acquire).is_ok()
    }

    pub fn command(&self) -> Command {
        match self.command_word().load(Acquire) & ((1 << COMMAND_BITS) - 1) {
            1 => Command::Pause,
            2 => Command::Retire,
            3 => Command::Drain,
            _ => Command::Serve,
        }
    }

    /// The command as it holds for one process: one that is not in its slot any more has to leave.
    #[inline]
    pub fn command_for(&self, assignment: Assignment) -> Command {
        if self.is_assigned(assignment) { self.command() } else { Command::Retire }
    }

    /// Is this slot the one of the process with this assignment?
    #[inline]
    pub fn is_assigned(&self, assignment: Assignment) -> bool {
        self.command_word().load(Acquire) >> COMMAND_BITS == assignment.0
    }

    /// Only the master gives commands while it lives; a worker without a master gives its own.
    pub fn set_command(&self, command: Command) {
        let word = self.command_word();
        let assigned = word.load(Relaxed) >> COMMAND_BITS << COMMAND_BITS;
        word.store(assigned | command as u64, Release);
    }

    /// Nobody is in the slot: a process that still believes it is there leaves.
    pub fn unassign(&self) {
        self.command_word().store(0, Release);
        self.set_stage(Stage::Gone);
    }

    pub fn restart_request(&self) -> RestartRequest {
        match self.restart_request_word().load(Acquire) {
            1 => RestartRequest::MaxRequests,
            2 => RestartRequest::Exception,
            3 => RestartRequest::Reload,
            4 => RestartRequest::Leave,
            5 => RestartRequest::Broken,
            _ => RestartRequest::None,
        }
    }

    pub fn set_restart_request(&self, request: RestartRequest) {
        self.restart_request_word().store(request as u64, Release);
    }

    /// Takes a request off the scoreboard; `false`: it is not this one.
    pub fn take_restart_request(&self, request: RestartRequest) -> bool {
        self.restart_request_word()
            .compare_exchange(request as u64, RestartRequest::None as u64, AcqRel, Acquire)
            .is_ok()
    }
}

/// Adds to a word that only the calling thread writes: cheaper than a locked instruction.
pub fn bump(word: &AtomicU64, by: u64) -> u64 {
    let now = word.load(Relaxed) + by;
    word.store(now, Relaxed);
    now
}

/// One core's slot: the request that a thread runs, if any.
#[derive(Clone, Copy)]
pub struct CoreSlot {
    words: &'static [AtomicU64],
}

/// A request as the scoreboard shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentRequest {
    pub method: String,
    pub target: String,
    pub started_us: u64,
}

impl CoreSlot {
    fields! {
        phase_word = 0;
        /// The client's descriptor plus 1, and perhaps [`ENCRYPTED`], while the core runs a request; 0 otherwise.
        client = 1;
        started_us = 2;
        /// When harakiri is due on the monotonic clock; 0: never.
        deadline_us = 3;
        requests = 4;
        /// The thread's number as Python's `threading.get_ident()` gives it.
        ident = 5;
        lengths = 6;
        tid = 7;
        /// The start of the request that harakiri has warned already.
        warned_us = 8;
    }

    /// Marks the core busy. The text is written first: who sees `Running` sees it whole.
    pub fn begin(&self, client: u64, now_us: u64, deadline_us: u64, method: &[u8], target: &[u8]) {
        let method = &method[..method.len().min(32)];
        let target = &target[..target.len().min(TEXT_LEN - 32)];
        self.store_text(0, method);
        self.store_text(4, target);
        self.lengths().store((method.len() | target.len() << 16) as u64, Relaxed);
        self.client().store(client, Relaxed);
        self.started_us().store(now_us, Relaxed);
        self.deadline_us().store(deadline_us, Relaxed);
        Phase::Running.store(self.phase_word());
    }

    fn store_text(&self, at: usize, text: &[u8]) {
        let (chunks, rest) = text.as_chunks::<8>();
        let words = &self.words[CORE_TEXT + at..];
        for (word, chunk) in words.iter().zip(chunks) {
            word.store(u64::from_ne_bytes(*chunk), Relaxed);
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            words[chunks.len()].store(u64::from_ne_bytes(last), Relaxed);
        }
    }

    fn text(&self, at: usize, len: usize) -> String {
        let bytes: Vec<u8> = self.words[CORE_TEXT + at..]
            .iter()
            .take(len.div_ceil(8))
            .flat_map(|word| word.load(Relaxed).to_ne_bytes())
            .take(len)
            .collect();
        bytes.escape_ascii().to_string()
    }

    /// Before the first byte of an answer. `false`: the answer was given by the stack-dump handler; send nothing.
    #[inline]
    pub fn answer(&self) -> bool {
        phase::answer(self.phase_word())
    }

    /// After an interim answer: the real one has not begun.
    pub fn resume(&self) {
        phase::resume(self.phase_word());
    }

    /// Answers the request in place of its thread, unless that has begun.
    pub fn answer_instead(&self, send: impl FnOnce(u64) -> bool) {
        phase::answer_instead(self.phase_word(), self.client(), send);
    }

    /// Until then the client, without TLS, must not be closed.
    pub fn await_answer(&self) {
        phase::await_answer(self.phase_word());
    }

    /// Takes the client from a request whose answer has not begun.
    pub fn expire(&self) -> bool {
        phase::expire(self.phase_word())
    }

    #[inline]
    pub fn end(&self) {
        self.deadline_us().store(0, Relaxed);
        Phase::Idle.store(self.phase_word());
        self.client().store(0, Relaxed);
    }

    pub fn phase(&self) -> Phase {
        Phase::of(self.phase_word())
    }

    /// The request that runs now, or `None`. Torn at worst between two requests, never in memory.
    pub fn current_request(&self) -> Option<CurrentRequest> {
        if self.phase() == Phase::Idle {
            return None;
        }
        let lengths = self.lengths().load(Relaxed) as usize;
        Some(CurrentRequest {
            method: self.text(0, lengths & 0x3f),
            target: self.text(4, (lengths >> 16).min(TEXT_LEN - 32)),
            started_us: self.started_us().load(Relaxed),
        })
    }
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
    fn the_board_cuts_what_is_too_long() {
        let core = Scoreboard::new(1, 1).unwrap().core(0, 0);
        core.begin(8, 0, 0, &[b'M'; 100], &[b'u'; 5000]);
        let current = core.current_request().unwrap();
        assert_eq!((current.method.len(), current.target.len()), (32, TEXT_LEN - 32));
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

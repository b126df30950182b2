//! The slot of one worker process.

use super::words::{numbered, words};
use std::sync::atomic::{AtomicU64, Ordering::*};

numbered! {
    /// How far a worker has come.
    pub enum Stage {
        Gone,
        Booting,
        Ready,
        Retiring,
    }
}

numbered! {
    /// What the master wants of a worker.
    pub enum Command {
        Serve,
        /// Accept nothing new until the next `Serve`.
        Pause,
        /// Finish what was begun, then leave; others take what comes.
        Retire,
        /// The same without a successor: serve what waits in the backlog first.
        Drain,
    }
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
    pub(super) fn new(number: u64) -> Assignment {
        Assignment(number)
    }

    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    pub fn from_bytes(bytes: [u8; 8]) -> Assignment {
        Assignment(u64::from_le_bytes(bytes))
    }
}

/// Of the word with the command, the bits of the command itself; above them stands the assignment.
const COMMAND_BITS: u32 = 8;

numbered! {
    /// Why a worker asks to be replaced.
    pub enum RestartRequest {
        None,
        MaxRequests,
        /// After an exception of the application (`reload-on-exception`).
        Exception,
        /// Not the worker alone, everything: a module has changed (`py-autoreload`).
        Reload,
        /// A signal or the application asked this worker to leave.
        Leave,
        /// It cannot wait for connections any more.
        Broken,
    }
}

words! {
    /// One worker's slot. Counters belong to the process that sits in it and begin at 0 with each.
    pub struct WorkerSlot in Worker {
        process: Process {
            pid,
            generation,
            /// The number people know it by, from 1.
            id,
            stage_word,
            command_word,
            restart_request_word,
            /// Signals for which the app has its own handlers, as a set of bits.
            app_signals,
            /// The number of the profile that it is to take, how often a second, until when; and the last one that it has
            /// left in the spool.
            profile,
            profile_hz,
            profile_until_us,
            profile_done,
        }
        work: Work {
            /// Requests that a thread is running now.
            in_flight,
            /// When the last of them was begun.
            begun_us,
            /// Requests that have come to this worker and are not begun.
            waiting,
            /// Since when the first of them does.
            oldest_us,
            /// How long requests have waited between their arrival in this worker, or in one that has given it their
            /// connection, and their beginning, all together.
            waited_us,
            exceptions,
            /// Clients that went away before their answer was complete.
            gone_clients,
            /// Connections refused before they reached the app.
            refused,
            /// Counts finished stack dumps.
            dumps,
            requests,
            /// What its neighbours had served when it began, so that a newcomer does not have to catch up.
            served_baseline,
            /// Not 0: the next stack dump is the worker's last; clients without an answer get one, which says whether
            /// their time was up at this moment on the monotonic clock.
            rescue_us,
            /// Not 0: it has no room for connections of others.
            table_full,
            /// When it last took a message out of its mailbox, or was given one with none before it.
            mailbox_us,
            /// Connections that others have given it and it has not taken yet.
            mailbox_len,
            /// When its standby poller last found something there that waits for its only thread.
            attended_us,
            /// Until then it is given nothing, unless it is seen to serve before: the master has taken back what it had
            /// not read.
            avoided_until_us,
        }
        counts: Counts {
            /// The mean of a request's time and of this before it, as uWSGI's `avg_rt`.
            average_us,
            /// Answers of the server's own to what has not become a request, and their bytes.
            canned,
            canned_bytes,
            tls_handshakes,
            tls_failures,
            /// Connections given to other workers, and taken from them.
            given,
            taken,
            [refusals: REFUSALS.len() + 1],
            [connections: CONNECTION_STATES],
        }
    }
}

/// Statuses with which requests are refused; 0: the connection is closed without an answer.
pub const REFUSALS: [u16; 13] = [0, 400, 408, 411, 413, 414, 417, 431, 500, 501, 503, 505, 507];
/// States of connections that wait: for a request, for the rest of one, for a client that reads, for its close.
pub const CONNECTION_STATES: usize = 4;

impl WorkerSlot {
    /// Requests, as far as the order among the workers is concerned.
    pub fn served(&self) -> u64 {
        self.requests().load(Relaxed) + self.served_baseline().load(Relaxed)
    }

    /// It is seen to serve: others may give it connections.
    #[inline]
    pub fn end_avoidance(&self) {
        if self.avoided_until_us().load(Relaxed) != 0 {
            self.avoided_until_us().store(0, Relaxed);
        }
    }

    /// Clears the slot for a new process, which has to leave when the slot does not name it any more.
    pub fn assign(&self, id: u64, generation: u64, assignment: Assignment) {
        self.words.iter().for_each(|word| word.store(0, Relaxed));
        self.command_word().store(assignment.0 << COMMAND_BITS, Relaxed);
        self.id().store(id, Relaxed);
        self.generation().store(generation, Relaxed);
        self.stage_word().store(Stage::Booting as u64, Release);
    }

    /// A request has been refused with this status. The last word is for all that are not listed.
    pub fn count_refusal(&self, status: u16) {
        self.refused().fetch_add(1, Relaxed);
        let index = REFUSALS.iter().position(|&known| known == status).unwrap_or(REFUSALS.len());
        self.refusals()[index].fetch_add(1, Relaxed);
    }

    pub(super) fn refusals_by_status(&self) -> [u64; REFUSALS.len() + 1] {
        std::array::from_fn(|index| self.refusals()[index].load(Relaxed))
    }

    /// How many connections are in this state; its writers hold a lock.
    #[inline]
    pub fn connections_in(&self, state: usize) -> &'static AtomicU64 {
        &self.connections()[state]
    }

    /// As uWSGI does it.
    #[inline]
    pub fn note_time(&self, running_us: u64) {
        let average = (self.average_us().load(Relaxed) + running_us) / 2;
        self.average_us().store(average, Relaxed);
    }

    pub fn stage(&self) -> Stage {
        Stage::of(self.stage_word().load(Acquire))
    }

    pub fn set_stage(&self, stage: Stage) {
        self.stage_word().store(stage as u64, Release);
    }

    /// `Ready` by the worker, or `Gone` by the master, which kills it then. `false`: the other one was first.
    pub fn end_boot(&self, stage: Stage) -> bool {
        self.stage_word().compare_exchange(Stage::Booting as u64, stage as u64, AcqRel, Acquire).is_ok()
    }

    pub fn command(&self) -> Command {
        Command::of(self.command_word().load(Acquire) & ((1 << COMMAND_BITS) - 1))
    }

    /// The command as it holds for one process: one that is not in its slot any more has to leave.
    #[inline]
    pub fn command_for(&self, assignment: Assignment) -> Command {
        if self.is_assigned(assignment) { self.command() } else { Command::Retire }
    }

    /// Is a process in this slot, whatever its stage is?
    pub fn is_taken(&self) -> bool {
        self.command_word().load(Acquire) >> COMMAND_BITS != 0
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
        RestartRequest::of(self.restart_request_word().load(Acquire))
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

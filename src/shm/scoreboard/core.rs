//! The slot of one core: the request that a thread runs, if any.

use super::bump;
use super::words::words;
use crate::shm::phase::{self, Phase};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::*};

/// The words that hold the texts of a request, and the longest of each that is shown.
const METHOD_WORDS: usize = 4;
const TARGET_WORDS: usize = 35;
const REQUEST_ID_WORDS: usize = 16;
const TRACE_ID_WORDS: usize = 4;
pub const METHOD_LEN: usize = METHOD_WORDS * 8;
pub const TARGET_LEN: usize = TARGET_WORDS * 8;
pub const REQUEST_ID_LEN: usize = REQUEST_ID_WORDS * 8;
pub const TRACE_ID_LEN: usize = TRACE_ID_WORDS * 8;
/// Of the histogram of latencies, the last of which has no bound.
pub const BUCKETS: usize = 32;

/// Beside a client's descriptor: what is sent to it has to be encrypted.
pub const ENCRYPTED: u64 = 1 << 32;

/// A request that has been answered, for the counters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answered {
    /// Its place in the histogram.
    pub bucket: usize,
    pub running_us: u64,
    /// Of that, what was not the application's.
    pub other_us: u64,
    pub is_static: bool,
    /// Bytes behind the head, and those of the answer.
    pub received: u64,
    pub sent: u64,
}

/// A request as the scoreboard shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CurrentRequest {
    pub method: String,
    pub target: String,
    pub started_us: u64,
    /// Its X-Request-ID, and the trace that it belongs to; empty where it has none.
    pub request_id: String,
    pub trace_id: String,
}

/// Which request it is, for people: `GET /a id 4f1c… trace 0af7…`.
impl fmt::Display for CurrentRequest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.method, self.target)?;
        for (name, id) in [("id", &self.request_id), ("trace", &self.trace_id)] {
            if !id.is_empty() {
                write!(out, " {name} {id}")?;
            }
        }
        Ok(())
    }
}

words! {
    /// One core's slot.
    pub struct CoreSlot in Core {
        request: Request {
            phase_word,
            /// The client's descriptor plus 1, and perhaps [`ENCRYPTED`], while the core runs a request; 0 otherwise.
            client,
            /// The number of the listener that the request came through, and above it the bytes of its head.
            origin,
            started_us,
            /// When harakiri is due on the monotonic clock; 0: never.
            deadline_us,
            requests,
            /// The thread's number as Python's `threading.get_ident()` gives it.
            ident,
            lengths,
            tid,
            /// The start of the request that harakiri has warned already.
            warned_us,
            /// The lengths of the request's id and of its trace's.
            id_lengths,
            [method_text: METHOD_WORDS],
            [target_text: TARGET_WORDS],
            [request_id_text: REQUEST_ID_WORDS],
            [trace_id_text: TRACE_ID_WORDS],
        }
        counts: Counts {
            static_requests,
            /// Clients that were gone before they had their whole answer, and bodies that did not come.
            write_errors,
            read_errors,
            /// Bytes of requests and of answers, heads included.
            bytes_received,
            bytes_sent,
            /// From the beginning of requests until they were over.
            running_us,
            /// Of that, what was not the application's: waits for clients, and requests for files.
            other_us,
            /// Of the time of requests, what came after their answers were whole.
            tail_us,
            /// Waits for clients that sent nothing of a body, and for those that took nothing of an answer.
            receiving_us,
            sending_us,
            [latency: BUCKETS],
        }
    }
}

impl CoreSlot {
    /// Marks the core busy. The text is written first: a reader that sees `Running` sees it whole.
    pub fn begin(&self, client: u64, now_us: u64, deadline_us: u64, method: &[u8], target: &[u8]) {
        let method = &method[..method.len().min(METHOD_LEN)];
        let target = &target[..target.len().min(TARGET_LEN)];
        store_text(self.method_text(), method);
        store_text(self.target_text(), target);
        self.lengths().store((method.len() | target.len() << 16) as u64, Relaxed);
        self.client().store(client, Relaxed);
        self.started_us().store(now_us, Relaxed);
        self.deadline_us().store(deadline_us, Relaxed);
        Phase::Running.store(self.phase_word());
    }

    /// The ids of the request that is about to begin; empty where it has none.
    #[inline]
    pub fn set_ids(&self, request_id: &[u8], trace_id: &[u8]) {
        let request_id = &request_id[..request_id.len().min(REQUEST_ID_LEN)];
        let trace_id = &trace_id[..trace_id.len().min(TRACE_ID_LEN)];
        store_text(self.request_id_text(), request_id);
        store_text(self.trace_id_text(), trace_id);
        self.id_lengths().store((request_id.len() | trace_id.len() << 16) as u64, Relaxed);
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

    /// Where the request comes from that is about to begin.
    #[inline]
    pub fn set_origin(&self, listener: usize, head_bytes: usize) {
        self.origin().store(listener as u64 | (head_bytes as u64) << 32, Relaxed);
    }

    /// The number of its listener.
    #[inline]
    pub fn listener(&self) -> usize {
        self.origin().load(Relaxed) as u32 as usize
    }

    /// Only whoever answers the request calls this: the words have one writer.
    #[inline]
    pub fn count(&self, answered: Answered) {
        bump(self.requests(), 1);
        let head_bytes = self.origin().load(Relaxed) >> 32;
        bump(self.bytes_received(), head_bytes + answered.received);
        bump(self.bytes_sent(), answered.sent);
        bump(self.running_us(), answered.running_us);
        if answered.other_us > 0 {
            bump(self.other_us(), answered.other_us);
        }
        if answered.is_static {
            bump(self.static_requests(), 1);
        }
        bump(&self.latency()[answered.bucket.min(BUCKETS - 1)], 1);
    }

    /// How many requests took at most as long as the bounds of the buckets say, each bucket for itself.
    pub(super) fn latencies(&self) -> [u64; BUCKETS] {
        std::array::from_fn(|bucket| self.latency()[bucket].load(Relaxed))
    }

    pub fn is(&self, other: CoreSlot) -> bool {
        std::ptr::eq(self.words, other.words)
    }

    /// For a new process.
    pub(super) fn clear(&self) {
        self.words.iter().for_each(|word| word.store(0, Relaxed));
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
        let id_lengths = self.id_lengths().load(Relaxed) as usize;
        Some(CurrentRequest {
            method: text(self.method_text(), lengths & 0x3f),
            target: text(self.target_text(), lengths >> 16),
            started_us: self.started_us().load(Relaxed),
            request_id: text(self.request_id_text(), id_lengths & 0xffff),
            trace_id: text(self.trace_id_text(), id_lengths >> 16),
        })
    }
}

fn store_text(words: &[AtomicU64], text: &[u8]) {
    let (chunks, rest) = text.as_chunks::<8>();
    for (word, chunk) in words.iter().zip(chunks) {
        word.store(u64::from_ne_bytes(*chunk), Relaxed);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        words[chunks.len()].store(u64::from_ne_bytes(last), Relaxed);
    }
}

fn text(words: &[AtomicU64], len: usize) -> String {
    let words = words.iter().take(len.div_ceil(8));
    let bytes: Vec<u8> = words.flat_map(|word| word.load(Relaxed).to_ne_bytes()).take(len).collect();
    bytes.escape_ascii().to_string()
}

//! What a worker does for its clients in its last moment: the stack-dump signal runs this, inside the handler.

use crate::proto::http::status::Plain;
use crate::shm::board::Board;
use crate::sys::{clock, io};
use std::os::fd::RawFd;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::*;

struct Rescue {
    board: Board,
    slot: usize,
    expired: Vec<u8>,
    bystander: Vec<u8>,
    mark: RawFd,
}

static RESCUE: OnceLock<Rescue> = OnceLock::new();

/// Readies the answers, each with these header lines. `mark` gets one NUL byte after each dump, so that its reader knows where the dump ends.
pub fn prepare(board: Board, slot: usize, mark: RawFd, headers: &[u8]) {
    let plain = |status| {
        let mut out = Vec::new();
        Plain::last(status, headers).push_to(&mut out);
        out
    };
    let _ = RESCUE.set(Rescue { board, slot, expired: plain(504), bystander: plain(503), mark });
}

/// Runs inside a signal handler: atomics, send and write only.
pub fn after_dump() {
    let Some(rescue) = RESCUE.get() else { return };
    let worker = rescue.board.worker(rescue.slot);
    if worker.rescue().load(Acquire) != 0 {
        answer_all(rescue);
    }
    io::write_mark(rescue.mark);
    worker.dumps().fetch_add(1, Release);
}

/// Answers every request whose answer has not begun: 504 to those whose time is up, 503 to the others, which die with
/// the process.
fn answer_all(rescue: &Rescue) {
    let now = clock::monotonic_us();
    for core in rescue.board.cores(rescue.slot) {
        let client = core.client().load(Acquire);
        let deadline = core.deadline_us().load(Acquire);
        if client == 0 || !core.expire() {
            continue;
        }
        let late = deadline != 0 && deadline <= now;
        io::send_raw(client as RawFd - 1, if late { &rescue.expired } else { &rescue.bystander });
    }
}

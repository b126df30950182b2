//! How a worker leaves without losing a connection: it takes what waits for it, passes on or closes what it has, and
//! looks into its mailbox a last time. And what it does without a master.

use super::accept::trouble;
use super::conn::{Conn, State, upkeep};
use super::handoff::encode::is_movable;
use super::handoff::{give, last_look};
use super::shared::Shared;
use crate::log;
use crate::shm::scoreboard::{Command, Stage};
use crate::sys::{clock, epoll, listeners, orphan};
use std::collections::VecDeque;
use std::sync::atomic::Ordering::*;
use std::time::Duration;

/// How long a worker that leaves waits for the next request of a client that no other worker can take over (TLS), until
/// it closes the connection. Each answer meanwhile says `Connection: close`.
const SILENT_US: u64 = 5_000_000;
/// How long a stopping worker waits for the next request of a client that has a connection open: it may be on its way.
const NEXT_US: u64 = 500_000;
/// How long a stopping worker waits for the first byte of a new client.
const FIRST_BYTE_US: u64 = 1_000_000;

// ── without a master ──

/// The pipe to the master says that it has ended, a moment before the kernel gives this process another parent.
pub fn on_master_lost(shared: &Shared) {
    if shared.lifeline.has_lost_its_master() {
        return set_orphaned(shared);
    }
    epoll::sleep(Duration::from_millis(1));
    shared.lifeline.count_false_alarm();
}

/// The master is dead: no other worker takes over what this one leaves.
pub fn set_orphaned(shared: &Shared) {
    // The kernel closes a dead process's files before it signals its children: a client that connects after this
    // worker's last look at the backlog would be reset.
    listeners::refuse_new();
    if shared.lifeline.is_assigned() && shared.lifeline.command() != Command::Drain {
        let id = shared.context.id;
        log::say(&format!("worker {id}: the master is gone; leaving when its requests are answered"));
        shared.lifeline.set_command(Command::Drain);
    }
    trouble::set_listening(shared, false);
}

// ── leaving ──

/// Passes on or closes the connections that no request runs on, as far as that is possible now. Those that are returned
/// have something to be read.
fn clear_table(shared: &Shared, command: Command) -> Vec<Conn> {
    trouble::set_listening(shared, false);
    shared.acceptor.held.clear();
    give::keep_given(shared);
    let now = clock::monotonic_us();
    if !shared.leaving.is_look_due(now) {
        return Vec::new();
    }
    let passes_on = command == Command::Retire && shared.handoff.has_successor(&shared.context);
    let waiting = shared.table.lock().take_waiting();
    let (all, mut begun, mut left) = (waiting.len(), Vec::new(), 0);
    for conn in waiting {
        let kept = if passes_on { give::give_to_successor(shared, conn) } else { Some(conn) };
        if let Some(conn) = kept {
            left += 1;
            begun.extend(settle(shared, conn, now, passes_on));
        }
    }
    shared.leaving.plan_next_look(now, left < all);
    begun
}

/// The same while every thread runs a request: connections do not wait for the end of one to be passed on.
pub fn clear_table_unattended(shared: &Shared) {
    let command = shared.lifeline.command();
    if matches!(command, Command::Retire | Command::Drain) {
        clear_table(shared, command).into_iter().for_each(|conn| upkeep::leave_to_core(shared, conn));
    }
}

/// What becomes of a connection that has to end here. `Some`: it has something to be read first.
fn settle(shared: &Shared, mut conn: Conn, now: u64, passes_on: bool) -> Option<Conn> {
    if conn.has_begun() {
        // A part of a request that was read already waits for the rest, within its time.
        let is_here = conn.buf.is_empty() || matches!(conn.state, State::Idle) || conn.has_bytes();
        if is_here {
            return Some(conn);
        }
        upkeep::keep(shared, conn);
        return None;
    }
    let since = shared.leaving.since_us().max(conn.since_us);
    if now.saturating_sub(since) < patience(&conn, passes_on) {
        upkeep::keep(shared, conn)
    } else {
        shared.table.forget(&conn)
    }
    None
}

/// How long a client may stay silent.
fn patience(conn: &Conn, passes_on: bool) -> u64 {
    match conn.state {
        // Whoever takes it has no room at the moment, or is on pause.
        _ if passes_on && is_movable(conn) => u64::MAX,
        _ if passes_on => SILENT_US,
        State::Head => FIRST_BYTE_US,
        _ => NEXT_US,
    }
}

/// When the server stops only its last workers can answer the connections that a frozen worker was given, and those
/// that the master still holds: they go from a mailbox to the master and into another mailbox.
fn is_needed(shared: &Shared, command: Command) -> bool {
    if command != Command::Drain || shared.lifeline.is_broken() {
        return false;
    }
    let is_held = || !orphan::is_orphaned() && shared.context.scoreboard.held().load(SeqCst) > 0;
    give::take_from_others(shared) || is_held() || give::take_from_others(shared)
}

/// Empties the table as far as possible; what has something to be read goes to `again`. `true`: nothing is left, and
/// no process can give the worker a connection any more.
pub fn leave(shared: &Shared, command: Command, again: &mut VecDeque<Conn>) -> bool {
    let mut is_over = || {
        again.extend(clear_table(shared, command));
        again.is_empty()
            && (shared.table.is_empty() || shared.lifeline.is_broken())
            && !is_needed(shared, command)
    };
    is_over() && look_last(shared, is_over)
}

/// The last look: a process that gives this worker a connection from here on sees that it leaves, and takes it back.
fn look_last(shared: &Shared, is_over: impl FnOnce() -> bool) -> bool {
    shared.leaving.look_at_once();
    let is_over = last_look::leave(|| shared.lifeline.set_stage(Stage::Retiring), is_over);
    if !is_over {
        shared.lifeline.set_stage(Stage::Ready);
    }
    is_over
}

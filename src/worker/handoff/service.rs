//! A worker whose threads all run requests cannot look after the connections in its table. This thread does: it sends
//! on what slow readers have not taken yet, takes what comes of bodies and TLS handshakes, and gives those that have a
//! request to a worker that is idle. It knows nothing of Python, and of requests only how long they have run: while
//! they are short, and there are pauses between them, it does nothing. Where threads wait in accept queues, nobody but
//! it looks at the table. And it answers TLS clients in the worker's last moment (`harakiri`), since the signal handler
//! cannot.

use super::encode::is_movable;
use super::outrun::Outrun;
use super::{give, queueing, work};
use crate::base::reason::reason;
use crate::log;
use crate::net::client::Client;
use crate::policy::placement::{Load, Place};
use crate::shm::scoreboard::{Command, Phase};
use crate::sys::epoll::{self, Epoll, Events};
use crate::sys::{clock, signal, waiter};
use crate::worker::accept::intake::GIVEN;
use crate::worker::accept::trouble;
use crate::worker::body::Body;
use crate::worker::conn::table::{CONNECTION, SWEEP_US};
use crate::worker::conn::{Conn, Serviced, State, leftover, linger, upkeep};
use crate::worker::context::Context;
use crate::worker::harakiri::waiting;
use crate::worker::http::upload;
use crate::worker::lifecycle;
use crate::worker::shared::Shared;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering::*;
use std::time::Duration;

/// A request that has run so long may run much longer.
const LONG_REQUEST_US: u64 = 2_000;
/// So many times in a row no thread was idle: short requests follow each other without a pause.
const SATURATED: u32 = 4;
/// A worker that is idle now and then is between two requests.
const BETWEEN: Duration = Duration::from_micros(300);
/// How often the connections are looked at while one does: at first, and when nothing came for a while.
const LOOK: Duration = Duration::from_millis(1);
const RARE_LOOK: Duration = Duration::from_millis(8);
/// Looks that found nothing, after which they become rare.
const VAIN: u32 = 32;
/// Looks without a request in between, after which there is no more looking until one comes.
const QUIET: u32 = 50;

#[derive(Default)]
struct Pace {
    /// How many times in a row no request was found, or no idle thread.
    quiet: u32,
    busy: u32,
    /// Looks in a row that found nothing.
    vain: u32,
    /// The clients whose bytes flow while every thread is busy, each until it has been waited for.
    flow: Option<Epoll>,
    outrun: Outrun,
}

/// Starts it, once. `false`: the thread cannot be started.
#[cold]
pub fn start(shared: &Arc<Shared>) -> bool {
    shared.handoff.standby.start_with(|| spawn(shared))
}

fn spawn(shared: &Arc<Shared>) -> bool {
    waiter::notify_when_busy(shared.handoff.standby.sleeper.event());
    let id = shared.context.id;
    let shared = shared.clone();
    let builder = std::thread::Builder::new().name("rwsgi standby".to_owned()).stack_size(256 * 1024);
    let started = builder.spawn(move || run(&shared));
    if let Err(error) = &started {
        log::say(&format!("worker {id}: cannot start its standby poller: {}", reason(error)));
    }
    started.is_ok()
}

fn run(shared: &Shared) {
    // The application may have blocked every signal in its own threads: the master's death is told here, too.
    let _ = signal::block_all_but(signal::orphaned());
    let mut events = Events::with_capacity(64);
    let mut pace = Pace::default();
    loop {
        if shared.handoff.standby.sleeper.take_call() {
            waiting::answer_clients(shared);
        }
        match (work::is_there(shared), shared.acceptor.watches_table()) {
            (false, _) => {
                pace = Pace::default();
                sleep(shared);
            }
            (true, true) => watch_once(shared, &mut events, &mut pace),
            // There is no TLS in the accept queues, so no reply waits for this.
            (true, false) => service_alone(shared, &mut events),
        }
    }
}

fn watch_once(shared: &Shared, events: &mut Events, pace: &mut Pace) {
    let busy_for = unattended_for(shared);
    (pace.quiet, pace.busy) = match busy_for {
        Some(_) => (0, pace.busy.saturating_add(1)),
        None => (pace.quiet.saturating_add(1), 0),
    };
    if busy_for.is_some_and(|time| time >= LONG_REQUEST_US) {
        return stand_in(shared, events, pace);
    }
    pace.flow = None;
    if busy_for.is_none() {
        // A thread may have become free just before its process was to be given nothing.
        shared.context.slot.end_avoidance();
    }
    match busy_for {
        Some(_) if pace.busy > SATURATED => {
            if has_neighbour_at_rest(shared) {
                look(shared, events, None, &mut pace.outrun);
            }
            std::thread::park_timeout(LOOK);
        }
        Some(time) => std::thread::park_timeout(Duration::from_micros(LONG_REQUEST_US.saturating_sub(time))),
        // Of several threads one is at rest, most of the time.
        None if pace.quiet <= QUIET && !shared.acceptor.has_crew() => {
            std::thread::park_timeout(Duration::from_micros(LONG_REQUEST_US))
        }
        None => sleep(shared),
    }
}

/// Every thread has been busy for long: what they would do for the table is done here.
fn stand_in(shared: &Shared, events: &mut Events, pace: &mut Pace) {
    if pace.flow.is_none() && shared.table.has_serviceable() {
        pace.flow = Epoll::new().ok();
    }
    let found = look(shared, events, pace.flow.as_ref(), &mut pace.outrun);
    pace.vain = if found { 0 } else { pace.vain.saturating_add(1) };
    let time = if pace.vain > VAIN { RARE_LOOK } else { LOOK };
    lifecycle::clear_table_unattended(shared);
    match &pace.flow {
        Some(flow) => drop(flow.wait(events, Some(time))),
        None => std::thread::park_timeout(time),
    }
}

fn sleep(shared: &Shared) {
    let is_needed =
        || work::is_there(shared) && (!shared.acceptor.watches_table() || unattended_for(shared).is_some());
    let has_to_leave = || work::is_left_with_connections(shared) && all_busy_for(&shared.context).is_some();
    shared.handoff.standby.sleeper.sleep(is_needed, has_to_leave);
}

/// For how long no thread has looked at the table; `None`: one does, or will in a moment.
fn unattended_for(shared: &Shared) -> Option<u64> {
    // Threads on pause look at nothing.
    let is_paused = shared.lifeline.command() == Command::Pause && shared.table.has_serviceable();
    if is_paused { Some(u64::MAX) } else { all_busy_for(&shared.context) }
}

/// How long every thread has been running its request; `None`: one of them runs none.
fn all_busy_for(context: &Context) -> Option<u64> {
    let now = clock::monotonic_us();
    let mut youngest = u64::MAX;
    for core in context.cores() {
        if core.phase() == Phase::Idle {
            return None;
        }
        youngest = youngest.min(now.saturating_sub(core.started_us().load(Relaxed)));
    }
    Some(youngest)
}

fn has_neighbour_at_rest(shared: &Shared) -> bool {
    let found = idle_neighbour(shared);
    found.is_some() && {
        std::thread::park_timeout(BETWEEN);
        idle_neighbour(shared) == found
    }
}

/// Where one that waits behind one request would begin at once.
fn idle_neighbour(shared: &Shared) -> Option<usize> {
    let mine = Load { in_flight: 1, waiting: 1, begun_us: 0, oldest_us: u64::MAX };
    shared.handoff.better_place(&shared.context, mine).map(Place::slot)
}

/// Looks once which connections have something, without waiting: a thread that waits in this epoll would be woken for
/// new connections, too, in place of another worker. `false`: none has.
fn look(shared: &Shared, events: &mut Events, flow: Option<&Epoll>, outrun: &mut Outrun) -> bool {
    if !shared.handoff.has_neighbours(&shared.context) && !shared.table.has_serviceable() {
        return false;
    }
    if shared.table.epoll().wait(events, Some(Duration::ZERO)).is_err() {
        return false;
    }
    let keys = || events.iter().map(|(token, _)| token).filter(|token| token & CONNECTION != 0);
    let mut waiting = keys().count() as u64;
    if events.iter().any(|(token, _)| token == GIVEN) {
        forward_given(shared, outrun);
    }
    for token in keys() {
        service(shared, (token & !CONNECTION) as usize, waiting, flow, outrun);
        waiting -= 1;
    }
    if shared.acceptor.has_crew() {
        queueing::relieve(shared);
        queueing::relieve_outrun(shared, || outrun.quicker(shared));
        if all_busy_for(&shared.context).is_none() {
            // A thread may have looked for held connections just before there were some, and wait.
            shared.acceptor.nudge();
        }
    }
    events.iter().next().is_some() || !shared.acceptor.held.is_empty()
}

/// Waits for the connections of the table and serves them, where no other thread watches them.
fn service_alone(shared: &Shared, events: &mut Events) {
    match shared.table.epoll().wait(events, Some(Duration::from_micros(SWEEP_US))) {
        Ok(()) => {
            events.iter().for_each(|(token, _)| {
                service(shared, (token & !CONNECTION) as usize, 0, None, &mut Outrun::default())
            });
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => {}
        Err(error) => trouble::cannot_wait(shared, &error),
    }
    upkeep::sweep(shared, clock::monotonic_us());
    if !shared.lifeline.command().serves() && !work::is_there(shared) {
        // Those who wait for the last one to go.
        shared.lifeline.threads.wake_all();
    }
}

/// Serves a connection that is readable or writable, one of so many.
fn service(shared: &Shared, key: usize, waiting: u64, flow: Option<&Epoll>, outrun: &mut Outrun) {
    let Some(conn) = shared.table.take(key) else { return };
    let serviced = match conn.state {
        State::Sending(_) => leftover::send(shared, conn),
        State::Body(_) => upload::gather(shared, conn, &mut Body::default()),
        State::Lingering => return linger::read_on(shared, conn),
        State::Head | State::Idle if queueing::may_be_held(shared, &conn) => {
            return queueing::hold(shared, conn);
        }
        State::Head | State::Idle => return pass_on(shared, conn, waiting, outrun),
    };
    match serviced {
        Serviced::Waits(conn) => wait_on(shared, conn, flow),
        Serviced::Ready(conn) => hand_on(shared, conn),
        Serviced::Over => {}
    }
}

fn wait_on(shared: &Shared, mut conn: Conn, flow: Option<&Epoll>) {
    let holds = conn.reads_on() && conn.client.as_mut().is_some_and(Client::has_buffered_input);
    if let (Some(flow), Some(client)) = (flow, &conn.client) {
        let wanted = if holds || !conn.reads_on() { epoll::WRITE } else { epoll::READ };
        let flags = wanted | epoll::ONESHOT;
        let _ = flow.modify(client, flags, 0).or_else(|_| flow.add(client, flags, 0));
    }
    if holds { upkeep::leave_to_core(shared, conn) } else { upkeep::keep(shared, conn) }
}

/// All of a body is here, or all of an answer is sent: what follows is a core's, of this worker or another.
fn hand_on(shared: &Shared, mut conn: Conn) {
    let is_answered = matches!(conn.state, State::Idle);
    if is_answered && conn.buf.is_empty() && !conn.client.as_mut().is_some_and(Client::has_buffered_input) {
        return upkeep::keep(shared, conn);
    }
    upkeep::leave_to_core(shared, conn);
}

/// A connection has a request, or a part of one, as so many have: it goes where it is begun sooner.
fn pass_on(shared: &Shared, mut conn: Conn, waiting: u64, outrun: &mut Outrun) {
    let mine = Load { waiting, ..shared.handoff.load(&shared.context, shared.context.slot_index) };
    // What has been left to a core still is.
    let wanted = conn.events & !epoll::ONESHOT;
    let better = || shared.handoff.better_place(&shared.context, mine).map(Place::slot);
    if is_movable(&conn)
        && let Some(slot) = better().or_else(|| outrun.quicker(shared))
    {
        let Some(kept) = give::give_from_table(shared, conn, slot) else { return };
        conn = kept;
    }
    // Clients have a limit for connecting, which covers the handshake, and a longer one for the answer.
    if let Some(client) = &mut conn.client {
        client.shake_hands();
        shared.context.slot.tls_handshakes().fetch_add(client.note_handshake().into(), Relaxed);
    }
    let wanted = wanted | conn.awaited();
    upkeep::put_back(shared, conn, wanted);
}

/// What another worker has given, to one that has time for it.
fn forward_given(shared: &Shared, outrun: &mut Outrun) {
    if shared.acceptor.has_crew() {
        return give::take_given(shared).into_iter().for_each(|conn| queueing::hold(shared, conn));
    }
    if shared.lifeline.command().serves() {
        shared.context.slot.attended_us().store(clock::monotonic_us(), Relaxed);
    }
    let Some(slot) = idle_neighbour(shared).or_else(|| outrun.quicker(shared)) else { return };
    if let Some(conn) = give::take_given(shared)
        && let Some(kept) = give::give(shared, conn, slot)
    {
        upkeep::keep(shared, kept);
    }
}

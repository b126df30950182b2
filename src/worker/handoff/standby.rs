//! A worker whose threads all run requests cannot look after the connections in its table. This thread does: it sends on
//! what slow readers have not taken yet, takes what comes of bodies and TLS handshakes, and gives those that have a request
//! to a worker that is idle. It knows nothing of Python, and of requests only how long they have run: while they are short,
//! and there are pauses between them, it does nothing. Where threads wait in shared lines, nobody but it looks at the table. And it answers TLS
//! clients in the worker's last moment (`rescue`), since the signal handler cannot.

use super::encode::is_movable;
use crate::base::reason::reason;
use crate::log;
use crate::net::client::Client;
use crate::shm::scoreboard::{Command, Phase};
use crate::sys::epoll::{self, Epoll, Events};
use crate::sys::eventfd::EventFd;
use crate::sys::{clock, signal, waiter};
use crate::worker::Shared;
use crate::worker::body::Body;
use crate::worker::conn::{leftover, linger};
use crate::worker::conns::{Conn, Waits};
use crate::worker::http::upload;
use crate::worker::intake::{CONNECTION, GIVEN};
use crate::worker::rescue;
use crate::worker::sleeper::Sleeper;
use crate::worker::waiting::{SWEEP_US, Serviced, awaited};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::*;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A request that has run so long may run much longer.
const LONG_REQUEST_US: u64 = 5_000;
/// So many times in a row no thread was found at rest: short requests follow each other without a pause.
const SATURATED: u32 = 4;
/// A neighbour that is idle now and then is between two requests.
const BETWEEN: Duration = Duration::from_micros(300);
/// How often the connections are looked at while one does.
const LOOK: Duration = Duration::from_millis(3);
/// Looks without a request in between, after which there is no more looking until one comes.
const QUIET: u32 = 50;

pub struct StandbyPoller {
    /// Set when its thread is needed: could it be started?
    started: OnceLock<bool>,
    /// A signal handler that has left it TLS clients to answer calls it.
    sleeper: Sleeper,
}

impl StandbyPoller {
    pub fn new() -> std::io::Result<StandbyPoller> {
        Ok(StandbyPoller { started: OnceLock::new(), sleeper: Sleeper::new(EventFd::new()?) })
    }

    #[inline]
    fn is_there(&self) -> bool {
        self.started.get() == Some(&true)
    }
}

#[derive(Default)]
struct Pace {
    /// How many times in a row no request was found, or no thread at rest.
    quiet: u32,
    busy: u32,
    /// The clients whose bytes flow while every thread is busy, each until it has been waited for.
    flow: Option<Epoll>,
}

impl Shared {
    /// There are connections to look after. `false`: the thread cannot be started.
    #[inline]
    pub fn need_standby(self: &Arc<Shared>) -> bool {
        *self.standby.started.get_or_init(|| self.start_standby())
    }

    fn start_standby(self: &Arc<Shared>) -> bool {
        waiter::notify_when_busy(self.standby.sleeper.event());
        let shared = self.clone();
        let builder = std::thread::Builder::new().name("rwsgi standby".to_owned()).stack_size(256 * 1024);
        let started = builder.spawn(move || shared.run_standby());
        if let Err(error) = &started {
            log::say(&format!("worker {}: cannot start its standby poller: {}", self.id, reason(error)));
        }
        started.is_ok()
    }

    /// Inside of a signal handler: atomics and a write only. `false`: nobody is there to do it.
    pub fn leave_rescue_to_standby(&self) -> bool {
        self.standby.is_there() && self.standby.sleeper.call()
    }

    /// A request has begun, and is on the scoreboard.
    #[inline]
    pub fn notify_standby(&self) {
        if self.standby.is_there()
            && self.standby.sleeper.is_asleep()
            && self.has_private_epoll()
            && self.has_work()
        {
            self.standby.sleeper.wake();
        }
    }

    pub fn wake_standby(&self) {
        if self.standby.is_there() {
            self.standby.sleeper.wake();
        }
    }

    /// There is something for the standby poller to do, or will be when all threads are busy.
    fn has_work(&self) -> bool {
        match self.has_private_epoll() {
            true => self.has_neighbours() || self.has_serviceable() || self.is_left_with_connections(),
            false => !self.conns().is_empty(),
        }
    }

    /// This worker is to leave, and has connections that can be passed on or closed.
    fn is_left_with_connections(&self) -> bool {
        matches!(self.command(), Command::Retire | Command::Drain) && !self.conns().is_empty()
    }

    fn has_serviceable(&self) -> bool {
        self.serviceable.load(Relaxed) > 0
    }

    fn run_standby(&self) {
        // The application may have blocked every signal in its own threads: the master's death is told here, too.
        let _ = signal::block_all_but(signal::orphaned());
        let mut events = Events::with_capacity(64);
        let mut pace = Pace::default();
        loop {
            if self.standby.sleeper.take_call() {
                rescue::answer_encrypted_clients(self);
            }
            match (self.has_work(), self.has_private_epoll()) {
                (false, _) => {
                    pace = Pace::default();
                    self.sleep();
                }
                (true, true) => self.watch_once(&mut events, &mut pace),
                // There is no TLS in the shared lines, so no rescue waits for this.
                (true, false) => self.service_alone(&mut events),
            }
        }
    }

    fn watch_once(&self, events: &mut Events, pace: &mut Pace) {
        let busy_for = self.unattended_for();
        (pace.quiet, pace.busy) = match busy_for {
            Some(_) => (0, pace.busy.saturating_add(1)),
            None => (pace.quiet.saturating_add(1), 0),
        };
        match busy_for {
            Some(LONG_REQUEST_US..) => {
                if pace.flow.is_none() && self.has_serviceable() {
                    pace.flow = Epoll::new().ok();
                }
                self.look(events, pace.flow.as_ref());
                self.clear_table_unattended();
                match &pace.flow {
                    Some(flow) => drop(flow.wait(events, Some(LOOK))),
                    None => std::thread::park_timeout(LOOK),
                }
                return;
            }
            Some(_) if pace.busy > SATURATED => {
                if self.has_neighbour_at_rest() {
                    self.look(events, None);
                }
                std::thread::park_timeout(LOOK);
            }
            Some(time) => std::thread::park_timeout(Duration::from_micros(LONG_REQUEST_US - time)),
            None if pace.quiet <= QUIET => std::thread::park_timeout(Duration::from_micros(LONG_REQUEST_US)),
            None => self.sleep(),
        }
        pace.flow = None;
    }

    fn sleep(&self) {
        let is_needed = || self.has_work() && (!self.has_private_epoll() || self.unattended_for().is_some());
        let has_to_leave = || self.is_left_with_connections() && self.all_busy_for().is_some();
        self.standby.sleeper.sleep(is_needed, has_to_leave);
    }

    /// For how long no thread has looked at the table; `None`: one does, or will in a moment.
    fn unattended_for(&self) -> Option<u64> {
        // Threads on pause look at nothing.
        let is_paused = self.command() == Command::Pause && self.has_serviceable();
        if is_paused { Some(u64::MAX) } else { self.all_busy_for() }
    }

    /// How long every thread has been running its request; `None`: one of them runs none.
    fn all_busy_for(&self) -> Option<u64> {
        let now = clock::monotonic_us();
        let mut youngest = u64::MAX;
        for core in self.scoreboard.cores(self.slot_index) {
            if core.phase() == Phase::Idle {
                return None;
            }
            youngest = youngest.min(now.saturating_sub(core.started_us().load(Relaxed)));
        }
        Some(youngest)
    }

    fn has_neighbour_at_rest(&self) -> bool {
        let found = self.idle_neighbour();
        found.is_some() && {
            std::thread::park_timeout(BETWEEN);
            self.idle_neighbour() == found
        }
    }

    /// Looks once which connections have something, without waiting: a thread that waits in this epoll would be woken for
    /// new connections, too, in place of another worker.
    fn look(&self, events: &mut Events, flow: Option<&Epoll>) {
        if self.idle_neighbour().is_none() && !self.has_serviceable() {
            return;
        }
        if self.epoll.wait(events, Some(Duration::ZERO)).is_err() {
            return;
        }
        for (token, _) in events.iter() {
            if token == GIVEN {
                self.forward_given();
            } else if token & CONNECTION != 0 {
                self.service((token & !CONNECTION) as usize, flow);
            }
        }
    }

    /// Waits for the connections of the table and sees them off, where no thread but this one looks at them.
    fn service_alone(&self, events: &mut Events) {
        match self.epoll.wait(events, Some(Duration::from_micros(SWEEP_US))) {
            Ok(()) => events.iter().for_each(|(token, _)| self.service((token & !CONNECTION) as usize, None)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => self.cannot_wait(error),
        }
        self.sweep(clock::monotonic_us());
        if !self.command().serves() && !self.has_work() {
            // Those who wait for the last one to go.
            self.wake_all();
        }
    }

    /// Looks after a connection that has bytes, or room for some.
    fn service(&self, key: usize, flow: Option<&Epoll>) {
        let Some(conn) = self.conns().take(key) else { return };
        let serviceable = match conn.waits {
            Waits::Reader => leftover::send(self, conn),
            Waits::Body => upload::gather(self, conn, &mut Body::default()),
            Waits::Close => return linger::read_on(self, conn),
            Waits::Head | Waits::Idle => return self.give_from_table(conn),
        };
        match serviceable {
            Serviced::Waits(conn) => self.wait_on(conn, flow),
            Serviced::Ready(conn) => self.hand_on(conn),
            Serviced::Over => {}
        }
    }

    fn wait_on(&self, mut conn: Conn, flow: Option<&Epoll>) {
        let holds = conn.waits == Waits::Body && conn.client.as_mut().is_some_and(Client::has_buffered_input);
        if let (Some(flow), Some(client)) = (flow, &conn.client) {
            let wanted = if holds || conn.waits == Waits::Reader { epoll::WRITE } else { epoll::READ };
            let flags = wanted | epoll::ONESHOT;
            let _ = flow.modify(client, flags, 0).or_else(|_| flow.add(client, flags, 0));
        }
        if holds { self.leave_to_core(conn) } else { self.keep(conn) }
    }

    /// All of a body is here, or all of an answer is sent: what follows is a core's, of this worker or another.
    fn hand_on(&self, mut conn: Conn) {
        if conn.waits == Waits::Reader {
            (conn.waits, conn.since_us) = (Waits::Idle, clock::monotonic_us());
            if conn.buf.is_empty() && !conn.client.as_mut().is_some_and(Client::has_buffered_input) {
                return self.keep(conn);
            }
        }
        self.leave_to_core(conn);
    }

    fn give_from_table(&self, mut conn: Conn) {
        // What has been left to a core still is.
        let wanted = conn.events & !epoll::ONESHOT;
        if let Some(slot) = self.idle_neighbour()
            && is_movable(&conn)
            && let Some(client) = &conn.client
            && self.epoll.remove(client.as_fd()).is_ok()
        {
            conn.events = 0;
            let key = conn.key;
            match self.give(conn, slot) {
                Some(kept) => conn = kept,
                // Not before: a worker that leaves waits as long as a key is taken.
                None => return key.into_iter().for_each(|key| self.conns().release(key)),
            }
        }
        // Clients have a limit for connecting, which covers the handshake, and a longer one for the answer.
        conn.client.iter_mut().for_each(Client::shake_hands);
        let wanted = wanted | awaited(&mut conn);
        self.watch(conn, wanted);
    }

    /// What another worker has given, to one that has time for it.
    fn forward_given(&self) {
        let Some(slot) = self.idle_neighbour() else { return };
        if let Some(conn) = self.take_given()
            && let Some(kept) = self.give(conn, slot)
        {
            self.keep(kept);
        }
    }
}

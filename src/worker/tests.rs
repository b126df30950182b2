//! A worker's parts together, without a master and without an application.

use super::accept::intake::{Arrival, Intake};
use super::accept::{Accepting, Claim, Post, queues, trouble};
use super::begin;
use super::conn::keep;
use super::conn::table::{CONNECTION, RequestMemory};
use super::conn::{Conn, State, linger, upkeep};
use super::context::Context;
use super::core::Core;
use super::handoff::{give, mailbox, queueing, work};
use super::harakiri::answers;
use super::lifecycle;
use super::request::mounts::Mounts;
use super::setup::Setup;
use super::shared::Shared;
use super::thread::{Next, Thread};
use crate::config::{Protocol, Settings};
use crate::log::buffers::LogBuffers;
use crate::net::client::Client;
use crate::net::listener::Bound;
use crate::policy::admission::{SHORT_US, YOUNG_US};
use crate::policy::placement::{Load, Place};
use crate::shm::metrics::Metrics;
use crate::shm::scoreboard::{Command, ENCRYPTED, RestartRequest, Scoreboard, Stage};
use crate::sys::epoll::{self, Events};
use crate::sys::spool::Spool;
use crate::sys::threads::ThreadProbe;
use crate::sys::{clock, io, process, waiter};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::Ordering::*;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Enough for the tests that wait, each as a core of its own.
const THREADS: usize = 8;

struct Server {
    setup: Setup,
    address: SocketAddr,
    /// What the master would hold and read.
    alive: OwnedFd,
    news: OwnedFd,
}

enum Waiting {
    PrivateEpoll,
    SharedQueues,
}

impl Server {
    fn new(waiting: Waiting, change: impl FnOnce(&mut Settings)) -> Server {
        let mut settings = Settings::default();
        settings.instance.processes = 2;
        change(&mut settings);
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let listeners = vec![bound(socket.into())];
        let (alive_reading, alive) = io::pipe(false).unwrap();
        let (news, news_writing) = io::pipe(true).unwrap();
        let (_, dumps) = io::pipe(true).unwrap();
        let accepting = match waiting {
            Waiting::PrivateEpoll => Accepting::PrivateEpoll,
            Waiting::SharedQueues => {
                Accepting::SharedQueues(Arc::new(queues::make(2, &listeners, &alive_reading).unwrap()))
            }
        };
        let setup = Setup {
            settings: Arc::new(settings),
            scoreboard: Scoreboard::new(2, THREADS).unwrap(),
            metrics: Metrics::new(Vec::new()).unwrap(),
            log_buffers: LogBuffers::new(2).unwrap(),
            listeners: Arc::new(listeners),
            accepting,
            mailboxes: Arc::new(mailbox::make(2).unwrap()),
            master: process::parent(),
            alive: Arc::new(alive_reading),
            news: Arc::new(news_writing),
            dumps: Arc::new(dumps),
            spool: Arc::new(Spool::new().unwrap()),
            log_file: None,
            log_epoch: 0,
            slot: 0,
            id: 1,
            assignment: Default::default(),
            zygote_threads: 0,
        };
        Server { setup, address, alive, news }
    }

    fn http() -> Server {
        Server::new(Waiting::PrivateEpoll, |_| {})
    }

    /// A worker that serves.
    fn worker(&self, slot: usize) -> Arc<Shared> {
        let Setup { settings, scoreboard, listeners, .. } = &self.setup;
        let (id, assignment) = (slot as u32 + 1, scoreboard.next_assignment());
        scoreboard.worker(slot).assign(id.into(), 1, assignment);
        let context = Context::new(settings.clone(), *scoreboard, slot, id, listeners.clone());
        let setup = Setup { slot, id, assignment, ..self.setup.clone() };
        let shared = Shared::new(&setup, context, Arc::new(Mounts::default())).unwrap();
        assert!(shared.lifeline.announce(*scoreboard));
        shared
    }

    /// A client, and the connection that it has with a worker.
    fn connect(&self, shared: &Shared) -> (TcpStream, Conn) {
        let client = TcpStream::connect(self.address).unwrap();
        let bound = &shared.context.listeners[0];
        let (socket, peer) = bound.accept().unwrap();
        let settings = &shared.context.settings;
        (client, Conn::accepted(shared.context.client(socket, 0), bound, 0, peer, &settings.http))
    }

    fn has_news(&self) -> bool {
        io::read(self.news.as_fd(), &mut [0; 16]).is_ok()
    }
}

fn bound(fd: OwnedFd) -> Bound {
    Bound {
        fd,
        protocol: Protocol::Http,
        inherited: false,
        number: 0,
        to_https: None,
        name: "here".to_owned(),
        port: "80".to_owned(),
    }
}

/// `core`: another one in each test. What was signalled to it before is looked at.
fn intake(shared: &Shared, core: usize) -> (Intake, Post) {
    let mut waiting = (Intake::new(waiter::of_core(core).unwrap(), 1), Post::default());
    assert!(matches!(wait(shared, &mut waiting), Arrival::Interrupted));
    waiting
}

fn wait(shared: &Shared, (intake, post): &mut (Intake, Post)) -> Arrival {
    shared.acceptor.wait(&shared.table, intake, post, Some(Duration::from_millis(1)))
}

// Accepting.

#[test]
fn listeners_that_are_out_of_the_epoll_wake_nobody() {
    let server = Server::http();
    let shared = server.worker(0);
    let mut intake = intake(&shared, 1);
    let _client = TcpStream::connect(server.address).unwrap();
    assert!(matches!(wait(&shared, &mut intake), Arrival::Listener(0)));
    trouble::set_listening(&shared, false);
    assert!(shared.acceptor.has_stopped_listening());
    assert!(matches!(wait(&shared, &mut intake), Arrival::TimedOut));
    trouble::set_listening(&shared, true);
    assert!(matches!(wait(&shared, &mut intake), Arrival::Listener(0)));
    drop(server.alive);
    assert!(matches!(shared.acceptor.wait_paused(&mut intake.0, None), Arrival::Orphaned));
}

#[test]
fn a_claim_is_taken_and_released_once() {
    let server = Server::http();
    let shared = server.worker(0);
    let (acceptor, context, mut post) = (&shared.acceptor, &shared.context, Post::default());
    acceptor.claim(context, &mut post);
    acceptor.claim(context, &mut post);
    assert_eq!(context.slot.in_flight().load(Relaxed), 1);
    acceptor.release(context, &mut post);
    acceptor.release(context, &mut post);
    assert_eq!(context.slot.in_flight().load(Relaxed), 0);
}

/// As if this thread ran a request on a core since so many microseconds.
fn run(shared: &Shared, core: usize, since_us: u64) {
    let context = &shared.context;
    let (core, begun_us) = (context.scoreboard.core(0, core), clock::monotonic_us() - since_us);
    core.tid().store(process::thread_id() as u64, Relaxed);
    core.begin(0, begun_us, 0, b"GET", b"/");
    context.slot.begun_us().store(begun_us, Relaxed);
}

#[test]
fn a_process_takes_no_second_request_while_a_young_one_computes() {
    for waiting in [Waiting::SharedQueues, Waiting::PrivateEpoll] {
        let server = Server::new(waiting, |_| {});
        let shared = server.worker(0);
        let Shared { acceptor, context, .. } = &*shared;
        let (mut first, mut second) = (Post::default(), Post::default());
        assert!(acceptor.claim_alone(context, &mut first));
        assert!(!acceptor.claim_alone(context, &mut second));
        // Nothing runs yet.
        assert!(matches!(acceptor.try_claim(context, &mut second), Claim::Soon(_)));
        // This thread has a processor.
        run(&shared, 0, 0);
        assert!(matches!(acceptor.try_claim(context, &mut second), Claim::Soon(_)));
        run(&shared, 0, SHORT_US);
        assert!(matches!(acceptor.try_claim(context, &mut second), Claim::Refused(_)));
        assert_eq!(context.slot.in_flight().load(Relaxed), 1);
        // It has computed for long.
        let probe = ThreadProbe::of(process::thread_id()).unwrap();
        while probe.cpu_us() < 2 * YOUNG_US {}
        run(&shared, 0, 10 * YOUNG_US);
        assert_eq!(acceptor.try_claim(context, &mut second), Claim::Granted);
        assert_eq!(context.slot.in_flight().load(Relaxed), 2);
    }
}

#[test]
fn one_that_waits_keeps_no_other_out() {
    let server = Server::http();
    let shared = server.worker(0);
    let (told, tell) = io::pipe(false).unwrap();
    let (tid, waiting) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        tid.send(process::thread_id()).unwrap();
        let _ = io::read(told.as_fd(), &mut [0]);
    });
    let tid = waiting.recv().unwrap();
    run(&shared, 0, SHORT_US);
    shared.context.scoreboard.core(0, 0).tid().store(tid as u64, Relaxed);
    shared.context.slot.in_flight().store(1, Relaxed);
    let mut post = Post::default();
    while shared.acceptor.try_claim(&shared.context, &mut post) != Claim::Granted {
        process::yield_now();
    }
    drop(tell);
    thread.join().unwrap();
}

// What waits to be begun.

#[test]
fn what_has_waited_longest_is_taken_first_and_what_is_gone_is_passed_over() {
    let server = Server::http();
    let shared = server.worker(0);
    let (_clients, conns): (Vec<_>, Vec<_>) = (0..3).map(|_| server.connect(&shared)).unzip();
    for (number, conn) in conns.into_iter().enumerate() {
        queueing::hold(&shared, Conn { requests: number as u64, ..conn });
    }
    let waiting = || shared.context.slot.waiting().load(Relaxed);
    assert_eq!((waiting(), shared.table.lock().len()), (3, 3));
    let first = shared.table.take(0).unwrap();
    shared.table.forget(&first);
    let take = || shared.acceptor.held.take(&shared.table, |_| true);
    let second = take().unwrap();
    assert!(second.requests == 1 && second.ready_us != 0);
    let last = shared.acceptor.held.take(&shared.table, |conn| conn.requests == 5);
    assert!(last.is_none() && waiting() == 1);
    assert!(take().is_some() && take().is_none() && waiting() == 0);
}

#[test]
fn what_waits_goes_where_it_is_begun_sooner() {
    let server = Server::http();
    let (busy, idle) = (server.worker(0), server.worker(1));
    let (_clients, conns): (Vec<_>, Vec<_>) = (0..3).map(|_| server.connect(&busy)).unzip();
    busy.context.slot.in_flight().store(1, Relaxed);
    conns.into_iter().for_each(|conn| queueing::hold(&busy, conn));
    queueing::relieve(&busy);
    // One runs and one waits here, two have been given.
    assert_eq!(busy.context.slot.waiting().load(Relaxed), 1);
    assert_eq!((0..3).filter(|_| given(&idle).is_some()).count(), 2);
}

#[test]
fn a_thread_that_begins_what_waited_leaves_the_listeners_to_another() {
    let server = Server::http();
    let shared = server.worker(0);
    let (mut client, conn) = server.connect(&shared);
    client.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    let mut other = intake(&shared, 4);
    queueing::hold(&shared, conn);
    shared.acceptor.set_refusing(true);
    trouble::set_listening(&shared, false);
    assert_eq!(Thread::new(shared.clone(), 7).unwrap().advance(), Next::Run);
    // It may run for long. The other, which waits without a limit, puts them back.
    assert!(!shared.acceptor.is_refusing() && shared.acceptor.has_stopped_listening());
    assert!(matches!(wait(&shared, &mut other), Arrival::Called));
}

#[test]
fn a_new_client_has_its_turn_while_others_are_held() {
    let server = Server::http();
    let shared = server.worker(0);
    let (clients, conns): (Vec<_>, Vec<_>) = (0..16).map(|_| server.connect(&shared)).unzip();
    for (mut client, conn) in clients.iter().zip(conns) {
        client.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
        queueing::hold(&shared, conn);
    }
    let _new = TcpStream::connect(server.address).unwrap();
    let waits_in_backlog = || epoll::is_readable(&shared.context.listeners[0].fd);
    let mut thread = Thread::new(shared.clone(), 6).unwrap();
    for _ in 0..12 {
        while thread.advance() != Next::Run {}
    }
    assert!(!waits_in_backlog() && shared.context.slot.waiting().load(Relaxed) == 5);
}

// The table.

fn ready(shared: &Shared) -> Vec<usize> {
    let mut events = Events::with_capacity(8);
    shared.table.epoll().wait(&mut events, Some(Duration::ZERO)).unwrap();
    let tokens = events.iter().map(|(token, _)| token);
    tokens.filter(|token| token & CONNECTION != 0).map(|token| (token & !CONNECTION) as usize).collect()
}

#[test]
fn a_connection_waits_in_the_table_until_it_has_bytes() {
    let server = Server::http();
    let shared = server.worker(0);
    let (mut client, conn) = server.connect(&shared);
    assert_eq!(shared.table.keep(conn), RequestMemory::Fits);
    assert!(ready(&shared).is_empty());
    client.write_all(b"GET").unwrap();
    let keys = ready(&shared);
    let conn = shared.table.take(keys[0]).unwrap();
    assert_eq!((conn.key, shared.table.is_empty()), (Some(keys[0]), false));
    shared.table.forget(&conn);
    assert!(shared.table.is_empty() && shared.table.take(keys[0]).is_none());
}

#[test]
fn a_full_table_is_on_the_scoreboard() {
    let server = Server::new(Waiting::PrivateEpoll, |settings| settings.http.connections = 1);
    let shared = server.worker(0);
    let (_client, conn) = server.connect(&shared);
    assert!(!shared.table.is_full());
    let _ = shared.table.keep(conn);
    assert!(shared.table.is_full() && !keep::may_stay(&shared, false));
    assert_eq!(shared.context.slot.table_full().load(Relaxed), 1);
    let conn = shared.table.take(0).unwrap();
    shared.table.forget(&conn);
    assert!(!shared.table.is_full() && keep::may_stay(&shared, false));
    shared.table.set_short_until(u64::MAX);
    assert!(shared.table.is_full());
}

#[test]
fn peers_that_were_answered_take_no_room_from_others() {
    let server = Server::new(Waiting::PrivateEpoll, |settings| settings.http.connections = 3);
    let shared = server.worker(0);
    let [(mut oldest, first), (mut newest, second), (mut idle, third)] =
        [(); 3].map(|()| server.connect(&shared));
    linger::close(&shared, first);
    linger::close(&shared, second);
    assert!(!shared.table.is_full());
    upkeep::keep_for_standby(&shared, Conn { state: State::Idle, ..third });
    assert!(!shared.table.is_full());
    assert_eq!(shared.table.lock().iter().filter(|(_, conn)| matches!(conn.state, State::Idle)).count(), 1);
    // Both have the end of what was sent to them, and one is read on.
    for client in [&mut oldest, &mut newest] {
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    }
    idle.set_nonblocking(true).unwrap();
    assert!(idle.read(&mut [0; 1]).is_err());
    assert!(newest.write_all(b"more").is_ok() && shared.table.lock().len() == 2);
}

#[test]
fn requests_that_are_not_whole_count() {
    let server = Server::new(Waiting::PrivateEpoll, |settings| settings.http.request_memory = 10);
    let shared = server.worker(0);
    let (_client, conn) = server.connect(&shared);
    let (_other, begun) = server.connect(&shared);
    assert_eq!(shared.table.keep(Conn { buf: vec![0; 10], ..conn }), RequestMemory::Fits);
    assert_eq!(shared.table.storage(&shared.context.settings).memory, 0);
    assert_eq!(shared.table.keep(Conn { buf: vec![0; 1], ..begun }), RequestMemory::Exceeded);
}

#[test]
fn the_table_is_looked_over_once_a_second() {
    let server = Server::http();
    let shared = server.worker(0);
    let (_client, conn) = server.connect(&shared);
    let _ = shared.table.keep(Conn { since_us: 1, ..conn });
    let later = 3_600_000_000;
    let overdue = shared.table.sweep(later);
    assert_eq!(overdue.len(), 1);
    for conn in overdue {
        let _ = shared.table.keep(conn);
    }
    assert_eq!(shared.table.sweep(later + 999_999).len(), 0);
    assert_eq!(shared.table.sweep(later + 1_000_000).len(), 1);
}

// Hand-off, and leaving.

fn given(shared: &Shared) -> Option<Vec<u8>> {
    give::take_given(shared).map(|conn| conn.buf)
}

#[test]
fn an_idle_neighbour_is_given_a_connection() {
    let server = Server::http();
    let (busy, idle) = (server.worker(0), server.worker(1));
    let (_client, mut conn) = server.connect(&busy);
    conn.buf = b"GET /".to_vec();
    let mine = Load { in_flight: 1, waiting: 1, begun_us: 0, oldest_us: 0 };
    idle.context.slot.in_flight().store(1, Relaxed);
    assert_eq!(busy.handoff.better_place(&busy.context, mine), None);
    idle.context.slot.in_flight().store(0, Relaxed);
    assert_eq!(busy.handoff.better_place(&busy.context, mine), Some(Place::Oldest(1)));
    assert!(give::give(&busy, conn, 1).is_none());
    assert_eq!(given(&idle).unwrap(), b"GET /");
    assert!(given(&idle).is_none() && busy.table.is_empty());
}

#[test]
fn what_is_given_to_one_that_has_left_comes_back() {
    let server = Server::http();
    let (giver, gone) = (server.worker(0), server.worker(1));
    let (_client, conn) = server.connect(&giver);
    gone.lifeline.set_stage(Stage::Retiring);
    assert!(give::give(&giver, conn, 1).is_none());
    assert!(given(&gone).is_none());
    assert_eq!(giver.table.lock().len(), 1);
}

#[test]
fn a_worker_that_retires_passes_its_connections_on() {
    let server = Server::http();
    let (old, new) = (server.worker(0), server.worker(1));
    let clients = [(); 3].map(|()| {
        let (client, mut conn) = server.connect(&old);
        conn.state = State::Idle;
        let _ = old.table.keep(conn);
        client
    });
    old.lifeline.set_command(Command::Retire);
    assert!(work::is_left_with_connections(&old));
    let mut again = VecDeque::new();
    assert!(lifecycle::leave(&old, Command::Retire, &mut again));
    assert_eq!(old.context.slot.stage(), Stage::Retiring);
    assert!(old.table.is_empty() && old.acceptor.has_stopped_listening());
    assert_eq!((0..4).filter(|_| given(&new).is_some()).count(), clients.len());
}

#[test]
fn a_worker_that_leaves_loses_nothing_that_waits_to_be_begun() {
    for (command, protocol) in [Command::Retire, Command::Drain]
        .into_iter()
        .flat_map(|command| [Protocol::Http, Protocol::Uwsgi].map(|protocol| (command, protocol)))
    {
        let server = Server::http();
        let (old, new) = (server.worker(0), server.worker(1));
        let (mut client, conn) = server.connect(&old);
        client.write_all(b"GET").unwrap();
        queueing::hold(&old, Conn { protocol, ..conn });
        old.lifeline.set_command(command);
        let mut again = VecDeque::new();
        let is_over = lifecycle::leave(&old, command, &mut again);
        assert_eq!(is_over, command == Command::Retire);
        assert_eq!((again.len(), given(&new).is_some()), if is_over { (0, true) } else { (1, false) });
    }
}

#[test]
fn a_worker_that_retires_begins_nothing_that_another_can() {
    let server = Server::http();
    let (old, new) = (server.worker(0), server.worker(1));
    let (_client, conn) = server.connect(&old);
    old.lifeline.set_command(Command::Retire);
    let mut core = Core::new(old.clone(), 6);
    assert!(begin::read_or_hold(&mut core, conn).is_none());
    assert!(given(&new).is_some());
    // The last one serves it.
    let (_client, conn) = server.connect(&old);
    old.lifeline.set_command(Command::Drain);
    assert!(begin::read_or_hold(&mut core, conn).is_some());
}

#[test]
fn a_worker_that_retires_takes_what_it_was_woken_for() {
    let server = Server::http();
    let (old, _new) = (server.worker(0), server.worker(1));
    let mut client = TcpStream::connect(server.address).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    old.lifeline.set_command(Command::Retire);
    // Another thread was the first to obey.
    trouble::set_listening(&old, false);
    assert_eq!(Thread::new(old.clone(), 5).unwrap().advance(), Next::Run);
}

#[test]
fn a_worker_that_drains_reads_what_has_come() {
    let server = Server::http();
    let last = server.worker(0);
    let (mut client, conn) = server.connect(&last);
    client.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let _ = last.table.keep(conn);
    last.lifeline.set_command(Command::Drain);
    let mut again = VecDeque::new();
    assert!(!lifecycle::leave(&last, Command::Drain, &mut again));
    assert_eq!((again.len(), last.context.slot.stage()), (1, Stage::Ready));
    let conn = again.pop_front().unwrap();
    last.table.forget(&conn);
    assert!(lifecycle::leave(&last, Command::Drain, &mut again));
}

#[test]
fn the_standby_poller_sleeps_while_a_thread_is_free() {
    let server = Server::http();
    let shared = server.worker(0);
    let standby = &shared.handoff.standby;
    assert!(standby.start_with(|| true));
    std::thread::scope(|scope| {
        let sleeps = scope.spawn(|| standby.sleeper.sleep(|| false, || false));
        while !standby.sleeper.is_asleep() {
            process::yield_now();
        }
        shared.context.slot.in_flight().store(THREADS as u64 - 1, Relaxed);
        work::notify_begin(&shared);
        assert!(standby.sleeper.is_asleep());
        shared.context.slot.in_flight().store(THREADS as u64, Relaxed);
        work::notify_begin(&shared);
        sleeps.join().unwrap();
    });
}

// The master, and harakiri.

#[test]
fn a_successor_is_asked_for_once() {
    let server = Server::http();
    let shared = server.worker(0);
    assert!(server.has_news());
    shared.lifeline.request_restart(RestartRequest::MaxRequests);
    assert!(server.has_news());
    shared.lifeline.request_restart(RestartRequest::Leave);
    assert!(!server.has_news());
    assert_eq!(shared.context.slot.restart_request(), RestartRequest::MaxRequests);
}

#[test]
fn a_worker_that_the_master_does_not_know_is_not_ready() {
    let server = Server::http();
    let shared = server.worker(0);
    server.setup.scoreboard.worker(0).assign(1, 2, server.setup.scoreboard.next_assignment());
    assert!(!shared.lifeline.announce(server.setup.scoreboard));
    assert!(!shared.lifeline.is_assigned());
    assert_ne!(shared.lifeline.command(), Command::Serve);
    shared.lifeline.set_stage(Stage::Ready);
    assert_eq!(server.setup.scoreboard.worker(0).stage(), Stage::Booting);
}

#[test]
fn clients_without_tls_are_answered_in_the_last_moment() {
    let server = Server::http();
    let shared = server.worker(0);
    assert!(!shared.replies.are_needed());
    let (mark_reading, mark) = io::pipe(true).unwrap();
    answers::prepare(&shared.context, None, mark.as_raw_fd());
    let now = clock::monotonic_us();
    let cores: Vec<_> = shared.context.cores().take(3).collect();
    let (mut late, late_conn) = server.connect(&shared);
    let (mut other, other_conn) = server.connect(&shared);
    let word = |conn: &Conn| conn.client.as_ref().map_or(0, Client::scoreboard_word);
    cores[0].begin(word(&late_conn), now, 1, b"GET", b"/");
    // Its time is up when it is answered, and was not when the worker was given up.
    cores[1].begin(word(&other_conn), now, now, b"GET", b"/");
    cores[2].begin(ENCRYPTED | 1, now, u64::MAX, b"GET", b"/");
    // A dump on request kills no worker.
    answers::after_dump();
    assert_eq!(shared.context.slot.dumps().load(Relaxed), 1);
    assert!(answers::claimed(cores[2]).is_none());
    shared.context.slot.rescue_us().store(2, Relaxed);
    answers::after_dump();
    drop((late_conn, other_conn));
    let status = |client: &mut TcpStream| {
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!([status(&mut late), status(&mut other)], ["504", "503"]);
    assert!(!cores[0].answer() && !cores[1].answer() && cores[2].answer());
    assert_eq!(shared.context.slot.dumps().load(Relaxed), 2);
    let mut marks = [1; 4];
    assert_eq!(io::read(mark_reading.as_fd(), &mut marks).unwrap(), 2);
}

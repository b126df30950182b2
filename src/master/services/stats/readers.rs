//! All connections of the stats server. There are a bounded number of them with a bounded number of bytes: when a new
//! one has no place, the one that has been there for longest makes room.

use super::documents::{self, Answer};
use super::hosts::Hosts;
use super::reader::{HeadOnly, Reader, State};
use super::request::Refusal;
use super::view::View;
use crate::log;
use crate::log::throttle::Throttle;
use crate::master::action::{self as stacks, Action, Ticket};
use crate::net::listener::{StatsListener, is_shortage};
use crate::report::Document;
use crate::sys::epoll::{self, Epoll, Events};
use crate::sys::{process, socket};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Result};
use std::os::fd::{AsFd, AsRawFd, RawFd};

pub const MAX_READERS: usize = 64;
/// Bytes of answers that are not taken yet.
const MAX_UNSENT: usize = 32 << 20;
/// Accepted in one turn of the loop, so that a crowd does not keep the master from its work.
const MAX_ACCEPTED: usize = 32;
/// Descriptors that are left to what the master has to start.
const SPARE_DESCRIPTORS: u64 = 32;
/// Until another try where the system is out of descriptors or memory.
const SHORTAGE_US: u64 = 100_000;

/// Tokens below are listeners.
const FIRST_TICKET: u64 = 1 << 16;

pub struct Readers {
    /// Listeners and readers; it is readable itself when one of them is ready.
    epoll: Epoll,
    events: Events,
    listeners: Vec<StatsListener>,
    connected: BTreeMap<u64, Reader>,
    next_ticket: u64,
    /// Until then nobody is accepted.
    short_until: Option<u64>,
    complaints: Throttle,
}

impl Readers {
    pub fn new(listeners: Vec<StatsListener>) -> Result<Readers> {
        let epoll = Epoll::new()?;
        for (index, listener) in listeners.iter().enumerate() {
            epoll.add(&listener.fd, epoll::READ, index as u64)?;
        }
        Ok(Readers {
            epoll,
            events: Events::with_capacity(MAX_READERS),
            listeners,
            connected: BTreeMap::new(),
            next_ticket: FIRST_TICKET,
            short_until: None,
            complaints: Throttle::default(),
        })
    }

    pub fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    /// Descriptors that children close.
    pub fn private(&self) -> Vec<RawFd> {
        let listeners = self.listeners.iter().map(|listener| listener.fd.as_raw_fd());
        let connected = self.connected.values().map(|reader| reader.socket.as_raw_fd());
        let own = [self.epoll.as_fd().as_raw_fd()];
        own.into_iter().chain(listeners).chain(connected).collect()
    }

    /// Does what is due.
    pub fn turn(&mut self, now: u64, view: &View<'_>) -> Vec<Action> {
        self.end_shortage(now);
        self.connected.retain(|_, reader| now < reader.until);
        let Ok(()) = self.epoll.wait(&mut self.events, Some(std::time::Duration::ZERO)) else {
            return Vec::new();
        };
        let ready: Vec<(u64, u32)> = self.events.iter().collect();
        let actions = ready.into_iter().flat_map(|(token, flags)| match token < FIRST_TICKET {
            true => self.accept_from(token as usize, now, view),
            false => self.advance(token, flags, now, view).into_iter().collect(),
        });
        let actions = actions.collect();
        self.limit_unsent();
        actions
    }

    pub fn deadline(&self) -> Option<u64> {
        self.connected.values().map(|reader| reader.until).chain(self.short_until).min()
    }

    /// The answer that a reader waits for.
    pub fn complete(&mut self, ticket: Ticket, document: &Document, now: u64) {
        let Some(reader) = self.connected.get_mut(&ticket.0) else { return };
        if let State::Waiting(head_only) = reader.state {
            let http = self.listeners[reader.listener].http.then_some(HeadOnly(head_only));
            reader.answer(document, http, now);
            self.send(ticket.0, now);
            self.limit_unsent();
        }
    }

    // ── coming ──

    fn accept_from(&mut self, index: usize, now: u64, view: &View<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        for _ in 0..MAX_ACCEPTED {
            match socket::accept(self.listeners[index].fd.as_fd()) {
                Ok(socket) => actions.extend(self.welcome(Reader::new(socket, index, now), now, view)),
                Err(error) if is_shortage(&error) => {
                    self.begin_shortage(now);
                    break;
                }
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(_) => break,
            }
        }
        actions
    }

    fn welcome(&mut self, mut reader: Reader, now: u64, view: &View<'_>) -> Option<Action> {
        self.make_room(reader.socket.as_raw_fd());
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let StatsListener { http: is_http, worker, .. } = self.listeners[reader.listener];
        if worker.is_some() {
            reader.wait(false, now);
        } else if !is_http {
            reader.answer(&view.json(), None, now);
        }
        if self.epoll.add(&reader.socket, epoll::READ, ticket).is_err() {
            return None;
        }
        self.connected.insert(ticket, reader);
        if worker.is_some() {
            return Some(Action::ReadStacks(stacks::Reader::Tracebacker(Ticket(ticket)), worker));
        }
        // A client of HTTP has often sent its request already.
        match is_http {
            true => self.advance(ticket, epoll::READ, now, view),
            false => {
                self.send(ticket, now);
                None
            }
        }
    }

    /// One that only has to be read to its end goes first; one that waits for an answer goes last.
    fn make_room(&mut self, newest: RawFd) {
        // The kernel gives the lowest number that is free.
        if process::descriptor_limit().is_ok_and(|limit| newest as u64 + SPARE_DESCRIPTORS >= limit) {
            self.connected.clear();
        }
        if self.connected.len() < MAX_READERS {
            return;
        }
        let rank = |state: &State| match state {
            State::Closing(_) | State::Done => 0,
            State::Asking(_) | State::Sending(_) => 1,
            State::Waiting(_) => 2,
        };
        let first = self.connected.iter().min_by_key(|(ticket, reader)| (rank(&reader.state), **ticket));
        if let Some(ticket) = first.map(|(ticket, _)| *ticket) {
            self.connected.remove(&ticket);
        }
    }

    /// Whoever has had the longest time to read goes first. A single answer may be as long as it is.
    fn limit_unsent(&mut self) {
        let unsent = |reader: &Reader| reader.unsent();
        let mut excess = self.connected.values().map(unsent).sum::<usize>().saturating_sub(MAX_UNSENT);
        let reading = self.connected.iter().filter(|(_, reader)| unsent(reader) > 0);
        let tickets: Vec<u64> = reading.map(|(ticket, _)| *ticket).collect();
        for ticket in tickets.iter().rev().skip(1).rev() {
            if excess == 0 {
                return;
            }
            excess = excess.saturating_sub(self.connected.remove(ticket).as_ref().map_or(0, unsent));
        }
    }

    fn begin_shortage(&mut self, now: u64) {
        if self.complaints.count(1, now).is_some() {
            log::say("the stats server accepts nobody for a moment: no descriptor or no memory is left");
        }
        self.short_until = Some(now + SHORTAGE_US);
        self.watch_listeners(0);
    }

    fn end_shortage(&mut self, now: u64) {
        if self.short_until.is_some_and(|until| until <= now) {
            self.short_until = None;
            self.watch_listeners(epoll::READ);
        }
    }

    fn watch_listeners(&self, flags: u32) {
        for (index, listener) in self.listeners.iter().enumerate() {
            // Whoever connects waits in the backlog otherwise.
            let _ = self.epoll.modify(&listener.fd, flags, index as u64);
        }
    }

    // ── going on ──

    fn advance(&mut self, ticket: u64, flags: u32, now: u64, view: &View<'_>) -> Option<Action> {
        let reader = self.connected.get_mut(&ticket)?;
        let action = match reader.state {
            _ if flags & epoll::HANGUP != 0 => {
                reader.state = State::Done;
                None
            }
            State::Asking(_) => self.read_request(ticket, now, view),
            State::Closing(_) => {
                reader.drain();
                None
            }
            _ => None,
        };
        self.send(ticket, now);
        action
    }

    fn read_request(&mut self, ticket: u64, now: u64, view: &View<'_>) -> Option<Action> {
        let reader = self.connected.get_mut(&ticket)?;
        match reader.receive() {
            Ok(true) => {}
            Ok(false) => return None,
            Err(_) => {
                reader.state = State::Done;
                return None;
            }
        }
        let State::Asking(reading) = &mut reader.state else { return None };
        let listener = &self.listeners[reader.listener];
        let hosts = Hosts { named: &view.server().settings().stats.hosts, bound: &listener.host };
        // Browsers do not reach unix sockets, and what asks for metrics does it by any name.
        let is_checked = !listener.is_unix && !listener.metrics;
        let (document, head_only) = match reading.parse(is_checked.then_some(&hosts))? {
            Err(Refusal { document, head_only }) => (document, head_only),
            Ok(asked) => match documents::answer(&asked, Ticket(ticket), view, listener.metrics) {
                Answer::Now(document) => (document, asked.head_only),
                Answer::Later(action) => {
                    reader.wait(asked.head_only, now);
                    return Some(action);
                }
            },
        };
        reader.answer(&document, Some(HeadOnly(head_only)), now);
        None
    }

    /// Sends what there is, and has the epoll watch for what is needed next.
    fn send(&mut self, ticket: u64, now: u64) {
        let Some(reader) = self.connected.get_mut(&ticket) else { return };
        if reader.send(now).is_err() {
            reader.state = State::Done;
        }
        let flags = match reader.state {
            State::Asking(_) | State::Closing(_) => epoll::READ,
            State::Sending(_) => epoll::WRITE,
            State::Waiting(_) => 0,
            State::Done => {
                self.connected.remove(&ticket);
                return;
            }
        };
        if self.epoll.modify(&reader.socket, flags, ticket).is_err() {
            self.connected.remove(&ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryReport;
    use super::*;
    use crate::config::Settings;
    use crate::master::server::{Server, tests::serving};
    use crate::supervise::Children;
    use std::cell::RefCell;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};

    struct Fixture {
        readers: Readers,
        server: Server,
        address: std::net::SocketAddr,
    }

    impl Fixture {
        fn new(http: bool) -> Fixture {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let address = listener.local_addr().unwrap();
            let name = address.to_string();
            let listener = StatsListener {
                fd: listener.into(),
                http,
                metrics: false,
                worker: None,
                is_unix: false,
                host: String::new(),
                name,
            };
            Fixture {
                readers: Readers::new(vec![listener]).unwrap(),
                server: serving(Settings::default()),
                address,
            }
        }

        fn turn(&mut self, now: u64) -> Vec<Action> {
            let (memory, history, children) = (RefCell::default(), RefCell::default(), Children::default());
            let memory: &RefCell<MemoryReport> = &memory;
            self.readers.turn(now, &View::new(&self.server, &children, memory, &history))
        }

        fn connect(&self, sent: &[u8]) -> TcpStream {
            let mut client = TcpStream::connect(self.address).unwrap();
            client.write_all(sent).unwrap();
            client
        }
    }

    fn read(client: &mut TcpStream) -> String {
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_place_is_free_again_when_its_time_is_up() {
        let mut fixture = Fixture::new(true);
        let mut client = fixture.connect(b"GET / HT");
        fixture.turn(1);
        assert_eq!((fixture.readers.connected.len(), fixture.readers.deadline()), (1, Some(5_000_001)));
        fixture.turn(5_000_001);
        assert_eq!((fixture.readers.connected.len(), fixture.readers.deadline()), (0, None));
        assert_eq!(read(&mut client), "");
    }

    #[test]
    fn the_one_that_has_been_there_for_longest_makes_room() {
        let mut fixture = Fixture::new(true);
        let clients: Vec<TcpStream> = (0..MAX_READERS).map(|_| fixture.connect(b"GET")).collect();
        for _ in 0..3 {
            fixture.turn(1);
        }
        assert_eq!(fixture.readers.connected.len(), MAX_READERS);
        let mut late = fixture.connect(b"GET /stats HTTP/1.0\r\n\r\n");
        fixture.turn(2);
        assert_eq!(fixture.readers.connected.len(), MAX_READERS);
        assert!(read(&mut late).starts_with("HTTP/1.1 200 OK\r\n"));
        let mut first = &clients[0];
        // Reset or closed: it is out.
        assert!(matches!(first.read(&mut [0]), Ok(0) | Err(_)));
    }

    #[test]
    fn an_answer_may_come_later() {
        let mut fixture = Fixture::new(true);
        let mut client = fixture.connect(b"");
        fixture.turn(1);
        let ticket = *fixture.readers.connected.keys().next().unwrap();
        fixture.readers.connected.get_mut(&ticket).unwrap().wait(false, 1);
        fixture.readers.complete(Ticket(ticket + 1), &Document::json("wrong"), 2);
        fixture.readers.complete(Ticket(ticket), &Document::json("{}"), 2);
        assert!(read(&mut client).ends_with("\r\n\r\n{}"));
        // It is answered once.
        fixture.readers.complete(Ticket(ticket), &Document::json("[]"), 2);
        drop(client);
        fixture.turn(3);
        assert!(fixture.readers.connected.is_empty());
    }

    #[test]
    fn what_comes_behind_a_request_is_read_for_a_while() {
        let mut fixture = Fixture::new(false);
        let mut client = fixture.connect(b"GET / HTTP/1.0\r\n\r\n");
        fixture.turn(1);
        assert!(read(&mut client).starts_with('{'));
        assert_eq!(fixture.readers.connected.len(), 1);
        client.shutdown(Shutdown::Write).unwrap();
        for _ in 0..2 {
            fixture.turn(2);
        }
        assert!(fixture.readers.connected.is_empty());
    }

    #[test]
    fn what_waits_to_be_read_is_bounded_whenever_it_was_asked_for() {
        let mut fixture = Fixture::new(true);
        let clients: Vec<TcpStream> = (0..8).map(|_| fixture.connect(b"GET")).collect();
        fixture.turn(1);
        let tickets: Vec<u64> = fixture.readers.connected.keys().copied().collect();
        assert_eq!(tickets.len(), clients.len());
        let long = Document::json(vec![b' '; MAX_UNSENT]);
        for ticket in &tickets {
            fixture.readers.connected.get_mut(ticket).unwrap().wait(false, 1);
            fixture.readers.complete(Ticket(*ticket), &long, 2);
            let unsent: usize = fixture.readers.connected.values().map(Reader::unsent).sum();
            assert!(0 < unsent && unsent <= MAX_UNSENT, "{unsent}");
            // The newest is never the one that goes.
            assert!(fixture.readers.connected.contains_key(ticket));
        }
    }

    #[test]
    fn those_who_read_at_the_same_time_share_the_document() {
        let mut fixture = Fixture::new(false);
        let clients: Vec<TcpStream> = (0..3).map(|_| fixture.connect(b"")).collect();
        fixture.turn(1);
        let texts: Vec<String> = clients.into_iter().map(|mut client| read(&mut client)).collect();
        assert!(texts[0].len() > 500 && texts.iter().all(|text| *text == texts[0]));
    }
}

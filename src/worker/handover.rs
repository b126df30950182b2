//! Connections that go from one worker to another: a socket pair for each slot of the board, made before the first fork.

use super::Shared;
use super::client::Client;
use super::conns::{Conn, Waits};
use crate::config::Protocol;
use crate::shm::board::{Board, Order, Stage};
use crate::sys::{io, scm};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{Ordering::*, fence};

/// The two ends of a slot's letter box.
#[derive(Debug)]
pub struct Letters {
    pub taking: OwnedFd,
    giving: OwnedFd,
}

/// A letter box for each slot.
pub fn make(slots: usize) -> std::io::Result<Vec<Letters>> {
    let one = |_| io::packet_pair().map(|(taking, giving)| Letters { taking, giving });
    (0..slots).map(one).collect()
}

/// Most bytes that go along of a request that has begun to arrive.
const MOST: usize = 16 * 1024;
const HEAD: usize = 4 + 8 + 8 + 1 + 16 + 2 + 2;
/// The longest letter.
const LONGEST: usize = HEAD + MOST;
/// Connections that wait in one letter box.
const FULL: u64 = 8;

const TRUSTED: u8 = 1;
const AWAITS_PROXY: u8 = 2;
const IDLE: u8 = 4;
const HAS_PEER: u8 = 8;

/// May a connection change its worker? One that is in the middle of a body or an answer may not, nor one whose TLS session
/// has begun: its keys stay where they were made.
pub fn is_movable(conn: &Conn) -> bool {
    conn.protocol == Protocol::Http
        && matches!(conn.waits, Waits::Head | Waits::Idle)
        && conn.buf.len() <= MOST
        && conn.client.as_ref().is_some_and(Client::is_transferable)
}

fn pack(conn: &Conn) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD + conn.buf.len());
    let flag = |is: bool, bit: u8| if is { bit } else { 0 };
    out.extend_from_slice(&(conn.listener as u32).to_ne_bytes());
    out.extend_from_slice(&conn.requests.to_ne_bytes());
    out.extend_from_slice(&conn.since_us.to_ne_bytes());
    out.push(
        flag(conn.trusted, TRUSTED)
            | flag(conn.awaits_proxy, AWAITS_PROXY)
            | flag(conn.waits == Waits::Idle, IDLE)
            | flag(conn.peer.is_some(), HAS_PEER),
    );
    let (ip, port) = conn.peer.map_or((Ipv6Addr::UNSPECIFIED.into(), 0), |peer| (peer.ip(), peer.port()));
    let octets = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    out.extend_from_slice(&octets);
    out.extend_from_slice(&port.to_ne_bytes());
    out.extend_from_slice(&(conn.buf.len() as u16).to_ne_bytes());
    out.extend_from_slice(&conn.buf);
    out
}

fn unpack(bytes: &[u8], client: impl FnOnce(usize) -> Client) -> Option<Conn> {
    let (listener, rest) = bytes.split_first_chunk::<4>()?;
    let (requests, rest) = rest.split_first_chunk::<8>()?;
    let (since, rest) = rest.split_first_chunk::<8>()?;
    let (&[flags], rest) = rest.split_first_chunk::<1>()?;
    let (octets, rest) = rest.split_first_chunk::<16>()?;
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let buf = rest.get(..u16::from_ne_bytes(*length).into())?;
    let listener = u32::from_ne_bytes(*listener) as usize;
    let mut conn = Conn::new(client(listener), Protocol::Http, listener, u64::from_ne_bytes(*since));
    conn.requests = u64::from_ne_bytes(*requests);
    conn.trusted = flags & TRUSTED != 0;
    conn.awaits_proxy = flags & AWAITS_PROXY != 0;
    conn.waits = if flags & IDLE != 0 { Waits::Idle } else { Waits::Head };
    let peer = SocketAddr::new(Ipv6Addr::from(*octets).to_canonical(), u16::from_ne_bytes(*port));
    conn.peer = (flags & HAS_PEER != 0).then_some(peer);
    conn.buf = buf.to_vec();
    Some(conn)
}

impl Shared {
    /// A worker that runs nothing, in whose letter box there is room; the emptiest first.
    pub fn idle_neighbour(&self) -> Option<usize> {
        let waits = |slot: usize| {
            let worker = self.board.worker(slot);
            let is_idle = slot != self.slot_index
                && worker.stage() == Stage::Ready
                && worker.order() == Order::Serve
                && worker.in_flight().load(Relaxed) == 0;
            let handed = worker.handed().load(Relaxed);
            (is_idle && handed < FULL).then_some((handed, slot))
        };
        (0..self.letters.len()).filter_map(waits).min().map(|(_, slot)| slot)
    }

    /// Gives a connection to the worker in a slot, or hands it back. This worker's epoll must have forgotten it.
    pub fn give(&self, conn: Conn, slot: usize) -> Option<Conn> {
        let (Some(letters), Some(client)) = (self.letters.get(slot), &conn.client) else { return Some(conn) };
        if !is_movable(&conn) || !post(self.board, letters, slot, &pack(&conn), client.as_fd()) {
            return Some(conn);
        }
        drop(conn);
        self.take_back(slot);
        None
    }

    /// A worker that has left meanwhile takes nothing any more.
    fn take_back(&self, slot: usize) {
        fence(SeqCst);
        while has_left(self.board, slot)
            && let Some(conn) = self.take_from(slot)
        {
            self.keep(conn);
        }
    }

    /// A connection that another worker has given.
    pub fn take_given(&self) -> Option<Conn> {
        self.take_from(self.slot_index)
    }

    fn take_from(&self, slot: usize) -> Option<Conn> {
        let mut bytes = Vec::new();
        let socket = scm::receive(self.letters.get(slot)?.taking.as_fd(), &mut bytes, LONGEST).ok()?;
        // What a predecessor in this slot has left was not counted in it.
        let less = |handed: u64| Some(handed.saturating_sub(1));
        let _ = self.board.worker(slot).handed().fetch_update(Relaxed, Relaxed, less);
        unpack(&bytes, |listener| self.client(socket, listener))
            .filter(|conn| conn.listener < self.listeners.len())
    }
}

/// Does the worker in a slot look into its letter box no more? One that boots will.
fn has_left(board: Board, slot: usize) -> bool {
    matches!(board.worker(slot).stage(), Stage::Retiring | Stage::Gone)
}

/// Puts a letter into the box of a slot, if there is room.
fn post(board: Board, letters: &Letters, slot: usize, bytes: &[u8], fd: BorrowedFd<'_>) -> bool {
    let handed = board.worker(slot).handed();
    handed.fetch_add(1, Relaxed);
    let is_sent = scm::send(letters.giving.as_fd(), bytes, fd).is_ok();
    if !is_sent {
        handed.fetch_sub(1, Relaxed);
    }
    is_sent
}

/// What a dead worker has not taken goes to one that serves, the least busy; without any it is closed.
pub fn bequeath(board: Board, letters: &[Letters], dead: usize) {
    let serves = |slot: &usize| {
        let worker = board.worker(*slot);
        worker.stage() == Stage::Ready && worker.order() == Order::Serve
    };
    let load = |slot: &usize| {
        let worker = board.worker(*slot);
        (worker.in_flight().load(Relaxed), worker.handed().load(Relaxed))
    };
    let Some(left) = letters.get(dead) else { return };
    let mut bytes = Vec::new();
    while let Ok(socket) = scm::receive(left.taking.as_fd(), &mut bytes, LONGEST) {
        let Some(heir) = (0..letters.len()).filter(serves).min_by_key(load) else { continue };
        if post(board, &letters[heir], heir, &bytes, socket.as_fd()) {
            fence(SeqCst);
            if has_left(board, heir) {
                bequeath(board, letters, heir);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_arrives_as_it_was() {
        let (_, writing) = io::pipe(true).unwrap();
        let (_, other) = io::pipe(true).unwrap();
        for peer in [None, Some("192.0.2.7:80".parse().unwrap()), Some("[2001:db8::7]:1".parse().unwrap())] {
            let writing = writing.try_clone().unwrap();
            let mut conn = Conn::new(Client::plain(writing), Protocol::Http, 3, 77);
            (conn.peer, conn.trusted, conn.requests) = (peer, true, 12);
            (conn.waits, conn.buf) = (Waits::Idle, b"GET /".to_vec());
            let came = unpack(&pack(&conn), |_| Client::plain(other.try_clone().unwrap())).unwrap();
            assert_eq!((came.peer, came.trusted, came.awaits_proxy), (peer, true, false));
            assert_eq!((came.listener, came.requests, came.since_us), (3, 12, 77));
            assert_eq!((came.waits, came.buf), (Waits::Idle, b"GET /".to_vec()));
        }
        assert!(unpack(b"short", |_| Client::plain(other)).is_none());
    }
}

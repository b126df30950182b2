//! A connection as a message between processes: the descriptor of its socket goes beside these bytes.

use crate::config::Protocol;
use crate::net::client::Client;
use crate::worker::conn::{Conn, State};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Most bytes that go along of a request that has begun to arrive.
const MAX_BUFFERED: usize = 16 * 1024;
const FIXED: usize = 4 + 8 + 8 + 8 + 1 + 16 + 2;
/// The longest message.
pub const MAX_MESSAGE: usize = FIXED + MAX_BUFFERED;

const TRUSTED: u8 = 1;
const AWAITS_PROXY: u8 = 2;
const IDLE: u8 = 4;
const HAS_PEER: u8 = 8;
const UWSGI: u8 = 16;

/// May a connection change its worker? One that is in the middle of a body or an answer may not, nor one with a TLS
/// session: its state cannot leave the process.
pub fn is_movable(conn: &Conn) -> bool {
    conn.awaits_head()
        && conn.buf.len() <= MAX_BUFFERED
        && conn.client.as_ref().is_some_and(Client::is_transferable)
}

pub fn encode(conn: &Conn) -> Vec<u8> {
    let mut out = Vec::with_capacity(FIXED + conn.buf.len());
    let flag = |is: bool, bit: u8| if is { bit } else { 0 };
    out.extend_from_slice(&(conn.listener as u32).to_ne_bytes());
    out.extend_from_slice(&conn.requests.to_ne_bytes());
    out.extend_from_slice(&conn.since_us.to_ne_bytes());
    out.extend_from_slice(&conn.ready_us.to_ne_bytes());
    out.push(
        flag(conn.trusted, TRUSTED)
            | flag(conn.awaits_proxy, AWAITS_PROXY)
            | flag(matches!(conn.state, State::Idle), IDLE)
            | flag(conn.peer.is_some(), HAS_PEER)
            | flag(conn.protocol == Protocol::Uwsgi, UWSGI),
    );
    let (ip, port) = conn.peer.map_or((Ipv6Addr::UNSPECIFIED.into(), 0), |peer| (peer.ip(), peer.port()));
    let octets = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    out.extend_from_slice(&octets);
    out.extend_from_slice(&port.to_ne_bytes());
    out.extend_from_slice(&conn.buf);
    out
}

/// `client` makes the client of a listener, whose number it gets.
pub fn decode(bytes: &[u8], client: impl FnOnce(usize) -> Client) -> Option<Conn> {
    let (listener, rest) = bytes.split_first_chunk::<4>()?;
    let (requests, rest) = rest.split_first_chunk::<8>()?;
    let (since, rest) = rest.split_first_chunk::<8>()?;
    let (ready, rest) = rest.split_first_chunk::<8>()?;
    let (&[flags], rest) = rest.split_first_chunk::<1>()?;
    let (octets, rest) = rest.split_first_chunk::<16>()?;
    let (port, buffered) = rest.split_first_chunk::<2>()?;
    let listener = u32::from_ne_bytes(*listener) as usize;
    let protocol = if flags & UWSGI != 0 { Protocol::Uwsgi } else { Protocol::Http };
    let mut conn = Conn::new(client(listener), protocol, listener, u64::from_ne_bytes(*since));
    conn.requests = u64::from_ne_bytes(*requests);
    conn.ready_us = u64::from_ne_bytes(*ready);
    conn.trusted = flags & TRUSTED != 0;
    conn.awaits_proxy = flags & AWAITS_PROXY != 0;
    conn.state = if flags & IDLE != 0 { State::Idle } else { State::Head };
    let peer = SocketAddr::new(Ipv6Addr::from(*octets).to_canonical(), u16::from_ne_bytes(*port));
    conn.peer = (flags & HAS_PEER != 0).then_some(peer);
    conn.buf = buffered.to_vec();
    Some(conn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::io;

    #[test]
    fn a_connection_arrives_as_it_was() {
        let (_, writing) = io::pipe(true).unwrap();
        let (_, other) = io::pipe(true).unwrap();
        for peer in [None, Some("192.0.2.7:80".parse().unwrap()), Some("[2001:db8::7]:1".parse().unwrap())] {
            let writing = writing.try_clone().unwrap();
            let mut conn = Conn::new(Client::plain(writing), Protocol::Http, 3, 77);
            (conn.peer, conn.trusted, conn.requests, conn.ready_us) = (peer, true, 12, 5);
            (conn.state, conn.buf) = (State::Idle, b"GET /".to_vec());
            conn.protocol = if peer.is_none() { Protocol::Uwsgi } else { Protocol::Http };
            let came = decode(&encode(&conn), |_| Client::plain(other.try_clone().unwrap())).unwrap();
            assert_eq!((came.peer, came.trusted, came.awaits_proxy), (peer, true, false));
            assert_eq!((came.listener, came.requests, came.since_us, came.ready_us), (3, 12, 77, 5));
            assert_eq!((matches!(came.state, State::Idle), came.protocol), (true, conn.protocol));
            assert_eq!(came.buf, b"GET /");
        }
        assert!(decode(b"short", |_| Client::plain(other)).is_none());
    }
}

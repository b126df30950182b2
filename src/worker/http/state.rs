//! What a core keeps for HTTP from request to request: the parser, and buffers.

use crate::base::bytes::push_decimal;
use crate::base::date::{HttpDate, http_date};
use crate::config::Settings;
use crate::proto::http::head::{self, Head};
use crate::sys::clock;
use crate::worker::conn::Conn;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

/// Received at most in one step.
pub const READ_CHUNK: usize = 16 * 1024;

/// What a core keeps for HTTP from request to request.
pub struct Http {
    pub head: Head,
    pub limits: head::Limits,
    pub scratch: Vec<u8>,
    pub remote: Remote,
    pub host_name: Vec<u8>,
    /// A buffer without an owner, to be the next connection's.
    spare: Vec<u8>,
    date: (i64, HttpDate),
}

/// The peer of a request as text.
#[derive(Default)]
pub struct Remote {
    ip: Option<IpAddr>,
    pub address: Vec<u8>,
    pub port: Vec<u8>,
}

impl Remote {
    /// Most requests come from where the one before came from, a proxy: its address is not written anew.
    pub fn set(&mut self, peer: Option<SocketAddr>) {
        let ip = peer.map(|peer| peer.ip());
        if self.ip != ip {
            self.address.clear();
            self.ip = ip;
            let _ = ip.map(|ip| write!(self.address, "{ip}"));
        }
        self.port.clear();
        if let Some(peer) = peer {
            push_decimal(&mut self.port, peer.port().into());
        }
    }
}

impl Http {
    pub fn new(settings: &Settings) -> Http {
        let head = settings.requests.buffer_size.clamp(1024, 65535);
        let http = &settings.http;
        Http {
            head: Head::default(),
            limits: head::Limits { request_line: http.request_line, headers: http.headers, head },
            scratch: Vec::new(),
            remote: Remote::default(),
            host_name: crate::sys::user::host_name().into_bytes(),
            spare: Vec::with_capacity(READ_CHUNK),
            date: (0, http_date(0)),
        }
    }

    /// Room to receive into. What has waited was cut to its length: it goes on in the buffer without an owner.
    #[inline]
    pub fn make_room(&mut self, buf: &mut Vec<u8>) {
        if buf.capacity() - buf.len() < READ_CHUNK && self.spare.capacity() > 0 {
            let mut roomy = std::mem::take(&mut self.spare);
            roomy.extend_from_slice(buf);
            *buf = roomy;
        }
    }

    /// What may wait for long takes no more memory than it needs.
    pub fn cut(&mut self, buf: &mut Vec<u8>) {
        let exact = buf.as_slice().to_vec();
        self.spare(std::mem::replace(buf, exact));
    }

    /// The next connection's buffer.
    pub fn spare(&mut self, mut buf: Vec<u8>) {
        buf.clear();
        self.spare = buf;
    }

    /// Takes the first bytes off a connection's buffer; an empty one is the core's again.
    pub fn take_off(&mut self, conn: &mut Conn, count: usize) {
        conn.buf.drain(..count);
        if conn.buf.is_empty() {
            self.spare = std::mem::take(&mut conn.buf);
        }
    }

    pub fn date(&mut self) -> HttpDate {
        let now = clock::wall_secs();
        if self.date.0 != now {
            self.date = (now, http_date(now.max(0) as u64));
        }
        self.date.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_follows_the_peer() {
        let mut remote = Remote::default();
        for peer in ["192.0.2.1:80", "192.0.2.1:65535", "[2001:db8::1]:1", "192.0.2.1:9"] {
            let peer: SocketAddr = peer.parse().unwrap();
            remote.set(Some(peer));
            assert_eq!(remote.address, peer.ip().to_string().into_bytes());
            assert_eq!(remote.port, peer.port().to_string().into_bytes());
        }
        remote.set(None);
        assert!(remote.address.is_empty() && remote.port.is_empty());
    }
}

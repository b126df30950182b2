//! A datagram for each metric. What the system does not take at once is lost, as datagrams may be.

use super::destination::Destination;
use super::health::Health;
use crate::base::reason::reason;
use crate::config::uwsgi_metrics::{Datagrams, HostPort};
use crate::report::{MetricStatus, datagram};
use crate::sys::epoll::Epoll;
use std::collections::VecDeque;
use std::io::Result;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

/// Sent in one turn of the master's loop.
const MAX_IN_TURN: usize = 256;

pub struct DatagramPusher {
    format: Datagrams,
    prefix: String,
    to: Destination,
    socket: Option<UdpSocket>,
    /// They are sent in the next turns.
    waiting: VecDeque<String>,
    health: Health,
}

impl DatagramPusher {
    pub fn new(format: Datagrams, to: &HostPort, prefix: &str) -> DatagramPusher {
        let to = Destination::new(to);
        let health = Health::new(format!("stats-push to {}", to.name()));
        let prefix = prefix.to_owned();
        DatagramPusher { format, prefix, to, socket: None, waiting: VecDeque::new(), health }
    }

    pub fn private(&self) -> impl Iterator<Item = RawFd> {
        self.socket.iter().map(AsRawFd::as_raw_fd).chain(self.to.private())
    }

    pub fn push(&mut self, now: u64, metrics: &[MetricStatus], epoll: &Epoll) {
        if let Err(error) = self.to.refresh(now, epoll) {
            self.health.note_error(error);
        }
        let line = |metric| match self.format {
            Datagrams::Socket => datagram::socket(&self.prefix, metric),
            Datagrams::Statsd => datagram::statsd(&self.prefix, metric),
        };
        self.waiting = metrics.iter().map(line).collect();
    }

    /// Sends some of what waits; `true`: there is more.
    pub fn turn(&mut self) -> bool {
        if let Err(why) = self.to.take_answer() {
            self.health.note(Some(why));
        }
        if self.waiting.is_empty() || self.to.is_unknown() {
            return false;
        }
        let Some(&address) = self.to.addresses().first() else {
            self.waiting.clear();
            return false;
        };
        let sent = self.send_some(address);
        self.health.note(sent.err().map(reason));
        !self.waiting.is_empty()
    }

    fn send_some(&mut self, address: SocketAddr) -> Result<()> {
        let socket = match self.socket.take() {
            Some(socket) if socket.local_addr()?.is_ipv4() == address.is_ipv4() => socket,
            _ => socket_for(address)?,
        };
        let socket = self.socket.insert(socket);
        let mut result = Ok(());
        for line in self.waiting.drain(..MAX_IN_TURN.min(self.waiting.len())) {
            result = result.and(socket.send_to(line.as_bytes(), address).map(drop));
        }
        result
    }
}

fn socket_for(address: SocketAddr) -> Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

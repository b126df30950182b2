//! The listeners of a server that stops. First no client can connect any more; each is closed when its backlog is
//! empty.

use crate::net::listener::Bound;
use crate::sys::{handshakes, socket};
use std::os::fd::AsFd;

/// How often the backlogs are looked at until the listeners are closed.
const LOOK_US: u64 = 10_000;
/// Where the kernel cannot keep new connections out, the backlog is not waited for any longer.
const UNFILTERED_US: u64 = 500_000;
/// How long a listener that takes no new connections stays open for handshakes that had begun.
const HANDSHAKE_US: u64 = 1_000_000;

#[derive(Default)]
pub struct Closing {
    /// When the server began to stop.
    since_us: u64,
    open: Vec<Open>,
}

/// A listener that is not closed yet.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    pub index: usize,
    /// When it is closed at the latest.
    until: Option<u64>,
}

impl Open {
    pub fn is_overdue(&self, now: u64) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl Closing {
    /// An inherited socket is left as it is: the process that made it (systemd, supervisor) holds it for the next
    /// server.
    pub fn begin(&mut self, now: u64, listeners: &[Bound]) {
        self.since_us = now;
        let own = listeners.iter().enumerate().filter(|(_, bound)| !bound.inherited);
        let refuse = |bound: &Bound| socket::refuse_new(bound.fd.as_fd()).err().map(|_| now + UNFILTERED_US);
        self.open = own.map(|(index, bound)| Open { index, until: refuse(bound) }).collect();
    }

    pub fn since_us(&self) -> u64 {
        self.since_us
    }

    pub fn open(&self) -> Vec<Open> {
        self.open.clone()
    }

    pub fn count(&self) -> usize {
        self.open.len()
    }

    /// Is no handshake under way any more?
    pub fn is_settled(&self, bound: &Bound, now: u64) -> bool {
        now.saturating_sub(self.since_us) > HANDSHAKE_US || !has_handshakes(bound)
    }

    pub fn close(&mut self, index: usize, bound: &Bound) {
        // It may be closed already: nothing is left to do then.
        let _ = socket::end_listening(bound.fd.as_fd());
        self.open.retain(|open| open.index != index);
    }

    pub fn deadline(&self, now: u64) -> Option<u64> {
        (!self.open.is_empty()).then_some(now + LOOK_US)
    }
}

/// Is a handshake under way? `true` also where the kernel does not report them.
fn has_handshakes(bound: &Bound) -> bool {
    tcp_port(bound).is_some_and(|port| handshakes::are_under_way(port).unwrap_or(true))
}

/// A unix socket has none, though its requests have a SERVER_PORT.
fn tcp_port(bound: &Bound) -> Option<u16> {
    if bound.name.starts_with(['/', '@']) {
        return None;
    }
    bound.port.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Protocol;
    use std::net::TcpListener;
    use std::os::fd::OwnedFd;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};
    use std::time::Duration;

    fn bound(fd: OwnedFd, name: String, port: u16) -> Bound {
        let protocol = Protocol::Http;
        Bound { fd, protocol, inherited: false, number: 0, to_https: None, name, port: port.to_string() }
    }

    #[test]
    fn handshakes_are_waited_for_at_tcp_sockets_alone_and_not_for_long() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        socket::defer_accept(tcp.as_fd(), Duration::from_secs(30)).unwrap();
        let address = tcp.local_addr().unwrap();
        let _client = std::net::TcpStream::connect(address).unwrap();
        let name = SocketAddr::from_abstract_name(format!("rwsgi-closing-{}", std::process::id())).unwrap();
        let unix = UnixListener::bind_addr(&name).unwrap();
        let tcp = bound(tcp.into(), address.to_string(), address.port());
        // The port of its requests may be one at which another process listens.
        let unix = bound(unix.into(), "@x".to_owned(), address.port());
        assert_eq!((tcp_port(&tcp), tcp_port(&unix)), (Some(address.port()), None));
        let closing = Closing { since_us: 5, open: Vec::new() };
        assert!(closing.is_settled(&unix, 6));
        assert!(!closing.is_settled(&tcp, 6));
        assert!(closing.is_settled(&tcp, 6 + HANDSHAKE_US));
    }
}

//! A host that is sent to, and the addresses of its name. The name is looked up by a process of its own, since the system
//! lets nobody look one up without waiting; meanwhile, and when it fails, the former addresses are good enough.

use crate::config::uwsgi_metrics::HostPort;
use crate::sys::epoll::{self, Epoll};
use crate::sys::{process, signal, socket};
use std::io::{Error, ErrorKind, Read, Result};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::process::{ChildStdout, Command, Stdio};

/// How long addresses are good.
const FRESH_US: u64 = 60_000_000;
/// The interpreter that runs this server looks names up, as for the application. It gives up by itself. Modules in the
/// current directory are none of its business.
const CODE: &str = "import sys\ndel sys.path[0]\nimport _socket, signal\nsignal.alarm(20)\n\
                    for found in _socket.getaddrinfo(sys.argv[1], None, 0, _socket.SOCK_STREAM):\n    print(found[4][0])\n";
const MAX_ANSWER: usize = 4096;

pub struct Destination {
    to: HostPort,
    addresses: Vec<SocketAddr>,
    /// The name is looked up again then.
    stale_us: u64,
    lookup: Option<Lookup>,
}

struct Lookup {
    pid: i32,
    answer: ChildStdout,
    text: Vec<u8>,
}

impl Destination {
    pub fn new(to: &HostPort) -> Destination {
        let literal: Option<IpAddr> = to.host.parse().ok();
        Destination {
            to: to.clone(),
            addresses: literal.map(|ip| SocketAddr::new(ip, to.port)).into_iter().collect(),
            stale_us: if literal.is_some() { u64::MAX } else { 0 },
            lookup: None,
        }
    }

    pub fn name(&self) -> String {
        let HostPort { host, port } = &self.to;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Is the first answer still to come?
    pub fn is_unknown(&self) -> bool {
        self.addresses.is_empty() && (self.lookup.is_some() || self.stale_us == 0)
    }

    pub fn private(&self) -> Option<RawFd> {
        self.lookup.as_ref().map(|lookup| lookup.answer.as_raw_fd())
    }

    /// Has the name looked up when that was long ago. The answer ends a wait of this epoll.
    pub fn refresh(&mut self, now: u64, epoll: &Epoll) -> Result<()> {
        if now < self.stale_us || self.lookup.is_some() {
            return Ok(());
        }
        self.stale_us = now + FRESH_US;
        self.lookup = Some(Lookup::start(&self.to.host, epoll)?);
        Ok(())
    }

    /// Takes in an answer that has come. An error says that it has no address, and no former one is known.
    pub fn take_answer(&mut self) -> std::result::Result<(), String> {
        let Some(lookup) = &mut self.lookup else { return Ok(()) };
        match lookup.read() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(_) => lookup.text.clear(),
            Ok(()) => {}
        }
        let addresses = lookup.addresses(self.to.port);
        self.lookup = None;
        match addresses.is_empty() {
            false => self.addresses = addresses,
            true if self.addresses.is_empty() => {
                return Err(format!("no address is known of {}", self.to.host));
            }
            // The former ones are good enough.
            true => {}
        }
        Ok(())
    }
}

impl Lookup {
    fn start(host: &str, epoll: &Epoll) -> Result<Lookup> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["-S", "-s", "-c", CODE, host])
            // The master may be root, and these directories the application's.
            .env_remove("PYTHONPATH")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        // The master reaps whatever ends.
        let answer = child.stdout.take().ok_or_else(|| Error::from(ErrorKind::BrokenPipe))?;
        socket::set_nonblocking(answer.as_fd())?;
        epoll.add(&answer, epoll::READ, 0)?;
        Ok(Lookup { pid: child.id() as i32, answer, text: Vec::new() })
    }

    /// Until its end.
    fn read(&mut self) -> Result<()> {
        let mut part = [0; 1024];
        loop {
            match self.answer.read(&mut part)? {
                0 => return Ok(()),
                got => self.text.extend_from_slice(&part[..got]),
            }
            if self.text.len() > MAX_ANSWER {
                return Ok(());
            }
        }
    }

    fn addresses(&self, port: u16) -> Vec<SocketAddr> {
        let text = String::from_utf8_lossy(&self.text);
        let ips = text.lines().filter_map(|line| line.trim().parse().ok());
        ips.map(|ip: IpAddr| SocketAddr::new(ip, port)).collect()
    }
}

/// Nobody waits for the answer any more. As long as its end of the pipe is open the process is there, and nobody but the
/// master, which is this process, can reap it: the pid is its own.
impl Drop for Lookup {
    fn drop(&mut self) {
        if self.read().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            let _ = process::kill(self.pid, signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_no_lookup() {
        let epoll = Epoll::new().unwrap();
        let mut literal = Destination::new(&HostPort { host: "::1".into(), port: 7 });
        literal.refresh(1, &epoll).unwrap();
        assert_eq!(
            (literal.addresses(), literal.name().as_str()),
            (&["[::1]:7".parse().unwrap()][..], "[::1]:7")
        );
        assert!(literal.private().is_none() && !literal.is_unknown());
        assert!(Destination::new(&HostPort { host: "a.example".into(), port: 7 }).is_unknown());
    }
}

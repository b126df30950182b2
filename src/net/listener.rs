//! Listening sockets, bound by the master and inherited by the processes that accept from them.

use crate::config::Protocol;
use crate::sys::socket;
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

/// A listening socket that the master has bound.
#[derive(Debug)]
pub struct Bound {
    pub fd: OwnedFd,
    pub protocol: Protocol,
    /// Made by the process that started the server, which may still hold it.
    pub inherited: bool,
    /// Its place among the listeners of the settings, of which one may stand for several sockets.
    pub number: usize,
    /// Its requests are sent on to https at this port.
    pub to_https: Option<u16>,
    /// Its address, for messages.
    pub name: String,
    /// SERVER_PORT of the requests that come through it.
    pub port: String,
}

impl Bound {
    /// Takes a connection. `WouldBlock`: there is none, or another process was quicker.
    pub fn accept(&self) -> Result<(OwnedFd, Option<SocketAddr>)> {
        match self.protocol {
            // uwsgi packets name the client's address themselves.
            Protocol::Uwsgi => socket::accept(self.fd.as_fd()).map(|client| (client, None)),
            Protocol::Http => socket::accept_from(self.fd.as_fd()),
        }
    }

    /// Waits in accept(2) for a connection.
    pub fn wait_accept(&self) -> Result<OwnedFd> {
        socket::wait_accept(self.fd.as_fd())
    }
}

/// The system has run out of something that others may give back.
pub fn is_shortage(error: &Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(socket::EMFILE | socket::ENFILE | socket::ENOBUFS | socket::ENOMEM | socket::ENOSPC)
    )
}

/// A listening socket of the stats server, which the master alone accepts from.
#[derive(Debug)]
pub struct StatsListener {
    pub fd: OwnedFd,
    /// A reader has to ask.
    pub http: bool,
    /// It answers for the metrics alone.
    pub metrics: bool,
    /// It gets the stacks of this worker instead (`py-tracebacker`).
    pub worker: Option<u32>,
    /// It has no address that a browser could ask for.
    pub is_unix: bool,
    /// The name or address that was configured, without its port; empty: none.
    pub host: String,
    /// Its address, for messages.
    pub name: String,
}

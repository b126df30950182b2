//! The listening sockets: bound once by the master, never unbound while it lives.

use crate::base::reason::reason;
use crate::config::{Address, Listener, Protocol, Settings};
use crate::log;
use crate::net::listener::{Bound, StatsListener};
use crate::sys::owned_files::{self, Identity, Owner};
use crate::sys::unix_listener::{self, NewSocket};
use crate::sys::{io, socket};
use std::io::{Error, ErrorKind, Result};
use std::net::ToSocketAddrs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A unix socket's file, to be removed at the end (`vacuum`) if it is still ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

impl SocketFile {
    pub fn new(path: &Path, identity: Identity) -> Result<SocketFile> {
        Ok(SocketFile { path: std::path::absolute(path)?, identity })
    }
}

#[derive(Debug)]
pub struct Sockets {
    pub bound: Vec<Bound>,
    pub stats: Vec<StatsListener>,
    pub files: Vec<SocketFile>,
}

/// What went wrong with which socket, and what to do about it.
fn explain(listener: &Listener, error: Error) -> String {
    let remedy = remedy(&listener.address, &error);
    format!("{}: cannot listen on \"{}\": {}{remedy}", listener.origin, listener.text, reason(error))
}

/// What to do about it, behind a semicolon.
pub fn remedy(address: &Address, error: &Error) -> String {
    let remedy = match error.kind() {
        ErrorKind::AddrInUse => "another server listens there; stop it or choose another address",
        ErrorKind::AlreadyExists => {
            "a file that is no socket is in the way; remove it or choose another path"
        }
        ErrorKind::PermissionDenied if matches!(address, Address::Tcp { .. }) => {
            "ports below 1024 are for root: choose a higher one, or start as root and name the user to become (uid)"
        }
        ErrorKind::PermissionDenied => "choose a directory that this user may write to",
        ErrorKind::AddrNotAvailable => "the address belongs to no interface of this machine",
        ErrorKind::NotFound if matches!(address, Address::Inherited(_)) => {
            "check what starts the server: it has to hand it over"
        }
        ErrorKind::NotFound => "the directory does not exist",
        ErrorKind::InvalidInput => "check its options",
        // It says what to do.
        ErrorKind::Other => return String::new(),
        _ => "check the address",
    };
    format!("; {remedy}")
}

/// The backlog that is used: what was asked for, within what the kernel allows.
pub fn backlog(settings: &Settings) -> u32 {
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(4096);
    settings.instance.listen.unwrap_or(1024).min(most)
}

/// Binds every listener, or names the first that cannot be bound.
pub fn all(settings: &Settings, owner: Owner) -> std::result::Result<Sockets, String> {
    let mut sockets = Sockets { bound: Vec::new(), stats: Vec::new(), files: Vec::new() };
    let backlog = backlog(settings);
    if let Some(listen) = settings.instance.listen.filter(|&listen| listen > backlog) {
        log::say(&format!(
            "warning: listen = {listen} is more than the kernel allows: {backlog} connections can wait; raise it with \
             sysctl net.core.somaxconn={listen}"
        ));
    }
    for (number, listener) in settings.listeners.iter().enumerate() {
        if let Err(error) = one((number, listener), settings, (backlog, owner), &mut sockets) {
            let message = explain(listener, error);
            remove(&sockets.files);
            return Err(message);
        }
    }
    Ok(sockets)
}

fn one(
    (number, listener): (usize, &Listener),
    settings: &Settings,
    (backlog, owner): (u32, Owner),
    sockets: &mut Sockets,
) -> Result<()> {
    match &listener.address {
        Address::Tcp { host, port } => {
            for fd in tcp(host, *port, backlog, settings)? {
                ready_tcp(&fd, listener.protocol, settings)?;
                add(fd, (number, listener), settings, sockets)?;
            }
        }
        Address::Unix(path) => {
            let set_access = |socket: &NewSocket<'_>| set_access(socket, settings, owner);
            let (fd, identity) = unix_listener::listen(path, backlog, set_access)?;
            sockets.files.push(SocketFile::new(path, identity)?);
            add(fd, (number, listener), settings, sockets)?;
        }
        Address::Abstract(name) => {
            add(socket::listen_abstract(name, backlog)?, (number, listener), settings, sockets)?;
        }
        Address::Inherited(inherited) => {
            let fd = io::adopt(*inherited)
                .ok_or_else(|| Error::new(ErrorKind::NotFound, "no descriptor of this number is open"))?;
            socket::take_listener(fd.as_fd())?;
            // On a unix socket, where nothing is delayed, this fails.
            let _ = socket::no_delay(fd.as_fd());
            if let Some(waiting) = settings.instance.socket_options.fast_open {
                let _ = socket::fast_open(fd.as_fd(), waiting);
            }
            add(fd, (number, listener), settings, sockets)?;
        }
    }
    Ok(())
}

fn add(
    fd: OwnedFd,
    (number, listener): (usize, &Listener),
    settings: &Settings,
    sockets: &mut Sockets,
) -> Result<()> {
    let options = &settings.instance.socket_options;
    if options.keepalive {
        socket::keep_alive(fd.as_fd())?;
    }
    if let Some(bytes) = options.send_buffer {
        socket::send_buffer(fd.as_fd(), bytes)?;
    }
    if let Some(bytes) = options.receive_buffer {
        socket::receive_buffer(fd.as_fd(), bytes)?;
    }
    let name = match &listener.address {
        // The kernel knows only the name under which it was bound.
        Address::Unix(path) => path.display().to_string(),
        _ => socket::local_name(fd.as_fd()).unwrap_or_else(|| "?".to_owned()),
    };
    let port = name.rsplit_once(':').map_or("80", |(_, port)| port).to_owned();
    let Listener { protocol, to_https, .. } = *listener;
    let inherited = matches!(listener.address, Address::Inherited(_));
    sockets.bound.push(Bound { fd, protocol, inherited, number, to_https, name, port });
    Ok(())
}

/// A name may stand for several addresses (localhost for ::1 and 127.0.0.1): all that this machine has are bound.
pub fn tcp(host: &str, port: u16, backlog: u32, settings: &Settings) -> Result<Vec<OwnedFd>> {
    let options = &settings.instance.socket_options;
    let binding = socket::Binding { reuse_port: options.reuse_port, free: options.free_bind };
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let mut bound = Vec::new();
    let mut failed = Error::new(ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match socket::listen_tcp(address, backlog, binding) {
            Ok(fd) => bound.push(fd),
            // A machine without IPv6 still resolves localhost to ::1.
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => failed = error,
            Err(error) => return Err(error),
        }
        if port == 0 {
            break;
        }
    }
    if bound.is_empty() { Err(failed) } else { Ok(bound) }
}

fn ready_tcp(fd: &OwnedFd, protocol: Protocol, settings: &Settings) -> Result<()> {
    socket::no_delay(fd.as_fd())?;
    if let Some(waiting) = settings.instance.socket_options.fast_open {
        socket::fast_open(fd.as_fd(), waiting)?;
    }
    match protocol {
        Protocol::Uwsgi if settings.instance.socket_options.defer_accept => {
            socket::defer_accept(fd.as_fd(), settings.requests.socket_timeout)
        }
        _ => Ok(()),
    }
}

pub fn set_access(socket: &NewSocket<'_>, settings: &Settings, owner: Owner) -> Result<()> {
    let failed = |option: &str, remedy: &str| {
        let origin = settings.origin_of(option);
        let option = option.to_owned();
        let remedy = remedy.to_owned();
        move |error: Error| {
            Error::other(format!("{origin}: option \"{option}\": {}; {remedy}", reason(error)))
        }
    };
    if let Some(mode) = settings.instance.chmod_socket {
        socket.set_mode(mode).map_err(failed("chmod-socket", "the file system does not allow it"))?;
    }
    if settings.instance.chown_socket.is_some() {
        let remedy = "only root gives a socket to another user, or to a group that is not its own: start the server as \
                      root (uid names the user to become), or leave the option out";
        socket.set_owner(owner).map_err(failed("chown-socket", remedy))?;
    }
    Ok(())
}

/// Removes the socket files that are still the ones that were bound.
pub fn remove(files: &[SocketFile]) {
    for SocketFile { path, identity } in files {
        if let Err(error) = owned_files::remove_if(path, *identity)
            && error.kind() != ErrorKind::NotFound
        {
            log::say(&format!("vacuum cannot remove the socket {}: {}", path.display(), reason(error)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    #[test]
    fn what_is_forbidden_depends_on_the_address() {
        let told = |address| {
            let text = "x".to_owned();
            let protocol = Protocol::Http;
            let listener =
                Listener { address, protocol, tls: None, to_https: None, text, origin: Origin::Default };
            explain(&listener, ErrorKind::PermissionDenied.into())
        };
        assert!(
            told(Address::Tcp { host: String::new(), port: 80 }).contains("; ports below 1024 are for root")
        );
        assert!(
            told(Address::Unix("/a/b".into())).ends_with("; choose a directory that this user may write to")
        );
    }
}

//! The sockets of the stats server.

use super::listeners::{self, SocketFile};
use crate::base::reason::reason;
use crate::config::{Address, Settings, StatsSocket};
use crate::log;
use crate::master::workers::scaling;
use crate::net::listener::StatsListener;
use crate::sys::owned_files::Owner;
use crate::sys::unix_listener;
use crate::sys::{io, socket};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Binds every socket, or says which cannot be bound. `owner` is that of a file.
pub fn all(
    settings: &Settings,
    owner: Owner,
    files: &mut Vec<SocketFile>,
) -> std::result::Result<Vec<StatsListener>, String> {
    let backlog = listeners::backlog(settings);
    let bind = |socket: &StatsSocket| {
        bind(socket, settings, (backlog, owner), files).map_err(|error| explain(socket, settings, error))
    };
    let tracebackers = tracebackers(settings);
    let sockets = settings.instance.stats.iter().chain(&tracebackers);
    let bound = sockets.map(bind).collect::<std::result::Result<Vec<_>, _>>();
    bound.map(|bound| bound.into_iter().flatten().collect())
}

/// `py-tracebacker`: a socket for each worker.
fn tracebackers(settings: &Settings) -> Vec<StatsSocket> {
    let prefix = settings.instance.tracebacker.iter();
    let sockets =
        prefix.flat_map(|text| (1..=scaling::limit(settings)).map(|id| StatsSocket::of_worker(text, id)));
    // The first was made when the option was read.
    sockets.flatten().collect()
}

/// Binds one socket, which may be several at once (localhost for ::1 and 127.0.0.1).
fn bind(
    stats: &StatsSocket,
    settings: &Settings,
    (backlog, owner): (u32, Owner),
    files: &mut Vec<SocketFile>,
) -> Result<Vec<StatsListener>> {
    let fds = match &stats.address {
        Address::Tcp { host, port } => listeners::tcp(host, *port, backlog, settings)?,
        Address::Unix(path) => {
            let (fd, identity) = unix_listener::listen(path, backlog, |new| {
                listeners::set_access(new, settings, owner)?;
                if owner == Owner::default() { Ok(()) } else { new.set_owner(owner) }
            })?;
            files.push(SocketFile::new(path, identity)?);
            vec![fd]
        }
        Address::Abstract(name) => vec![socket::listen_abstract(name, backlog)?],
        Address::Inherited(number) => vec![inherited(*number)?],
    };
    Ok(fds.into_iter().map(|fd| listener(fd, stats)).collect())
}

fn inherited(number: i32) -> Result<OwnedFd> {
    let none = || Error::new(ErrorKind::NotFound, "no descriptor of this number is open");
    let fd = io::adopt(number).ok_or_else(none)?;
    socket::take_listener(fd.as_fd())?;
    Ok(fd)
}

fn listener(fd: OwnedFd, stats: &StatsSocket) -> StatsListener {
    let name = match &stats.address {
        // The kernel knows only the name under which it was bound.
        Address::Unix(path) => path.display().to_string(),
        _ => socket::local_name(fd.as_fd()).unwrap_or_else(|| stats.text.clone()),
    };
    let host = match &stats.address {
        Address::Tcp { host, .. } => host.clone(),
        _ => String::new(),
    };
    let is_unix = match &stats.address {
        Address::Tcp { .. } => false,
        Address::Unix(_) | Address::Abstract(_) => true,
        Address::Inherited(_) => name.starts_with(['/', '@']),
    };
    // uWSGI's words: tools look for the address in them.
    log::say(&match (stats.worker, stats.metrics) {
        (Some(id), _) => format!("python tracebacker for worker {id} available on {name}"),
        (None, true) => format!("*** Metrics server enabled on {name} fd: {} ***", fd.as_raw_fd()),
        (None, false) => format!("*** Stats server enabled on {name} fd: {} ***", fd.as_raw_fd()),
    });
    let StatsSocket { http, metrics, worker, .. } = *stats;
    StatsListener { fd, http, metrics, worker, is_unix, host, name }
}

/// What went wrong, and what to do about it.
fn explain(stats: &StatsSocket, settings: &Settings, error: Error) -> String {
    let origin = settings.origin_of_end(stats.option, &stats.text);
    let remedy = listeners::remedy(&stats.address, &error);
    format!(
        "{origin}: option \"{}\": cannot listen on \"{}\": {}{remedy}",
        stats.option,
        stats.text,
        reason(error)
    )
}

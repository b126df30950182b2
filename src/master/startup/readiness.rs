//! Readiness: notifies the service manager, pid files and the starting process that the server serves.

use super::pidfile::{PidFile, When};
use crate::config::{AppSource, Protocol, Settings};
use crate::log;
use crate::master::server::Server;
use crate::master::workers::scaling;
use crate::net::listener::Bound;
use crate::sys::{io, process};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// What is notified when the server is ready.
pub struct Readiness {
    pub manager: Notifier,
    /// Pid files that are written when the server is ready.
    pidfiles: Vec<PidFile>,
    /// The process that has started a daemon waits at its other end.
    starter: Option<OwnedFd>,
}

impl Readiness {
    pub fn new(pidfiles: Vec<PidFile>, starter: Option<OwnedFd>) -> Readiness {
        Readiness { manager: Notifier::from_environment(), pidfiles, starter }
    }

    /// Descriptors that children close.
    pub fn private(&self) -> impl Iterator<Item = RawFd> {
        let pidfiles = self.pidfiles.iter().filter_map(PidFile::descriptor);
        pidfiles.chain(self.starter.iter().map(|pipe| pipe.as_raw_fd()))
    }

    /// The first generation serves.
    pub fn announce(&mut self, server: &Server) {
        log::say(&announcement(server));
        for file in self.pidfiles.iter().filter(|file| file.when == When::Ready) {
            if let Err(message) = file.write() {
                log::say(&message);
            }
        }
        if let Some(pipe) = self.starter.take() {
            let _ = io::write_all_blocking(pipe.as_fd(), b"r");
        }
    }
}

/// The one line that says what is served and where.
fn announcement(server: &Server) -> String {
    let settings = server.settings();
    let apps: Vec<String> = settings.apps.mounts.iter().map(describe).collect();
    let places: Vec<String> = server.setup.listeners.iter().map(|bound| address(bound, settings)).collect();
    let (workers, threads) = (scaling::target(settings), settings.instance.threads);
    format!(
        "rwsgi {} serves {} on {} (master {}, {workers} worker{} × {threads} thread{})",
        env!("CARGO_PKG_VERSION"),
        match apps.is_empty() {
            true if settings.serves_files_only() => "files".to_owned(),
            true => "nothing".to_owned(),
            false => apps.join(", "),
        },
        places.join(", "),
        process::pid(),
        if workers == 1 { "" } else { "s" },
        if threads == 1 { "" } else { "s" },
    )
}

fn describe(app: &crate::config::App) -> String {
    let name = match &app.source {
        AppSource::Module(module) => format!("{module}:{}", app.callable),
        AppSource::File(path) => format!("{}:{}", path.display(), app.callable),
        AppSource::Object => "an application object".to_owned(),
    };
    if app.mountpoint.is_empty() { name } else { format!("{} = {name}", app.mountpoint) }
}

fn address(bound: &Bound, settings: &Settings) -> String {
    let is_tls = settings.listeners.get(bound.number).is_some_and(|listener| listener.tls.is_some());
    let http = if is_tls { "https" } else { "http" };
    match bound.protocol {
        Protocol::Http if bound.name.starts_with(['/', '@']) => format!("{http} (unix) {}", bound.name),
        Protocol::Http => format!("{http}://{}", bound.name),
        Protocol::Uwsgi => format!("uwsgi {}", bound.name),
    }
}

/// systemd's protocol (sd_notify(3)); any process that sets NOTIFY_SOCKET can receive it.
pub struct Notifier {
    /// The socket of the service manager; `None`: NOTIFY_SOCKET is not set.
    socket: Option<(UnixDatagram, SocketAddr)>,
}

impl Notifier {
    pub fn from_environment() -> Notifier {
        let connect = || {
            let name = std::env::var("NOTIFY_SOCKET").ok()?;
            let address = match name.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name).ok()?,
                None => SocketAddr::from_pathname(&name).ok()?,
            };
            let socket = UnixDatagram::unbound().ok()?;
            socket.set_nonblocking(true).ok()?;
            Some((socket, address))
        };
        Notifier { socket: connect() }
    }

    /// Notifies the manager. One that does not listen loses the message; the server goes on.
    pub fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.socket {
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }
}

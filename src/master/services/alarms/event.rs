//! The event as programs read it.

use crate::config::Listener;
use crate::master::incident::Incident;
use crate::master::server::Server;
use crate::sys::{clock, process, user};
use serde_json::json;

pub fn json(incident: &Incident, message: &str, server: &Server) -> String {
    json!({
        "event": incident.event,
        "server": name(server),
        "host": user::host_name(),
        "pid": process::pid(),
        "time": clock::wall_secs(),
        "message": message,
        "details": incident.details,
    })
    .to_string()
}

/// What people call the server: its name in `ps`, or else its first socket.
fn name(server: &Server) -> String {
    let settings = server.settings();
    let names = &settings.procnames;
    let named = names.master.as_ref().or(names.all.as_ref()).cloned();
    let bound = || server.setup.listeners.first().map(|listener| listener.name.clone());
    let written = |listener: &Listener| listener.text.clone();
    named.or_else(bound).or_else(|| settings.listeners.first().map(written)).unwrap_or_default()
}

//! What does not change while a worker lives.

use crate::config::Settings;
use crate::net::client::Client;
use crate::net::listener::Bound;
use crate::net::tls::Service;
use crate::policy::recycle;
use crate::shm::scoreboard::{CoreSlot, Scoreboard, WorkerSlot};
use crate::sys::process;
use std::os::fd::OwnedFd;
use std::sync::Arc;

pub struct Context {
    pub settings: Arc<Settings>,
    pub scoreboard: Scoreboard,
    pub slot: WorkerSlot,
    pub slot_index: usize,
    /// The number people know the worker by, from 1.
    pub id: u32,
    pub pid: i32,
    pub listeners: Arc<Vec<Bound>>,
    /// For each listener, if TLS is spoken there.
    services: Vec<Option<Arc<Service>>>,
    /// Header lines of the answers that the server gives by itself.
    pub server_headers: Vec<u8>,
    /// Threads of the process can run application code at the same time.
    pub parallel: bool,
    /// Requests after which the worker asks for a successor.
    pub limit: Option<u64>,
}

impl Context {
    pub fn new(
        settings: Arc<Settings>,
        scoreboard: Scoreboard,
        slot_index: usize,
        id: u32,
        listeners: Arc<Vec<Bound>>,
    ) -> Context {
        let pid = process::pid();
        let recycling = &settings.recycle;
        let limit = recycle::limit(recycling.max_requests, recycling.max_requests_delta, id, pid as u64);
        let service = |bound: &Bound| Service::of(&settings, bound.number);
        Context {
            slot: scoreboard.worker(slot_index),
            scoreboard,
            slot_index,
            id,
            pid,
            services: listeners.iter().map(service).collect(),
            listeners,
            server_headers: Vec::new(),
            parallel: false,
            limit,
            settings,
        }
    }

    /// An accepted socket as a client of its listener.
    pub fn client(&self, socket: OwnedFd, listener: usize) -> Client {
        Client::new(socket, self.services.get(listener).and_then(Option::as_ref))
    }

    pub fn speaks_tls(&self, listener: usize) -> bool {
        self.services.get(listener).is_some_and(Option::is_some)
    }

    pub fn has_tls(&self) -> bool {
        self.services.iter().any(Option::is_some)
    }

    pub fn cores(&self) -> impl Iterator<Item = CoreSlot> + '_ {
        self.scoreboard.cores(self.slot_index)
    }

    pub fn has_threads(&self) -> bool {
        self.scoreboard.threads() > 1
    }
}

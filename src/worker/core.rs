//! A core: the place of one request of a worker, as uWSGI calls it, with the connection that it came on. It is read,
//! run and ended here; which thread does that is not the core's to know.

use super::accept::{Claim, Post};
use super::conn::{Conn, State, upkeep};
use super::counting::Counting;
use super::http::state::Http;
use super::request::vars::Request;
use super::response::Exchange;
use super::response::wait::{Guard, SharedExchange};
use super::shared::Shared;
use crate::net::client::Client;
use crate::proto::uwsgi;
use crate::shm::scoreboard::CoreSlot;
use crate::sys::process;
use crate::sys::random::Pool;
use std::sync::Arc;
use std::sync::atomic::Ordering::*;

pub struct Core {
    pub shared: Arc<Shared>,
    pub index: usize,
    pub slot: CoreSlot,
    pub request: Request,
    /// The app that answers, by its place in load order.
    pub app: Option<usize>,
    pub exchange: Arc<SharedExchange>,
    pub(super) http: Http,
    /// The HTTP connection of the running request.
    pub(super) current: Option<Conn>,
    /// The connection of the last request, if it has buffered input, which epoll cannot report.
    unread: Option<Conn>,
    pub(super) in_flight: InFlight,
    pub(super) buffers: Buffers,
    /// Until then no time is spent on waiting for the bytes of a new connection.
    pub(super) impatient_until_us: u64,
}

/// The request of a core as the scoreboard knows it.
#[derive(Debug)]
pub struct InFlight {
    /// When the last request was begun.
    pub started_us: u64,
    pub is_running: bool,
    /// With several threads, requests in flight are counted, and a process takes one only when it has claimed it.
    pub is_counted: bool,
    /// Since when the request that is read waits to be begun; 0: it has not waited.
    pub ready_us: u64,
    pub(super) post: Post,
}

/// To be used again.
#[derive(Debug, Default)]
pub struct Buffers {
    pub line: Vec<u8>,
    /// Of the file that a request asks for.
    pub path: Vec<u8>,
    /// For ids. A core is made in the process that serves.
    pub random: Pool,
}

impl Core {
    /// Belongs to the calling thread.
    pub fn new(shared: Arc<Shared>, index: usize) -> Core {
        let context = &shared.context;
        let slot = context.scoreboard.core(context.slot_index, index);
        slot.end();
        slot.tid().store(process::thread_id() as u64, Relaxed);
        let mut request = Request::default();
        let exchange =
            Exchange::new(slot, context.slot, context.settings.clone(), Counting::new(context, index));
        let exchange = Arc::new(SharedExchange::new(exchange));
        shared.replies.show(index, &exchange);
        request.text.reserve(context.settings.requests.buffer_size.min(16 * 1024) + uwsgi::HEAD_LEN);
        Core {
            index,
            slot,
            request,
            app: None,
            exchange,
            http: Http::new(&context.settings),
            current: None,
            unread: None,
            in_flight: InFlight {
                started_us: 0,
                is_running: false,
                is_counted: context.has_threads(),
                ready_us: 0,
                post: Post::default(),
            },
            buffers: Buffers { line: Vec::with_capacity(1024), ..Buffers::default() },
            impatient_until_us: 0,
            shared,
        }
    }

    /// Does the request name code of its own for a mountpoint that no configured application has?
    pub fn is_dynamic(&self) -> bool {
        self.shared.context.settings.apps.dynamic_apps
            && self.request.wants_code()
            && (self.request.app_key().is_empty() || self.shared.mounts.exact(&self.request).is_none())
    }

    /// The exchange of the running request.
    pub fn lock(&self) -> Guard<'_> {
        self.exchange.lock()
    }

    pub fn count_exception(&self) {
        self.shared.context.slot.exceptions().fetch_add(1, Relaxed);
    }

    /// Which request this is, for the log.
    pub fn describe(&self) -> String {
        let (request, known) = (&self.request, &self.request.known);
        let ids = [("id", request.request_id()), ("trace", request.trace_id())];
        let named = |(name, id): (&str, &[u8])| match id {
            b"" => String::new(),
            id => format!(" {name} {}", id.escape_ascii()),
        };
        format!(
            "worker {} core {}: {} {}{}",
            self.shared.context.id,
            self.index,
            request.get(known.method).escape_ascii(),
            request.get(known.uri).escape_ascii(),
            ids.map(named).concat()
        )
    }

    // ── the claim on the scoreboard that the process runs a request ──

    pub fn try_claim(&mut self) -> Claim {
        self.shared.acceptor.try_claim(&self.shared.context, &mut self.in_flight.post)
    }

    pub fn claim_alone(&mut self) -> bool {
        self.shared.acceptor.claim_alone(&self.shared.context, &mut self.in_flight.post)
    }

    pub fn claim(&mut self) {
        if self.in_flight.is_counted {
            self.shared.acceptor.claim(&self.shared.context, &mut self.in_flight.post);
        }
    }

    pub fn unclaim(&mut self) {
        self.shared.acceptor.release(&self.shared.context, &mut self.in_flight.post);
    }

    // ── connections ──

    /// It is free for another request.
    pub fn next_request(&mut self, mut conn: Conn, now_us: u64) {
        conn.state = State::Idle;
        conn.since_us = now_us;
        if conn.buf.is_empty() {
            self.keep(conn);
        } else {
            self.read_on(conn);
        }
    }

    /// Puts a connection into the table, unless there is more to be read at once.
    pub(super) fn keep(&mut self, mut conn: Conn) {
        if conn.reads_on() && conn.client.as_mut().is_some_and(Client::has_buffered_input) {
            self.read_on(conn);
        } else {
            upkeep::keep_for_standby(&self.shared, conn);
        }
    }

    /// More of a connection is to be read before the next wait.
    fn read_on(&mut self, conn: Conn) {
        debug_assert!(self.unread.is_none());
        self.unread = Some(conn);
    }

    #[inline]
    pub fn has_unread(&self) -> bool {
        self.unread.is_some()
    }

    /// The connection of which more is to be read.
    pub fn take_unread(&mut self) -> Option<Conn> {
        self.unread.take()
    }
}

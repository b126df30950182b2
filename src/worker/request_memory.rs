//! What requests that have begun and not ended may take of a worker's memory together (`http-request-memory`). From half of
//! it on, bodies go to files; beyond it, those that have waited longest for a byte are given up.

use super::Shared;
use super::body::spool::Storage;
use super::conns::{Conn, Waits};
use super::request::canned;
use super::waiting::has_moved;
use crate::config::Protocol;
use crate::log;
use crate::sys::{clock, epoll};

impl Shared {
    /// Where a body on an HTTP socket may be kept.
    pub(super) fn storage(&self) -> Storage {
        let http = &self.settings.http;
        let conns = self.conns();
        let is_short = conns.request_memory() > http.request_memory / 2;
        Storage {
            memory: if is_short { 0 } else { http.body_memory },
            file: self.settings.requests.post_buffering_limit,
            may_open: conns.has_descriptors(),
        }
    }

    /// Requests in the table take more memory than they may. Gives up those that have waited longest for a byte, until
    /// there is some room again.
    #[cold]
    pub(super) fn shed_requests(&self) {
        // Closing puts connections into the table, too.
        let Some(_turn) = self.shedding.try_lock() else { return };
        let most = self.settings.http.request_memory;
        let stalest = self.conns().stalest(clock::monotonic_us());
        let mut given_up = 0;
        for place in stalest {
            let mut conns = self.conns();
            if conns.request_memory() <= most - most / 8 {
                break;
            }
            let Some(conn) = conns.take_stale(place) else { continue };
            drop(conns);
            if has_moved(&conn) {
                let wanted = conn.events & !epoll::ONESHOT;
                self.watch(conn, wanted);
                continue;
            }
            self.shed_request(conn);
            given_up += 1;
        }
        self.note_shed(given_up);
    }

    fn shed_request(&self, conn: Conn) {
        canned::count_refused(self);
        match conn.protocol {
            Protocol::Http => canned::answer_last(self, conn, 408),
            Protocol::Uwsgi => self.forget(&conn),
        }
    }

    fn note_shed(&self, given_up: u64) {
        if given_up > 0
            && let Some(count) = self.shed.count(given_up, clock::monotonic_us())
        {
            let requests = if count == 1 { "request" } else { "requests" };
            log::say(&format!(
                "worker {}: gave up {count} {requests} (408): what has come of requests that have not ended took more \
                 than http-request-memory = {} bytes together; those that had waited longest went first (said once a \
                 minute)",
                self.id, self.settings.http.request_memory
            ));
        }
    }
}

impl Conn {
    /// Bytes of memory that what has come of its request takes.
    pub fn request_memory(&self) -> usize {
        match self.waits {
            Waits::Head | Waits::Idle | Waits::Body => {
                self.buf.capacity() + self.upload.as_ref().map_or(0, |upload| upload.body.memory())
            }
            Waits::Reader | Waits::Close => 0,
        }
    }

    /// Descriptors that it holds: its socket, and the file that its body goes to or its answer comes from.
    pub fn descriptors(&self) -> usize {
        let uploads = self.upload.as_ref().is_some_and(|upload| upload.body.has_file());
        let downloads = self.leftover.as_ref().is_some_and(|left| left.queue.has_file());
        1 + usize::from(uploads) + usize::from(downloads)
    }
}

//! Bodies that are read ahead while their connections wait in the table: an application thread sees a request when all of
//! it is here.

use super::body::BodyError;
use super::conns::{Conn, Upload, Waits};
use super::core::Core;
use crate::proto::http::{Framing, Request as HttpRequest, framing, head, status};
use crate::sys::clock;

/// Taken from one connection before others get their turn.
const TURN: u64 = 1 << 20;

impl Core {
    pub(super) fn reads_ahead(&self) -> bool {
        let http = &self.shared.settings.http;
        !http.stream_body && http.body_memory > 0
    }

    /// The head in `conn.buf[..length]` is parsed, and the exchange's body has the `used` bytes behind it.
    pub(super) fn begin_upload(
        &mut self,
        mut conn: Conn,
        length: usize,
        used: usize,
        framing: Framing,
    ) -> bool {
        // RFC 9110 §10.1.1: not needed when the client did not wait for it.
        if framing.expect_continue
            && used == 0
            && let Some(client) = &mut conn.client
            && client.send(status::CONTINUE).is_err()
        {
            self.forget(&conn);
            return false;
        }
        match self.gather(&mut conn) {
            Ok(true) => self.run_http(conn, length, used, framing),
            Ok(false) => {
                // The head may wait for long, and takes no more room than it needs.
                let head = conn.buf[..length].to_vec();
                self.http.spare(std::mem::replace(&mut conn.buf, head));
                self.wait_for_body(conn, length, clock::monotonic_us());
                false
            }
            Err(error) => self.broken_body(conn, error),
        }
    }

    /// More of the body has come.
    pub(super) fn read_body(&mut self, mut conn: Conn) -> bool {
        let Some(upload) = conn.upload.take() else { return false };
        let Upload { head: length, body, begun_us } = *upload;
        self.lock().body.take_up(body);
        match self.gather(&mut conn) {
            Ok(true) => self.resume(conn, length),
            Ok(false) => {
                self.wait_for_body(conn, length, begun_us);
                false
            }
            Err(error) => self.broken_body(conn, error),
        }
    }

    fn wait_for_body(&mut self, mut conn: Conn, head: usize, begun_us: u64) {
        let body = self.lock().body.put_aside();
        conn.upload = Some(Box::new(Upload { head, body, begun_us }));
        conn.waits = Waits::Body;
        conn.since_us = clock::monotonic_us();
        self.keep(conn);
    }

    /// The body is whole. Other requests have used the parser since: the head is parsed again.
    fn resume(&mut self, mut conn: Conn, length: usize) -> bool {
        conn.waits = Waits::Head;
        conn.progress = head::Progress::default();
        let parsed =
            head::parse(&conn.buf, &self.http.limits, &mut conn.progress, &mut self.http.head).is_ok();
        let framing = framing::decide(&HttpRequest::new(&conn.buf, &self.http.head));
        match framing {
            Ok(framing) if parsed => self.run_http(conn, length, 0, framing),
            _ => {
                self.forget(&conn);
                false
            }
        }
    }

    fn gather(&mut self, conn: &mut Conn) -> Result<bool, BodyError> {
        let Some(client) = &mut conn.client else { return Err(BodyError::Over) };
        let memory = self.shared.settings.http.body_memory;
        self.lock().body.gather(client, memory, TURN)
    }

    fn broken_body(&mut self, conn: Conn, error: BodyError) -> bool {
        self.lock().body.clear();
        let status = match error {
            // Nobody is there to be told.
            BodyError::Closed | BodyError::Over => {
                self.forget(&conn);
                return false;
            }
            error => error.status(),
        };
        self.turn_away(conn, status, &error.to_string())
    }
}

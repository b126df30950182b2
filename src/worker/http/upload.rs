//! Bodies that are read ahead while their connections wait in the table: an application thread sees a request when all of
//! it is here.

use crate::proto::http::{Framing, Request as HttpRequest, framing, head, status};
use crate::sys::clock;
use crate::worker::Shared;
use crate::worker::body::{Body, BodyError};
use crate::worker::conns::{Conn, Upload, Waits};
use crate::worker::core::Core;
use crate::worker::waiting::Serviced;

/// Taken from one connection before others get their turn.
const READ_QUANTUM: u64 = 1 << 20;

impl Core {
    pub(in crate::worker) fn reads_ahead(&self) -> bool {
        let http = &self.shared.settings.http;
        !http.stream_body && http.body_memory > 0
    }

    /// The head in `conn.buf[..length]` is parsed, and the exchange's body has the `used` bytes behind it.
    pub(in crate::worker) fn begin_upload(
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
            self.shared.forget(&conn);
            return false;
        }
        match self.gather(&mut conn) {
            Ok(true) => self.run_http(conn, length, used, framing),
            Ok(false) => {
                conn.buf.truncate(length);
                self.http.cut(&mut conn.buf);
                let body = self.lock().body.put_aside();
                conn.upload = Some(Box::new(Upload { head: length, body, begun_us: clock::monotonic_us() }));
                conn.waits = Waits::Body;
                conn.since_us = clock::monotonic_us();
                conn.heard_us = conn.since_us;
                self.keep(conn);
                false
            }
            Err(error) => {
                self.lock().body.clear();
                self.shared.broken_body(conn, error);
                false
            }
        }
    }

    /// More of the body has come.
    pub(in crate::worker) fn read_body(&mut self, conn: Conn) -> bool {
        let serviceable = self.shared.read_body(conn, &mut self.lock().body);
        match serviceable {
            Serviced::Ready(mut conn) => {
                let Some(upload) = conn.upload.take() else { return false };
                let Upload { head, body, .. } = *upload;
                self.lock().body.take_up(body);
                self.resume(conn, head)
            }
            Serviced::Waits(conn) => {
                self.keep(conn);
                false
            }
            Serviced::Over => false,
        }
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
                self.shared.forget(&conn);
                false
            }
        }
    }

    fn gather(&mut self, conn: &mut Conn) -> Result<bool, BodyError> {
        let Some(client) = &mut conn.client else { return Err(BodyError::Over) };
        let storage = self.shared.storage();
        self.lock().body.gather(client, storage, READ_QUANTUM)
    }
}

impl Shared {
    /// Takes what has come of a body, with the buffer of another. Ready: all of it is here.
    pub(in crate::worker) fn read_body(&self, mut conn: Conn, room: &mut Body) -> Serviced {
        let (Some(client), Some(upload)) = (&mut conn.client, &mut conn.upload) else {
            self.forget(&conn);
            return Serviced::Over;
        };
        conn.since_us = clock::monotonic_us();
        conn.heard_us = conn.since_us;
        room.take_up(std::mem::take(&mut upload.body));
        let gathered = room.gather(client, self.storage(), READ_QUANTUM);
        upload.body = room.put_aside();
        match gathered {
            Ok(true) => Serviced::Ready(conn),
            Ok(false) => Serviced::Waits(conn),
            Err(error) => {
                self.broken_body(conn, error);
                Serviced::Over
            }
        }
    }

    fn broken_body(&self, conn: Conn, error: BodyError) {
        match error {
            // Nobody is there to be told.
            BodyError::Closed | BodyError::Over => self.forget(&conn),
            error => drop(self.turn_away(conn, error.status(), &error.to_string())),
        }
    }
}

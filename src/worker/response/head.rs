//! The head of an answer: set by the application, or by the server in its place, and completed when it goes out.

use super::{End, Exchange, Loss, Speaks};
use crate::proto::http::response::{self, Delivery, HeadError};
use crate::proto::http::status::reason;

/// Most bytes of an unread body that are thrown away before the answer: the application waits.
const MAX_DISCARDED: u64 = 256 * 1024;

impl Exchange {
    pub fn start(&mut self, status: &[u8]) -> Result<(), HeadError> {
        match self.asked.speaks {
            Speaks::Uwsgi => self.head.start_uwsgi(&self.asked.protocol, status),
            Speaks::Http { .. } => self.head.start_http(status),
        }
    }

    /// Replaces whatever was set by a plain answer of the server's own. Only before the head has gone out.
    pub fn answer_plain(&mut self, code: u16) {
        self.answer_text(code, &format!("{}\n", reason(code)));
    }

    /// The same with this text.
    pub fn answer_text(&mut self, code: u16, text: &str) {
        self.head.clear();
        let mut head = || -> Result<(), HeadError> {
            self.start(format!("{code} {}", reason(code)).as_bytes())?;
            self.head.header(b"Content-Type", b"text/plain")?;
            if self.asked.speaks == Speaks::Uwsgi {
                self.head.header(b"Content-Length", text.len().to_string().as_bytes())?;
            }
            self.head.header(b"Connection", b"close")
        };
        if head().is_err() {
            // Only a SERVER_PROTOCOL with control characters comes here.
            self.end = End::Gone(Loss::Left);
            return;
        }
        let delivery = self.push_head(Some(text.len() as u64));
        if delivery != Delivery::Nothing {
            // However long the text is, it waits for the end of the request: no thread waits for the client before
            // that.
            self.progress.body_bytes = text.len() as u64;
            self.unsent.bytes.extend_from_slice(text.as_bytes());
        }
    }

    /// Decides whether another request may follow. As late as possible: the worker may have been commanded to leave
    /// since the request came. `is_done`: the app reads no more of the body.
    fn decide_keep_alive(&mut self, is_done: bool) -> bool {
        matches!(self.asked.speaks, Speaks::Http { keep_alive: true, .. })
            && matches!(self.end, End::Open | End::Complete)
            && self.home.worker.command().keeps_connections(self.is_tls())
            && self.discard_body(is_done)
    }

    /// Throws away what the app has not read. `false`: something of the body stays on the socket, where the next
    /// request should be.
    fn discard_body(&mut self, is_done: bool) -> bool {
        if self.body.is_drained() {
            return true;
        }
        // Whether the application will read the rest while it answers is not known yet: no answer may promise to go on
        // and then end its connection. RFC 9110 §10.1.1: a client without `100 Continue` may keep its body.
        if !is_done || self.asked.expects_continue {
            return false;
        }
        self.client.as_mut().is_some_and(|client| self.body.drain(client, MAX_DISCARDED))
    }

    /// Puts the head among what is to be sent. `whole` is the length of the body when all of it is known already.
    pub(super) fn push_head(&mut self, whole: Option<u64>) -> Delivery {
        for (name, value) in &self.home.settings.requests.add_headers {
            // What cannot stand in a head was refused with the configuration; a second Content-Length is left out.
            let _ = self.head.header(name.as_bytes(), value.as_bytes());
        }
        if !self.asked.request_id.is_empty() && !self.head.has_request_id() {
            let _ = self.head.header(b"X-Request-ID", &self.asked.request_id);
        }
        let keep_alive = self.decide_keep_alive(whole.is_some());
        let (is_head, server) = (self.asked.is_head, self.home.settings.http.server.as_deref());
        let settled = match self.asked.speaks {
            Speaks::Uwsgi => self.head.finish_uwsgi(is_head),
            Speaks::Http { minor, ref date, .. } => self.head.finish(&response::Exchange {
                minor,
                is_head,
                keep_alive,
                length: whole.filter(|_| !is_head),
                date,
                server: server.unwrap_or_default().as_bytes(),
            }),
        };
        self.settled = Some(settled);
        self.unsent.bytes.extend_from_slice(self.head.bytes());
        settled.delivery
    }
}

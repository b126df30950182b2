//! The head of an answer: set by the application, or by the server in its place, and completed when it goes out.

use super::{Exchange, Speaks};
use crate::net::client::Client;
use crate::proto::http::response::{self, Delivery, HeadError};
use crate::proto::http::status;

/// Most bytes of an unread body that are thrown away before the answer: the application waits.
const MAX_DISCARDED: u64 = 256 * 1024;

impl Exchange {
    pub fn start(&mut self, status: &[u8]) -> Result<(), HeadError> {
        match self.speaks {
            Speaks::Uwsgi => self.head.start_uwsgi(&self.protocol, status),
            Speaks::Http { .. } => self.head.start_http(status),
        }
    }

    /// Replaces whatever was set by a plain answer of the server's own. Only before the head has gone out.
    pub fn answer_plain(&mut self, code: u16) {
        self.answer_text(code, &format!("{}\n", status::reason(code)));
    }

    /// The same with a text of one's own.
    pub fn answer_text(&mut self, code: u16, text: &str) {
        self.head.clear();
        let mut head = || -> Result<(), HeadError> {
            self.start(format!("{code} {}", status::reason(code)).as_bytes())?;
            self.head.header(b"Content-Type", b"text/plain")?;
            if self.speaks == Speaks::Uwsgi {
                self.head.header(b"Content-Length", text.len().to_string().as_bytes())?;
            }
            self.head.header(b"Connection", b"close")
        };
        if head().is_err() {
            // Only a SERVER_PROTOCOL with control characters comes here.
            self.gone = true;
            return;
        }
        let delivery = self.push_head(Some(text.len() as u64));
        if delivery != Delivery::Nothing {
            // However long it is: nobody waits for the client before the end of the request.
            self.body_bytes = text.len() as u64;
            self.out.extend_from_slice(text.as_bytes());
        }
    }

    /// May another request follow? Asked as late as it can be told: the worker may have been told to leave since the
    /// request came. `is_done`: the app reads no more of the body.
    fn goes_on(&mut self, is_done: bool) -> bool {
        matches!(self.speaks, Speaks::Http { keep_alive: true, .. })
            && !self.close
            && self.worker.command().keeps_connections(self.client.as_ref().is_some_and(Client::is_tls))
            && !self.leaves_body(is_done)
    }

    /// Does something of the body stay on the socket, where the next request should be?
    fn leaves_body(&mut self, is_done: bool) -> bool {
        if self.body.is_drained() {
            return false;
        }
        // RFC 9110 §10.1.1: who is not told to go on may keep its body.
        if self.expects_continue {
            return true;
        }
        let Some(client) = &mut self.client else { return true };
        // Whether the application will read the rest while it answers is not known yet: no answer may promise to go on and
        // then end its connection.
        !is_done || !self.body.drain(client, MAX_DISCARDED)
    }

    /// Puts the head into `out`. `whole` is the length of the body when all of it is known already.
    pub(super) fn push_head(&mut self, whole: Option<u64>) -> Delivery {
        for (name, value) in &self.settings.requests.add_headers {
            // What cannot stand in a head was refused with the configuration; a second Content-Length is left out.
            let _ = self.head.header(name.as_bytes(), value.as_bytes());
        }
        let goes_on = self.goes_on(whole.is_some());
        let settled = match self.speaks {
            Speaks::Uwsgi => self.head.finish_uwsgi(self.is_head_request),
            Speaks::Http { minor, ref date, .. } => self.head.finish(&response::Exchange {
                minor,
                is_head: self.is_head_request,
                keep_alive: goes_on,
                length: whole.filter(|_| !self.is_head_request),
                date,
                server: &self.server,
            }),
        };
        self.close |= !settled.keep_alive;
        self.delivery = Some(settled.delivery);
        self.head_bytes = self.head.bytes().len() as u64;
        self.out.extend_from_slice(self.head.bytes());
        settled.delivery
    }
}

//! The body of a request, as the application reads it.

use super::{Exchange, Gone};
use crate::proto::http::status;
use crate::worker::body::BodyError;
use crate::worker::client::Client;
use crate::worker::rescue;
use crate::worker::spool::Storage;

impl Exchange {
    /// Reads of the body, waiting where it must: up to `most` bytes, or one line of them.
    pub fn read(&mut self, most: u64, line: bool, out: &mut Vec<u8>) -> Result<(), BodyError> {
        self.invite_body()?;
        let Some(client) = &mut self.client else { return Err(BodyError::Over) };
        let read = self.body.read(client, most, line, self.timeout, out);
        self.after_read(read)
    }

    /// Reads as many bytes as the body's `known_length` has told.
    pub fn fill(&mut self, out: &mut [u8]) -> Result<(), BodyError> {
        self.invite_body()?;
        let Some(client) = &mut self.client else { return Err(BodyError::Over) };
        let filled = self.body.fill(client, out, self.timeout);
        self.after_read(filled)
    }

    /// A read that has failed may have been ended so that the client gets its answer before the worker is killed.
    fn after_read(&mut self, read: Result<(), BodyError>) -> Result<(), BodyError> {
        if read.is_err()
            && self.client.as_ref().is_some_and(Client::is_tls)
            && let Some(answer) = rescue::claimed(self.slot)
        {
            self.say_last(answer);
        }
        read
    }

    /// Sends `100 Continue` to a client that waits for it, once, unless the answer has begun.
    fn invite_body(&mut self) -> Result<(), BodyError> {
        if !self.expects_continue || self.body.is_ready_for(1) {
            return Ok(());
        }
        self.expects_continue = false;
        if self.delivery.is_some() {
            return Ok(());
        }
        self.out.extend_from_slice(status::CONTINUE);
        let sent = self.write_rest(&[]);
        self.slot.resume();
        sent.map_err(|Gone| BodyError::Closed)
    }

    /// Reads the body as a whole before the app runs.
    pub fn buffer_body(&mut self, storage: Storage) -> Result<(), BodyError> {
        let Some(client) = &mut self.client else { return Err(BodyError::Over) };
        self.body.buffer(client, storage, self.timeout)
    }
}

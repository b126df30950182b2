//! The body of a request, as the application reads it.

use super::wait::ReadStep;
use super::{Exchange, Gone};
use crate::proto::http::status;
use crate::worker::body::error::BodyError;
use crate::worker::harakiri::answers;

impl Exchange {
    /// Is something of a `100 Continue` still to be sent?
    pub(super) fn owes_interim(&self) -> bool {
        !self.head_sent() && !self.unsent.bytes.is_empty()
    }

    /// One step of a read, without waiting: `true` when it has all that it wants.
    pub(super) fn read_step(&mut self, step: &mut ReadStep<'_>) -> Result<bool, BodyError> {
        if self.owes_interim() {
            self.send_interim()?;
        }
        let Some(client) = &mut self.client else { return Err(BodyError::Over) };
        step(&mut self.body, client)
    }

    /// A read that has failed may have been ended so that the client gets its answer before the worker is killed.
    pub(super) fn after_read(&mut self, read: Result<(), BodyError>) -> Result<(), BodyError> {
        if read.is_err()
            && self.is_tls()
            && let Some(answer) = answers::claimed(self.home.slot)
        {
            self.say_last(answer);
        }
        read
    }

    /// Has `100 Continue` been sent, or was it not needed?
    pub(super) fn body_is_invited(&self) -> bool {
        !self.asked.expects_continue || self.body.is_ready_for(1)
    }

    /// Sends `100 Continue` to a client that waits for it, once, unless the answer has begun.
    pub(super) fn invite_body(&mut self) -> Result<(), BodyError> {
        if self.body_is_invited() {
            return Ok(());
        }
        self.asked.expects_continue = false;
        if self.head_sent() {
            return Ok(());
        }
        self.unsent.bytes.extend_from_slice(status::CONTINUE);
        self.send_interim()
    }

    /// As far as the client takes it.
    fn send_interim(&mut self) -> Result<(), BodyError> {
        let sent = self.send_with(&[]);
        self.home.slot.resume();
        sent.map(drop).map_err(|Gone| BodyError::Closed)
    }
}

//! The pieces of the answer that the application passes on. Nothing here waits for the client.

use super::{End, Exchange, Gone, Loss, SMALL, Sent, WriteError};
use crate::net::send_queue::SendQueue;
use crate::proto::http::chunked::{CHUNK_END, LAST_CHUNK, push_chunk_size};
use crate::proto::http::response::Delivery;
use std::os::fd::BorrowedFd;

impl Exchange {
    /// Cuts what goes beyond the length that was announced: the client would take it for the next answer.
    fn clip<'a>(&self, chunk: &'a [u8], delivery: Delivery) -> &'a [u8] {
        match delivery {
            Delivery::Nothing => &[],
            Delivery::Length(length) if self.progress.body_bytes + chunk.len() as u64 > length => {
                &chunk[..(length - self.progress.body_bytes.min(length)) as usize]
            }
            _ => chunk,
        }
    }

    /// Takes a piece of the body, or (`whole`) all of it at once, as far as that goes without waiting.
    pub fn try_write(&mut self, bytes: &[u8], whole: bool) -> Result<Sent, WriteError> {
        match self.end {
            End::Gone(_) => return Err(WriteError::Gone),
            End::Complete | End::BrokenOff => return Err(WriteError::Over),
            End::Open => {}
        }
        if self.is_complete() {
            return Err(WriteError::Complete);
        }
        if self.turns.writing {
            return Ok(Sent::Busy);
        }
        let (at, end) = if whole { self.write_whole(bytes)? } else { self.write(bytes)? };
        if at == end && (whole || self.is_flushed()) {
            return Ok(Sent::All);
        }
        self.turns.writing = true;
        self.turns.held_back = end - at;
        Ok(Sent::Part { at, end })
    }

    /// The whole body at once. A small one waits in `out` for the end of the request; of a large one as much goes out now
    /// as the socket takes. Returns how much was taken over, of how much.
    fn write_whole(&mut self, body: &[u8]) -> Result<(usize, usize), Gone> {
        let delivery = match self.delivery() {
            Some(_) => return self.write(body),
            None => self.push_head(Some(body.len() as u64)),
        };
        if delivery == Delivery::Chunked {
            return self.write(body);
        }
        let clipped = self.clip(body, delivery);
        self.progress.body_bytes += clipped.len() as u64;
        if clipped.len() <= SMALL {
            self.unsent.bytes.extend_from_slice(clipped);
            return Ok((clipped.len(), clipped.len()));
        }
        Ok((self.send_with(clipped)?, clipped.len()))
    }

    /// One piece of the body, on its way as far as the socket takes it. Returns how much was taken over, of how much.
    fn write(&mut self, chunk: &[u8]) -> Result<(usize, usize), Gone> {
        let delivery = match self.delivery() {
            Some(delivery) => delivery,
            None => self.push_head(None),
        };
        let clipped = self.clip(chunk, delivery);
        self.progress.body_bytes += clipped.len() as u64;
        if delivery == Delivery::Chunked && !clipped.is_empty() {
            push_chunk_size(&mut self.unsent.bytes, clipped.len());
            self.unsent.bytes.extend_from_slice(clipped);
            self.unsent.bytes.extend_from_slice(CHUNK_END);
            self.send_with(&[])?;
            return Ok((clipped.len(), clipped.len()));
        }
        if clipped.len() <= SMALL {
            self.unsent.bytes.extend_from_slice(clipped);
            self.send_with(&[])?;
            return Ok((clipped.len(), clipped.len()));
        }
        Ok((self.send_with(clipped)?, clipped.len()))
    }

    /// Takes over `length` bytes of a file from `offset`, which [`Exchange::send_file_step`] sends.
    pub(super) fn begin_file(
        &mut self,
        file: BorrowedFd<'_>,
        offset: u64,
        length: u64,
    ) -> Result<(), WriteError> {
        if self.is_gone() {
            return Err(WriteError::Gone);
        }
        if self.is_complete() {
            return Err(WriteError::Complete);
        }
        let delivery = match self.delivery() {
            Some(delivery) => delivery,
            None => self.push_head(Some(length)),
        };
        let length = match delivery {
            Delivery::Nothing => 0,
            Delivery::Length(declared) => length.min(declared.saturating_sub(self.progress.body_bytes)),
            _ => length,
        };
        if length > 0 {
            // Its owner closes the file before the last byte has gone out.
            let Ok(file) = file.try_clone_to_owned() else {
                return self.lost(Loss::Left).map_err(WriteError::from);
            };
            if delivery == Delivery::Chunked {
                push_chunk_size(&mut self.unsent.bytes, length as usize);
            }
            self.unsent.queue = SendQueue::of_file(file, self.home.settings.statics.copies);
            self.unsent.queue.push_stretch(offset, length);
            if delivery == Delivery::Chunked {
                self.unsent.queue.push_bytes(CHUNK_END.to_vec());
            }
        }
        self.turns.writing = true;
        self.progress.by_sendfile = self.sends_files();
        self.progress.body_bytes += length;
        Ok(())
    }

    /// An answer whose head is set, Content-Length included, and whose body is this. It goes out with [`Exchange::finish`].
    pub fn attach(&mut self, body: SendQueue) {
        let length = body.len();
        if self.push_head(Some(length)) != Delivery::Nothing && length > 0 {
            self.progress.body_bytes = length;
            self.progress.by_sendfile = self.sends_files();
            self.unsent.queue = body;
        }
    }

    /// The app is done: whatever marks the end goes into `out`. `false`: a piece of another thread's was under way, and the
    /// answer is cut off within it.
    pub fn complete(&mut self) -> bool {
        if self.end != End::Open {
            return true;
        }
        if self.turns.held_back > 0 {
            self.abort();
            return false;
        }
        let delivery = match self.delivery() {
            Some(delivery) => delivery,
            None => self.push_head(Some(0)),
        };
        if delivery == Delivery::Chunked {
            self.unsent.bytes.extend_from_slice(LAST_CHUNK);
        }
        self.end = End::Complete;
        true
    }

    /// The app failed after the head had gone out: the connection closes without a proper end, so that the client notices.
    pub fn abort(&mut self) {
        if !self.is_gone() {
            self.end = End::BrokenOff;
        }
    }
}

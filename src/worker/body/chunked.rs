//! A chunked body on its way in: bytes from the socket, data for the reader, and what came after the end.

use crate::net::client::Client;
use crate::proto::http::{Decoder, Piece};
use crate::worker::body::error::BodyError;
use std::io::Result;

/// Received at most in one step.
const READ_CHUNK: usize = 16 * 1024;

#[derive(Debug, Default)]
pub struct Chunks {
    decoder: Decoder,
    /// What came after the end: the beginning of the next request.
    surplus: Vec<u8>,
    /// Data decoded so far, and how much there may be; 0: any length.
    total: u64,
    limit: u64,
    done: bool,
    failed: Option<BodyError>,
}

impl Chunks {
    pub fn new(limit: u64) -> Chunks {
        Chunks { limit, ..Chunks::default() }
    }

    /// Decodes `input`; data is appended to `data`.
    pub fn feed(&mut self, mut input: &[u8], data: &mut Vec<u8>) {
        while !self.done && self.failed.is_none() {
            match self.decoder.feed(input) {
                Ok((used, Piece::Data(range))) => {
                    self.total += range.len() as u64;
                    if self.limit > 0 && self.total > self.limit {
                        self.failed = Some(BodyError::TooLong);
                        return;
                    }
                    data.extend_from_slice(&input[range]);
                    input = &input[used..];
                }
                Ok((_, Piece::More)) => return,
                Ok((used, Piece::End)) => {
                    self.done = true;
                    self.surplus = input[used..].to_vec();
                }
                Err(reject) if reject.status == 431 => self.failed = Some(BodyError::Trailers),
                Err(_) => self.failed = Some(BodyError::Malformed),
            }
        }
    }

    /// One recv and what it decodes to; 0 when the client has closed.
    pub fn receive(&mut self, client: &mut Client, data: &mut Vec<u8>) -> Result<usize> {
        // A buffer of its own would stay allocated while the body waits.
        let mut raw = [0; READ_CHUNK];
        let got = client.recv_slice(&mut raw)?;
        self.feed(&raw[..got], data);
        Ok(got)
    }

    /// The end has come (`true`), or more is to come.
    pub fn state(&self) -> std::result::Result<bool, BodyError> {
        self.failed.map_or(Ok(self.done), Err)
    }

    pub fn into_surplus(self) -> Vec<u8> {
        self.surplus
    }
}

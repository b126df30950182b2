//! The end of an answer that is not sent yet: bytes, and stretches of one file.

use crate::net::client::Client;
use crate::sys::io;
use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, OwnedFd};

/// Sent to one client before others get their turn.
const SEND_QUANTUM: u64 = 2 << 20;

#[derive(Debug)]
enum Portion {
    Bytes { bytes: Vec<u8>, sent: usize },
    Stretch { offset: u64, length: u64 },
}

#[derive(Debug, Default)]
pub struct SendQueue {
    portions: VecDeque<Portion>,
    file: Option<OwnedFd>,
    /// Read and write the file (`disable-sendfile`).
    copies: bool,
}

impl SendQueue {
    /// Nothing yet, of this file.
    pub fn of_file(file: OwnedFd, copies: bool) -> SendQueue {
        SendQueue { portions: VecDeque::with_capacity(1), file: Some(file), copies }
    }

    pub fn push_bytes(&mut self, bytes: Vec<u8>) {
        self.portions.push_back(Portion::Bytes { bytes, sent: 0 });
    }

    /// Bytes that go before everything else.
    pub fn put_first(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.portions.push_front(Portion::Bytes { bytes, sent: 0 });
        }
    }

    /// Bytes of the file.
    pub fn push_stretch(&mut self, offset: u64, length: u64) {
        if length > 0 {
            self.portions.push_back(Portion::Stretch { offset, length });
        }
    }

    pub fn is_empty(&self) -> bool {
        self.portions.is_empty()
    }

    /// Bytes that are still to be sent.
    pub fn len(&self) -> u64 {
        let length = |portion: &Portion| match portion {
            Portion::Bytes { bytes, sent } => (bytes.len() - sent) as u64,
            Portion::Stretch { length, .. } => *length,
        };
        self.portions.iter().map(length).sum()
    }

    /// Bytes of memory that it holds.
    pub fn memory(&self) -> usize {
        let held = |portion: &Portion| match portion {
            Portion::Bytes { bytes, .. } => bytes.len(),
            Portion::Stretch { .. } => 0,
        };
        self.portions.iter().map(held).sum()
    }

    /// Does it hold a file?
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }

    pub fn clear(&mut self) {
        self.portions.clear();
        self.file = None;
    }

    /// Moves a short stretch that is all there is to `out`, so that it goes out in one call with what stands there.
    pub fn inline(&mut self, most: u64, out: &mut Vec<u8>) -> Result<()> {
        let (Some(&Portion::Stretch { offset, length }), 1) = (self.portions.front(), self.portions.len())
        else {
            return Ok(());
        };
        let Some(file) = self.file.as_ref().filter(|_| length <= most) else { return Ok(()) };
        let got = io::read_at(file.as_fd(), offset, out, length as usize)?;
        if (got as u64) < length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.clear();
        Ok(())
    }

    /// Sends as much as the client takes now, or a turn of it; returns how much. `UnexpectedEof`: the file has become
    /// shorter than it was, so that the answer cannot be completed.
    pub fn send(&mut self, client: &mut Client) -> Result<u64> {
        let mut total = 0;
        if client.has_pending_output() {
            client.flush()?;
        }
        while total < SEND_QUANTUM && !self.portions.is_empty() {
            match self.send_some(client, SEND_QUANTUM - total) {
                Ok((sent, is_done)) => {
                    total += sent;
                    if !is_done {
                        break;
                    }
                    self.portions.pop_front();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.portions.is_empty() {
            self.file = None;
        }
        Ok(total)
    }

    /// Something of the first portion, and whether that was all of it.
    fn send_some(&mut self, client: &mut Client, most: u64) -> Result<(u64, bool)> {
        let more = self.portions.len() > 1;
        match (self.portions.front_mut(), &self.file) {
            (Some(Portion::Bytes { bytes, sent }), _) => {
                let part = &bytes[*sent..];
                let count = client.send_before(part, more)?;
                *sent += count;
                Ok((count as u64, *sent == bytes.len()))
            }
            (Some(Portion::Stretch { offset, length }), Some(file)) => {
                let most = (*length).min(most);
                let count = client.send_file(file.as_fd(), *offset, most, self.copies)? as u64;
                *offset += count;
                *length -= count;
                Ok((count, *length == 0))
            }
            _ => Err(Error::from(ErrorKind::UnexpectedEof)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn file(bytes: &[u8]) -> OwnedFd {
        let path = std::env::temp_dir().join(format!("rwsgi-queue-{:?}", std::thread::current().id()));
        let mut made =
            std::fs::File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
        made.write_all(bytes).unwrap();
        std::fs::remove_file(&path).unwrap();
        made.into()
    }

    fn sent(queue: &mut SendQueue) -> Vec<u8> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut ours = Client::plain(ours.into());
        let mut got = Vec::new();
        let mut buffer = vec![0; 1 << 20];
        while !queue.is_empty() {
            let before = queue.len();
            let count = queue.send(&mut ours).unwrap();
            assert_eq!(queue.len(), before - count);
            let count = theirs.read(&mut buffer).unwrap();
            got.extend_from_slice(&buffer[..count]);
        }
        drop(ours);
        theirs.read_to_end(&mut got).unwrap();
        got
    }

    #[test]
    fn portions_come_in_order() {
        let large: Vec<u8> = (0..3_000_000u32).map(|at| at as u8 ^ (at >> 8) as u8).collect();
        for copies in [false, true] {
            let mut queue = SendQueue::of_file(file(&large), copies);
            queue.push_stretch(10, 2_500_000);
            queue.push_bytes(b"between".to_vec());
            queue.push_stretch(0, 0);
            queue.push_stretch(5, 3);
            queue.put_first(b"first".to_vec());
            assert_eq!((queue.len(), queue.memory()), (2_500_015, 12));
            let expected = [&b"first"[..], &large[10..2_500_010], b"between", &large[5..8]].concat();
            assert!(sent(&mut queue) == expected);
        }
    }

    #[test]
    fn a_short_stretch_is_read() {
        let mut queue = SendQueue::of_file(file(b"0123456789"), false);
        queue.push_stretch(2, 5);
        let mut out = b"head:".to_vec();
        queue.inline(4, &mut out).unwrap();
        assert!(!queue.is_empty());
        queue.inline(5, &mut out).unwrap();
        assert!(queue.is_empty());
        assert_eq!(out, b"head:23456");
    }

    #[test]
    fn a_file_that_has_shrunk_is_told() {
        for copies in [false, true] {
            let mut queue = SendQueue::of_file(file(b"0123"), copies);
            queue.push_stretch(4, 5);
            let (ours, _theirs) = UnixStream::pair().unwrap();
            assert_eq!(
                queue.send(&mut Client::plain(ours.into())).unwrap_err().kind(),
                ErrorKind::UnexpectedEof
            );
            assert_eq!(queue.inline(10, &mut Vec::new()).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        }
    }
}

//! A client's connection: a socket, and a TLS session on it where the listener has one. The caller that reads and
//! writes does not know which.

use super::buffers;
use super::tls::{Failure, Service, Session};
use crate::shm::scoreboard::ENCRYPTED;
use crate::sys::{clients, io};
use std::io::{ErrorKind, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Bytes of a file that are copied in one step.
const COPIED: u64 = 64 * 1024;

#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    tls: Option<Box<Session>>,
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Client {
    pub fn new(socket: OwnedFd, service: Option<&Arc<Service>>) -> Client {
        clients::add(socket.as_fd());
        Client { socket, tls: service.map(|service| Box::new(Session::new(service.clone()))) }
    }

    pub fn plain(socket: OwnedFd) -> Client {
        clients::add(socket.as_fd());
        Client { socket, tls: None }
    }

    /// Receives into the spare capacity of `buffer`, at most `most` bytes. 0 means that the peer has closed its side.
    #[inline]
    pub fn recv(&mut self, buffer: &mut Vec<u8>, most: usize) -> Result<usize> {
        match &mut self.tls {
            None => io::recv(self.socket.as_fd(), buffer, most),
            Some(tls) => tls.recv(self.socket.as_fd(), most, |bytes| buffer.extend_from_slice(bytes)),
        }
    }

    /// Receives into a slice.
    #[inline]
    pub fn recv_slice(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match &mut self.tls {
            None => io::recv_slice(self.socket.as_fd(), buffer),
            Some(tls) => {
                let mut at = 0;
                tls.recv(self.socket.as_fd(), buffer.len(), |bytes| {
                    buffer[at..at + bytes.len()].copy_from_slice(bytes);
                    at += bytes.len();
                })
            }
        }
    }

    /// Bytes as they are on the socket: what comes before a TLS session, or is thrown away after it.
    pub fn recv_raw(&mut self, buffer: &mut Vec<u8>, most: usize) -> Result<usize> {
        io::recv(self.socket.as_fd(), buffer, most)
    }

    /// The same, to be thrown away.
    pub fn recv_waste(&self, waste: &mut [u8]) -> Result<usize> {
        io::recv_slice(self.socket.as_fd(), waste)
    }

    /// Bytes for the socket as they are: to a peer that speaks no TLS.
    pub fn send_raw(&self, bytes: &[u8]) -> Result<usize> {
        io::send(self.socket.as_fd(), bytes)
    }

    /// The bytes that came behind those which were read raw.
    pub fn push_back(&mut self, bytes: &mut Vec<u8>) {
        if let Some(tls) = &mut self.tls {
            tls.push_back(bytes);
        }
    }

    /// Sends as much as goes without waiting.
    #[inline]
    pub fn send(&mut self, bytes: &[u8]) -> Result<usize> {
        match &mut self.tls {
            None => io::send(self.socket.as_fd(), bytes),
            Some(tls) => tls.send(self.socket.as_fd(), [bytes, &[]]),
        }
    }

    /// The same for two buffers, in one call.
    #[inline]
    pub fn send_two(&mut self, first: &[u8], second: &[u8]) -> Result<usize> {
        match &mut self.tls {
            None => io::send_two(self.socket.as_fd(), first, second),
            Some(tls) => tls.send(self.socket.as_fd(), [first, second]),
        }
    }

    /// Sends what more may follow at once: then the kernel may wait for it to fill a segment.
    pub fn send_before(&mut self, bytes: &[u8], more: bool) -> Result<usize> {
        match &self.tls {
            None if more => io::send_with_more(self.socket.as_fd(), bytes),
            _ => self.send(bytes),
        }
    }

    /// The one place where bytes of a file go to a client: as many as go without waiting, by the kernel unless they are
    /// encrypted or `copies` says otherwise. `UnexpectedEof`: the file has no bytes there.
    pub fn send_file(
        &mut self,
        file: BorrowedFd<'_>,
        offset: u64,
        length: u64,
        copies: bool,
    ) -> Result<usize> {
        if self.tls.is_none() && !copies {
            let sent = io::sendfile(self.socket.as_fd(), file, offset, length)?;
            return if sent == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(sent) };
        }
        let mut bytes = buffers::take();
        let sent = match io::read_at(file, offset, &mut bytes, length.min(COPIED) as usize) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => self.send(&bytes),
            Err(error) => Err(error),
        };
        buffers::put(bytes);
        sent
    }

    /// Sends on what waits here for room in the socket, as far as that goes.
    pub fn flush(&mut self) -> Result<()> {
        match self.send(&[]) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Something that was sent waits here for room in the socket: sending nothing sends it on.
    #[inline]
    pub fn has_pending_output(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_pending_output())
    }

    /// There are bytes to be received of which the socket knows nothing.
    #[inline]
    pub fn has_buffered_input(&mut self) -> bool {
        self.tls.as_mut().is_some_and(|tls| tls.has_buffered_input())
    }

    #[inline]
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// A TLS handshake has begun and is not done.
    pub fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// A TLS handshake is done: `true` once, for whoever counts them.
    #[inline]
    pub fn note_handshake(&mut self) -> bool {
        self.tls.as_mut().is_some_and(|tls| tls.note_handshake())
    }

    /// Goes on with it, without waiting.
    pub fn shake_hands(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.shake_hands(self.socket.as_fd());
        }
    }

    /// Its bytes are the client's own, or all still in the socket: another worker can go on with the socket alone.
    pub fn is_transferable(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| tls.is_untouched())
    }

    /// Another process has it now: this one closes its copy and says nothing to the peer.
    pub fn release(mut self) {
        self.tls = None;
    }

    /// What the handlers of signals know of it: by the number of its socket they may write there. They cannot encrypt.
    pub fn scoreboard_word(&self) -> u64 {
        let encrypted = if self.is_tls() { ENCRYPTED } else { 0 };
        (self.socket.as_raw_fd() as u64 + 1) | encrypted
    }

    /// Why receiving has failed, where TLS knows.
    pub fn failure(&self) -> Option<&Failure> {
        self.tls.as_ref().and_then(|tls| tls.failure())
    }

    /// The session's variables for the application.
    pub fn variables(&mut self) -> Option<&[(&'static str, Vec<u8>)]> {
        self.tls.as_mut().map(|tls| tls.variables())
    }

    /// What was sent last has no end: TLS says so by not saying that it has one.
    pub fn break_off(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.break_off();
        }
    }

    /// Closes for sending; the peer reads to the end of what was sent.
    pub fn shutdown_send(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.close(self.socket.as_fd());
        }
        io::shutdown_send(self.socket.as_fd());
    }
}

impl Drop for Client {
    /// RFC 8446 §6.1: the peer learns that nothing was cut off.
    fn drop(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.close(self.socket.as_fd());
        }
        clients::remove(self.socket.as_fd());
    }
}

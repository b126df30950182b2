//! Bodies that are read before the application runs: in memory, or in a file without a name. Only these can seek.

use super::error::BodyError;
use super::{Body, RemainingBody};
use crate::net::client::Client;
use crate::sys::socket::EMFILE;
use std::fs::File;
use std::io::{Error, Write};

/// Where a body may be kept that is read ahead.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    /// Bytes in memory; more go to an unlinked file.
    pub memory: usize,
    /// Bytes in that file; 0: any number.
    pub file: u64,
    /// A descriptor may be spent on it.
    pub may_open: bool,
}

impl Body {
    /// Takes what is there of a body that is to be read ahead, `most` bytes or a little more. `true`: all of it has
    /// come.
    pub fn gather(&mut self, client: &mut Client, storage: Storage, most: u64) -> Result<bool, BodyError> {
        let mut taken = 0;
        loop {
            if let Some(error) = self.failed {
                return Err(error);
            }
            self.move_to_file(storage)?;
            if matches!(self.remaining, RemainingBody::Nothing) {
                return self.gathered();
            }
            let held = self.ahead.len();
            if taken > most || !self.receive(client)? {
                return Ok(false);
            }
            taken += (self.ahead.len() - held) as u64;
        }
    }

    /// Moves what has come to the file, if the body is too long for memory.
    fn move_to_file(&mut self, storage: Storage) -> Result<(), BodyError> {
        if self.sink.is_none() && self.least_length() > storage.memory as u64 {
            let opened =
                if storage.may_open { unlinked_file() } else { Err(Error::from_raw_os_error(EMFILE)) };
            match opened {
                Ok(file) => self.sink = Some(file),
                Err(error) => return self.spool_failed(&error),
            }
        }
        let Some(file) = &mut self.sink else { return Ok(()) };
        self.spooled += self.ahead.len() as u64;
        if storage.file > 0 && self.spooled > storage.file {
            return self.fail(BodyError::TooLongForFile);
        }
        if let Err(error) = file.write_all(&self.ahead) {
            return self.spool_failed(&error);
        }
        self.ahead.clear();
        Ok(())
    }

    /// Does the body hold a file?
    pub fn has_file(&self) -> bool {
        self.sink.is_some() || self.spool.is_some()
    }

    /// Bytes of memory that it takes.
    pub fn memory(&self) -> usize {
        self.ahead.capacity()
    }

    /// The least number of bytes that the part in memory will have.
    fn least_length(&self) -> u64 {
        let coming = if let RemainingBody::Bytes(left) = self.remaining { left } else { 0 };
        self.ahead.len() as u64 + coming
    }

    fn gathered(&mut self) -> Result<bool, BodyError> {
        if let Some(file) = self.sink.take() {
            self.spool = Some(file);
        }
        self.buffered = true;
        Ok(true)
    }

    pub fn is_seekable(&self) -> bool {
        self.buffered
    }

    pub fn tell(&self) -> u64 {
        self.consumed
    }

    /// The whole length of a body that was read ahead.
    pub fn buffered_len(&self) -> u64 {
        match &self.spool {
            Some(file) => file.metadata().map_or(0, |meta| meta.len()),
            None => self.ahead.len() as u64,
        }
    }

    /// Goes to a place of a body that was read ahead.
    pub fn seek(&mut self, to: u64) {
        if self.spool.is_some() {
            self.ahead.clear();
            self.at = 0;
        } else {
            self.at = to as usize;
        }
        self.consumed = to;
    }

    pub(super) fn spool_failed<T>(&mut self, error: &Error) -> Result<T, BodyError> {
        self.fail(BodyError::Spool(error.raw_os_error()))
    }
}

fn unlinked_file() -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true);
    // O_TMPFILE: a file that never had a name. Where the file system has none of it, make one and unlink it.
    let dir = std::env::temp_dir();
    options.custom_flags(crate::sys::io::O_TMPFILE).mode(0o600).open(&dir).or_else(|_| {
        let path =
            dir.join(format!("rwsgi-body-{}-{}", std::process::id(), crate::sys::clock::monotonic_us()));
        let mut named = std::fs::OpenOptions::new();
        let file = named.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_body_that_fails_has_given_its_file_back_before_anybody_is_told() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&[b'x'; 100]).unwrap();
        let mut body = Body::default();
        body.begin_sized(200, b"");
        let storage = Storage { memory: 10, file: 50, may_open: true };
        assert!(body.gather(&mut Client::plain(ours.into()), storage, 100).is_err());
        assert!(!body.has_file());
    }
}

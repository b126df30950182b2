//! One text on its way to one address over TCP: connect, send, close, within a time and without waiting.

use crate::sys::epoll::{self, Epoll};
use crate::sys::socket;
use std::io::{Error, ErrorKind, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;

pub struct Delivery {
    stream: TcpStream,
    text: Rc<[u8]>,
    sent: usize,
    until_us: u64,
}

impl Delivery {
    pub fn start(address: SocketAddr, text: Rc<[u8]>, until_us: u64, epoll: &Epoll) -> Result<Delivery> {
        let stream = socket::connect_tcp(address)?;
        // What the other side sends is of no interest.
        epoll.add(&stream, epoll::WRITE, 0)?;
        Ok(Delivery { stream, text, sent: 0, until_us })
    }

    pub fn until_us(&self) -> u64 {
        self.until_us
    }

    pub fn private(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Sends what goes. `true`: all of it is sent, and the connection may be closed.
    pub fn turn(&mut self, now: u64) -> Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        while self.sent < self.text.len() {
            match self.stream.write(&self.text[self.sent..]) {
                Ok(0) => return Err(Error::from(ErrorKind::WriteZero)),
                Ok(sent) => self.sent += sent,
                Err(error) if is_pending(&error) && now < self.until_us => return Ok(false),
                Err(error) if is_pending(&error) => return Err(self.late()),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn late(&self) -> Error {
        let what = if self.sent == 0 { "it did not answer" } else { "it did not take all of it" };
        Error::new(ErrorKind::TimedOut, format!("{what} in time (carbon-timeout)"))
    }
}

/// It is still being connected (ENOTCONN does not come here: Linux says EAGAIN), or has no room.
fn is_pending(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

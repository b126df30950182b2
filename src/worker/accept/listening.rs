//! Whether the listeners are in the private epoll of a worker, each with EPOLLEXCLUSIVE: a process that runs a request
//! does not wait, so the kernel wakes another.

use super::intake::listen_to;
use super::toggle::Toggle;
use crate::net::listener::Bound;
use crate::sys::epoll::Epoll;
use std::io::{ErrorKind, Result};

#[derive(Debug, Default)]
pub struct Listening {
    listeners: Toggle,
}

impl Listening {
    #[inline]
    pub fn is_off(&self) -> bool {
        self.listeners.is_off()
    }

    /// Takes the listeners out of the epoll, or puts them back.
    #[cold]
    pub fn set(&self, epoll: &Epoll, listeners: &[Bound], on: bool) -> Result<()> {
        self.listeners.turn(on, || if on { listen(epoll, listeners) } else { stop(epoll, listeners) })
    }

    /// Goes to the end of the kernel's order of those who wait for a listener.
    pub fn step_back(&self, epoll: &Epoll, listeners: &[Bound], index: usize) -> Result<()> {
        let bound = &listeners[index];
        let leave = || epoll.remove(&bound.fd).is_ok();
        self.listeners.restart(leave, || listen_to(epoll, bound, index))
    }
}

fn listen(epoll: &Epoll, listeners: &[Bound]) -> Result<()> {
    let mut all = listeners.iter().enumerate();
    all.try_for_each(|(index, bound)| match listen_to(epoll, bound, index) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        result => result,
    })
}

fn stop(epoll: &Epoll, listeners: &[Bound]) -> Result<()> {
    for bound in listeners {
        // One that is not there, or closed, is out of it already.
        let _ = epoll.remove(&bound.fd);
    }
    Ok(())
}

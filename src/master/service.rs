//! A part of the master that does something by itself from time to time.

use super::action::Action;
use super::server::Server;
use crate::config::Settings;
use crate::supervise::Children;
use crate::sys::epoll::Epoll;
use std::io::Result;
use std::os::fd::RawFd;

pub trait Service {
    /// Its descriptors join those that end the master's sleep. They are never waited for otherwise, so they do not block.
    fn watch(&self, _: &Epoll) -> Result<()> {
        Ok(())
    }

    /// Descriptors of its own, as they are after a tick; children close them.
    fn private(&self) -> Vec<RawFd> {
        Vec::new()
    }

    /// From now on these settings hold.
    fn configure(&mut self, _: &Settings) {}

    /// Does what is due, in each turn of the loop; returns what the master is to do.
    fn tick(&mut self, now: u64, server: &Server, children: &mut Children) -> Vec<Action>;

    /// When it needs another turn at the latest; `None`: one each second is enough.
    fn deadline(&self, _now: u64, _: &Server) -> Option<u64> {
        None
    }
}

/// For what costs a system call or more for each worker or file, and may wait.
#[derive(Debug)]
pub struct EachSecond {
    last_us: u64,
}

impl EachSecond {
    pub fn starting(now: u64) -> EachSecond {
        EachSecond { last_us: now }
    }

    /// `true` once a second.
    pub fn pass(&mut self, now: u64) -> bool {
        // The loop turns once a second at least, now and then a little early.
        let is_over = now.saturating_sub(self.last_us) >= 900_000;
        if is_over {
            self.last_us = now;
        }
        is_over
    }
}

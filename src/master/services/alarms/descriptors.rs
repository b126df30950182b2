//! `alarm-fd`: descriptors that somebody else writes to.

use crate::base::reason::reason;
use crate::config::AlarmFd;
use crate::log;
use crate::master::incident::Incident;
use crate::master::sources::OTHER;
use crate::sys::epoll::{self, Epoll, Events};
use crate::sys::io;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// Descriptors that are looked at in one turn.
const MAX_A_TURN: usize = 16;

pub struct Descriptors {
    watched: Vec<AlarmFd>,
    /// Of their own: one that has come to its end is not reported for ever, though others hold it open.
    epoll: Epoll,
    events: Events,
}

impl Descriptors {
    pub fn new() -> Result<Descriptors> {
        let (epoll, events) = (Epoll::new()?, Events::with_capacity(MAX_A_TURN));
        Ok(Descriptors { watched: Vec::new(), epoll, events })
    }

    pub fn configure(&mut self, configured: &[AlarmFd]) {
        for fd in self.watched.drain(..).filter_map(|one| io::numbered(one.descriptor)) {
            // One that several alarms name is taken out by the first.
            let _ = self.epoll.remove(fd);
        }
        for one in configured {
            match self.add(one) {
                Ok(()) => self.watched.push(one.clone()),
                Err(error) => say_of(one.descriptor, &format!("cannot be used: {}", why(&error))),
            }
        }
    }

    fn add(&self, one: &AlarmFd) -> Result<()> {
        let is_known = self.watched.iter().any(|known| known.descriptor == one.descriptor);
        match handed_over(one.descriptor) {
            None => Err(ErrorKind::NotFound.into()),
            Some(_) if is_known => Ok(()),
            Some(fd) => self.epoll.add(fd, epoll::READ, one.descriptor as u64),
        }
    }

    pub fn watch(&self, epoll: &Epoll) -> Result<()> {
        epoll.add(&self.epoll, epoll::READ, OTHER)
    }

    pub fn descriptor(&self) -> RawFd {
        self.epoll.as_fd().as_raw_fd()
    }

    /// Reads what is there, once from each.
    pub fn look(&mut self) -> Vec<Incident> {
        if self.watched.is_empty() || self.epoll.wait(&mut self.events, Some(Duration::ZERO)).is_err() {
            return Vec::new();
        }
        let readable: Vec<i32> = self.events.iter().map(|(token, _)| token as i32).collect();
        readable.into_iter().flat_map(|descriptor| self.take(descriptor)).collect()
    }

    fn take(&mut self, descriptor: i32) -> Vec<Incident> {
        let named = || self.watched.iter().filter(|one| one.descriptor == descriptor);
        let bytes = named().map(|one| one.bytes).max().unwrap_or(1);
        match io::numbered(descriptor).map(|fd| io::read(fd, &mut vec![0; bytes])) {
            Some(Ok(1..)) => {
                let incident = |one: &AlarmFd| {
                    Incident::named("fd", vec![one.alarm.clone()], one.message.as_str())
                        .with("descriptor", descriptor)
                };
                return named().map(incident).collect();
            }
            Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => {}
            Some(Err(error)) => self.stop_watching(descriptor, &why(&error)),
            Some(Ok(0)) | None => self.stop_watching(descriptor, "its other end is closed"),
        }
        Vec::new()
    }

    fn stop_watching(&mut self, descriptor: i32, why: &str) {
        say_of(descriptor, &format!("is not looked at any more: {why}"));
        io::numbered(descriptor).into_iter().for_each(|fd| drop(self.epoll.remove(fd)));
        self.watched.retain(|one| one.descriptor != descriptor);
    }
}

/// It was inherited, and nothing in the master closes it.
fn handed_over(descriptor: i32) -> Option<BorrowedFd<'static>> {
    io::numbered(descriptor).filter(|&fd| descriptor > 2 && io::is_inherited(fd))
}

fn why(error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "it was not handed over".to_owned(),
        // A file can always be read, and epoll does not take it (epoll_ctl(2)).
        ErrorKind::PermissionDenied => "it is no pipe, socket or eventfd".to_owned(),
        ErrorKind::InvalidInput => "an eventfd is read in 8 bytes: write DESCRIPTOR:8".to_owned(),
        kind => reason(Error::from(kind)),
    }
}

fn say_of(descriptor: i32, what: &str) {
    log::say_of_alarm(&format!("[uwsgi-alarm] descriptor {descriptor} (alarm-fd) {what}"));
}

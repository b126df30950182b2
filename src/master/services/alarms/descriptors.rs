//! `alarm-fd`: descriptors that somebody else writes to.

use crate::base::reason::reason;
use crate::config::AlarmFd;
use crate::log;
use crate::master::incident::Incident;
use crate::master::sources::OTHER;
use crate::sys::epoll::{self, Epoll};
use crate::sys::io;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::BorrowedFd;

#[derive(Debug)]
pub struct Descriptors {
    watched: Vec<AlarmFd>,
}

fn open(fd: i32) -> Option<BorrowedFd<'static>> {
    // It was inherited, and nothing in the master closes it.
    io::numbered(fd)
}

impl Descriptors {
    pub fn new(configured: &[AlarmFd]) -> Descriptors {
        let mut watched = configured.to_vec();
        watched.retain(|one| {
            let is_open = one.descriptor > 2 && open(one.descriptor).is_some();
            if !is_open {
                let number = one.descriptor;
                log::say_of_alarm(&format!("[uwsgi-alarm] descriptor {number} (alarm-fd) was not handed over"));
            }
            is_open
        });
        Descriptors { watched }
    }

    pub fn watch(&self, epoll: &Epoll) -> Result<()> {
        let mut numbers: Vec<i32> = self.watched.iter().map(|one| one.descriptor).collect();
        numbers.sort_unstable();
        numbers.dedup();
        for fd in numbers.into_iter().filter_map(open) {
            // A regular file can always be read, and epoll does not take it.
            match epoll.add(fd, epoll::READ, OTHER) {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    let text = "name a pipe, a socket or an eventfd with alarm-fd, not a file";
                    return Err(Error::new(ErrorKind::InvalidInput, text));
                }
                result => result?,
            }
        }
        Ok(())
    }

    /// Reads what is there, once from each.
    pub fn look(&mut self, epoll: &Epoll) -> Vec<Incident> {
        let mut ended: Vec<i32> = Vec::new();
        let mut incidents = Vec::new();
        let mut read: Vec<i32> = Vec::new();
        for one in &self.watched {
            if !read.contains(&one.descriptor) {
                match take(one) {
                    Ok(true) => read.push(one.descriptor),
                    Ok(false) => continue,
                    Err(error) => {
                        stop_watching(one, &error, epoll);
                        ended.push(one.descriptor);
                        continue;
                    }
                }
            }
            let incident = Incident::named("fd", vec![one.alarm.clone()], one.message.as_str());
            incidents.push(incident.with("descriptor", one.descriptor));
        }
        self.watched.retain(|one| !ended.contains(&one.descriptor));
        incidents
    }
}

/// `true`: something was read.
fn take(one: &AlarmFd) -> Result<bool> {
    let fd = open(one.descriptor).ok_or_else(|| Error::from_raw_os_error(9))?;
    if !epoll::is_readable(fd) && !epoll::is_hung_up(fd) {
        return Ok(false);
    }
    let mut buffer = vec![0; one.bytes];
    match io::read(fd, &mut buffer) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

fn stop_watching(one: &AlarmFd, error: &Error, epoll: &Epoll) {
    let why = match error.kind() {
        ErrorKind::UnexpectedEof => "its other end is closed".to_owned(),
        _ => reason(Error::from(error.kind())),
    };
    log::say_of_alarm(&format!("[uwsgi-alarm] descriptor {} is not looked at any more: {why}", one.descriptor));
    open(one.descriptor).into_iter().for_each(|fd| drop(epoll.remove(fd)));
}

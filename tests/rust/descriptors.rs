//! A message whose descriptor would find no number in its receiver stays where it is. In a process of its own, since the
//! limit is one of the process.

use rwsgi::sys::process::{self, Resource};
use rwsgi::sys::{io, scm};
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

const MESSAGES: usize = 2000;

/// The number that the next descriptor gets.
fn lowest_free() -> u64 {
    io::pipe(true).unwrap().0.as_raw_fd() as u64
}

#[test]
fn no_message_is_lost_while_another_thread_takes_the_last_number() {
    let (one, other) = io::packet_pair().unwrap();
    let (_reading, writing) = io::pipe(true).unwrap();
    let mut bytes = Vec::new();
    let lowest = lowest_free();
    let leave = |numbers| process::set_limit(Resource::Descriptors, lowest + numbers).unwrap();
    leave(0);
    scm::send(one.as_fd(), b"first", writing.as_fd()).unwrap();
    let refused = scm::receive(other.as_fd(), &mut bytes, 100).unwrap_err();
    assert_ne!(refused.kind(), ErrorKind::InvalidData);
    leave(1);
    scm::receive(other.as_fd(), &mut bytes, 100).unwrap();
    assert_eq!(bytes, b"first");

    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                let _: Option<OwnedFd> = writing.try_clone().ok();
            }
        });
        for number in 0..MESSAGES {
            scm::send(one.as_fd(), &number.to_ne_bytes(), writing.as_fd()).unwrap();
            let received = loop {
                match scm::receive(other.as_fd(), &mut bytes, 100) {
                    Err(error) if error.kind() != ErrorKind::InvalidData => {
                        assert_ne!(error.kind(), ErrorKind::WouldBlock, "message {number} is lost");
                    }
                    outcome => break outcome,
                }
            };
            if received.is_err() || bytes != number.to_ne_bytes() {
                is_over.store(true, Relaxed);
                panic!("message {number}: {received:?} {bytes:?}");
            }
        }
        is_over.store(true, Relaxed);
    });
}

//! The accept queues: epolls that all workers share, in each of which every listener stands. The kernel looks for a
//! waiting thread in the first queue, then in the second and so on, first come first served. A thread waits in the
//! queue that matches what its process has in flight: so a request goes to an idle process as long as there is one. The
//! threads of one process stand in the queues of all processes, one in each at most, or are parked.

use super::intake::watch;
use crate::net::listener::Bound;
use crate::policy::balance;
use crate::shm::scoreboard::WorkerSlot;
use crate::sys::epoll::Epoll;
use crate::sys::{process, signal};
use parking_lot::Mutex;
use std::io::Result;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::*};

/// The most queues; processes with more in flight share the last.
pub const MAX_ACCEPT_QUEUES: usize = 16;
/// The shared queues, made by the master before the first fork. The order in which a listener is added to them is the
/// order in which the kernel looks for a waiting thread.
pub fn make(threads: u32, listeners: &[Bound], alive: &OwnedFd) -> Result<Vec<Epoll>> {
    let number = (threads as usize).min(MAX_ACCEPT_QUEUES);
    let queues: Vec<Epoll> = (0..number).map(|_| Epoll::new()).collect::<Result<_>>()?;
    queues.iter().try_for_each(|queue| watch(queue, listeners, alive))?;
    Ok(queues)
}

pub struct Queues {
    epolls: Arc<Vec<Epoll>>,
    slot: WorkerSlot,
    /// The queues that threads of this process wait in, a bit each.
    occupied: AtomicU64,
    /// Threads that are not needed in a queue wait here.
    parked: Mutex<Vec<i32>>,
}

impl Queues {
    pub fn new(epolls: Arc<Vec<Epoll>>, slot: WorkerSlot) -> Queues {
        Queues { epolls, slot, occupied: AtomicU64::new(0), parked: Mutex::default() }
    }

    /// The queue that the calling thread is to wait in, until [`Queues::leave`]; `None`: it is needed in none.
    pub fn enter(&self) -> Option<(usize, &Epoll)> {
        let mut taken = self.occupied.load(Acquire);
        loop {
            let queue = self.vacancy(taken)?;
            match self.occupied.compare_exchange(taken, taken | 1 << queue, AcqRel, Acquire) {
                Ok(_) => return Some((queue, &self.epolls[queue])),
                Err(now) => taken = now,
            }
        }
    }

    pub fn leave(&self, queue: usize) {
        self.occupied.fetch_and(!(1 << queue), AcqRel);
    }

    fn vacancy(&self, taken: u64) -> Option<usize> {
        balance::queue(self.slot.in_flight().load(Acquire), taken, self.epolls.len())
    }

    /// Lets one thread of the process back off; `false`: another does already.
    pub fn begin_back_off(&self) -> bool {
        self.occupied.fetch_or(balance::BACKING_OFF, AcqRel) & balance::BACKING_OFF == 0
    }

    pub fn end_back_off(&self) {
        self.occupied.fetch_and(!balance::BACKING_OFF, AcqRel);
    }

    /// Parks the calling thread: [`Queues::wake_one`] wakes it when it is needed. `false`: it is needed now.
    pub fn park(&self) -> bool {
        let mut parked = self.parked.lock();
        if self.vacancy(self.occupied.load(Acquire)).is_some() {
            return false;
        }
        parked.push(process::thread_id());
        true
    }

    pub fn unpark(&self) {
        let me = process::thread_id();
        self.parked.lock().retain(|&tid| tid != me);
    }

    /// A thread has taken a connection: another may be needed in a queue for the next.
    pub fn wake_one(&self) {
        let in_flight = self.slot.in_flight().load(Acquire).min(63);
        if self.occupied.load(Acquire) >> in_flight != 0 {
            return;
        }
        if let Some(tid) = self.parked.lock().pop() {
            process::signal_thread(tid, signal::wake());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::scoreboard::Scoreboard;

    fn queues(number: usize) -> Queues {
        let slot = Scoreboard::new(1, number).unwrap().worker(0);
        Queues::new(Arc::new((0..number).map(|_| Epoll::new().unwrap()).collect()), slot)
    }

    #[test]
    fn a_process_stands_in_a_queue_once() {
        let queues = queues(4);
        let entered: Vec<_> = (0..3).map(|_| queues.enter().map(|(queue, _)| queue)).collect();
        assert_eq!(entered, [Some(0), Some(1), None]);
        queues.leave(0);
        queues.slot.in_flight().store(1, Relaxed);
        // With one request in flight the first queue is for idle processes.
        assert_eq!(queues.enter().map(|(queue, _)| queue), Some(2));
    }

    #[test]
    fn a_thread_is_parked_only_when_it_is_not_needed() {
        let queues = queues(2);
        assert!(!queues.park());
        queues.enter().unwrap();
        queues.enter().unwrap();
        assert!(queues.park());
        assert_eq!(*queues.parked.lock(), [process::thread_id()]);
        queues.unpark();
        assert!(queues.parked.lock().is_empty());
    }

    #[test]
    fn one_thread_backs_off() {
        let queues = queues(2);
        assert!(queues.begin_back_off() && !queues.begin_back_off());
        queues.end_back_off();
        assert!(queues.begin_back_off());
    }
}

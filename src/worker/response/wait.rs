//! The one place where a request waits for its client. An exchange is locked for single steps that never wait. A thread
//! that has to wait unlocks it first, and compares the request's number afterwards. So no thread holds up another, nor
//! the core, which alone ends requests.

use super::{Exchange, Gone, Loss, Outcome, Released, Sent, WriteError};
use crate::net::client::Client;
use crate::sys::clock;
use crate::sys::wait::{self, Ended, Interest, Waker};
use crate::worker::body::Body;
use crate::worker::body::error::BodyError;
use crate::worker::body::spool::Storage;
use crate::worker::conn::deadline::Overdue;
use parking_lot::{Mutex, MutexGuard};
use std::io::Result as IoResult;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

/// What a thread waits for.
#[derive(Debug)]
pub struct Need {
    /// `None`: only for another thread of the same request.
    pub socket: Option<RawFd>,
    pub interest: Interest,
    pub waker: Option<Arc<Waker>>,
    /// Another thread may end the wait.
    pub is_shared: bool,
    pub timeout: Duration,
}

/// How a thread waits.
pub trait Wait: Send + Sync {
    /// Nothing is locked meanwhile. It may return `Woken` without a reason.
    fn wait(&self, need: &Need) -> IoResult<Ended>;
}

/// The thread does nothing else.
struct Blocking;

/// How long a thread waits that cannot be woken, since there was no descriptor left for its waker.
const UNWAKEABLE: Duration = Duration::from_millis(100);

impl Wait for Blocking {
    fn wait(&self, need: &Need) -> IoResult<Ended> {
        let cut = need.is_shared && need.waker.is_none() && need.timeout > UNWAKEABLE;
        let timeout = if cut { UNWAKEABLE } else { need.timeout };
        match wait::wait(need.socket, need.interest, need.waker.as_deref(), timeout)? {
            Ended::TimedOut if cut => Ok(Ended::Woken),
            ended => Ok(ended),
        }
    }
}

/// A request has ended, and what is left of it.
#[derive(Debug)]
pub struct Finished {
    /// The connection, with what is to be done with it.
    pub released: Option<Released>,
    pub outcome: Outcome,
    /// When.
    pub ended_us: u64,
}

/// A step of a read: `true` when it has all that it wants.
pub type ReadStep<'a> = dyn FnMut(&mut Body, &mut Client) -> Result<bool, BodyError> + 'a;

pub type Guard<'a> = MutexGuard<'a, Exchange>;

/// The exchange of a core, which its threads share with those of the application.
pub struct SharedExchange {
    exchange: Mutex<Exchange>,
    wait: Box<dyn Wait>,
}

/// What a wait is for.
#[derive(Clone, Copy)]
enum For {
    Read,
    Write,
    /// Another thread's read or write is under way.
    Turn,
}

/// Why a wait brought nothing.
enum Broken {
    /// The request is over.
    Over,
    TimedOut,
}

/// Until when a client has to do something: set by the first wait, since most requests have none, and anew by the first
/// wait after everything that the client does.
struct Patience {
    whole: Duration,
    until_us: Option<u64>,
}

impl Patience {
    #[inline]
    fn new(whole: Duration) -> Patience {
        Patience { whole, until_us: None }
    }

    fn renew(&mut self) {
        self.until_us = None;
    }

    fn left(&mut self) -> Duration {
        let now = clock::monotonic_us();
        let whole = u64::try_from(self.whole.as_micros()).unwrap_or(u64::MAX);
        let until = *self.until_us.get_or_insert(now.saturating_add(whole));
        Duration::from_micros(until.saturating_sub(now))
    }
}

impl SharedExchange {
    pub fn new(exchange: Exchange) -> SharedExchange {
        SharedExchange { exchange: Mutex::new(exchange), wait: Box::new(Blocking) }
    }

    /// For one step that does not wait. The holder never takes the GIL.
    #[inline]
    pub fn lock(&self) -> Guard<'_> {
        self.exchange.lock()
    }

    #[inline]
    pub fn try_lock(&self) -> Option<Guard<'_>> {
        self.exchange.try_lock()
    }

    /// The exchange, if it is still that of the request with this number.
    fn of(&self, serial: u64) -> Option<Guard<'_>> {
        Some(self.lock()).filter(|exchange| exchange.serial == serial)
    }

    /// Waits, with the exchange unlocked.
    fn pause<'a>(
        &'a self,
        mut exchange: Guard<'a>,
        what: For,
        patience: &mut Patience,
    ) -> Result<Guard<'a>, Broken> {
        let serial = exchange.serial;
        let need = exchange.need(what, patience.left());
        exchange.turns.waiting += 1;
        drop(exchange);
        let began = clock::monotonic_us();
        let ended = self.wait.wait(&need);
        let waited_us = clock::monotonic_us() - began;
        let mut exchange = self.lock();
        exchange.turns.waiting -= 1;
        if exchange.turns.waiting == 0 {
            exchange.turns.waker = None;
        }
        if exchange.serial != serial {
            return Err(Broken::Over);
        }
        exchange.note_wait(what, waited_us);
        match ended {
            Ok(Ended::Ready) => patience.renew(),
            Ok(Ended::Woken) => {}
            Ok(Ended::TimedOut) | Err(_) => return Err(Broken::TimedOut),
        }
        Ok(exchange)
    }

    // ── the body of the request ──

    /// One step of a read, if no other thread's read is under way; `None`: that was not enough, and there has to be a
    /// wait.
    pub fn read_now(&self, serial: u64, step: &mut ReadStep<'_>) -> Option<Result<(), BodyError>> {
        let mut exchange = self.try_lock()?;
        if exchange.serial != serial {
            return Some(Err(BodyError::Over));
        }
        if exchange.turns.reading || !exchange.body_is_invited() {
            return None;
        }
        match exchange.read_step(step) {
            Ok(false) => None,
            Ok(true) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        }
    }

    /// Reads until `step` has what it wants, behind the reads of other threads. Not while attached to the interpreter.
    pub fn read(&self, serial: u64, step: &mut ReadStep<'_>) -> Result<(), BodyError> {
        let mut exchange = self.of(serial).ok_or(BodyError::Over)?;
        let mut patience = Patience::new(exchange.limits.timeout);
        while exchange.turns.reading {
            exchange = self.pause(exchange, For::Turn, &mut patience).map_err(|broken| match broken {
                Broken::Over => BodyError::Over,
                Broken::TimedOut => BodyError::Busy,
            })?;
        }
        exchange.turns.reading = true;
        let (exchange, read) = self.read_in_turn(exchange, step);
        if let Some(mut exchange) = exchange {
            exchange.turns.reading = false;
            exchange.turns.wake_others();
        }
        read
    }

    /// `None` for the exchange: the request is over.
    fn read_in_turn<'a>(
        &'a self,
        mut exchange: Guard<'a>,
        step: &mut ReadStep<'_>,
    ) -> (Option<Guard<'a>>, Result<(), BodyError>) {
        let mut patience = Patience::new(exchange.limits.timeout);
        let mut read = exchange.invite_body();
        while read.is_ok() {
            match exchange.read_step(step) {
                Ok(false) => {}
                Ok(true) => break,
                Err(error) => {
                    read = Err(error);
                    break;
                }
            }
            let serial = exchange.serial;
            match self.pause(exchange, For::Read, &mut patience) {
                Ok(again) => exchange = again,
                Err(Broken::Over) => return (None, Err(BodyError::Over)),
                Err(Broken::TimedOut) => {
                    let Some(late) = self.of(serial) else { return (None, Err(BodyError::Over)) };
                    exchange = late;
                    read = exchange.body.fail(BodyError::TimedOut);
                }
            }
            if exchange.is_gone() {
                read = Err(BodyError::Closed);
            }
        }
        let read = exchange.after_read(read);
        (Some(exchange), read)
    }

    /// Reads the body as a whole before the app runs.
    pub fn buffer_body(&self, storage: Storage) -> Result<(), BodyError> {
        let serial = self.lock().serial;
        self.read(serial, &mut |body, client| body.gather(client, storage, u64::MAX))
    }

    // ── the answer ──

    /// Sends what [`Exchange::try_write`] has left of a piece. Not while attached to the interpreter.
    pub fn write_on(&self, serial: u64, bytes: &[u8], whole: bool, mut sent: Sent) -> Result<(), WriteError> {
        let Some(mut exchange) = self.of(serial) else {
            // The core has all of the piece, and has sent it with the end of the answer.
            let is_taken = matches!(sent, Sent::Part { at, end } if at == end);
            return if is_taken { Ok(()) } else { Err(WriteError::Over) };
        };
        if sent == Sent::Busy {
            exchange = self.write_turn(exchange)?;
            sent = exchange.try_write(bytes, whole)?;
        }
        match sent {
            Sent::Part { at, end } => self.write_rest(exchange, &bytes[at..end]),
            Sent::All | Sent::Busy => Ok(()),
        }
    }

    /// Waits until no other thread's piece is under way, as long as the client takes something of it.
    fn write_turn<'a>(&'a self, mut exchange: Guard<'a>) -> Result<Guard<'a>, WriteError> {
        let (serial, mut sent) = (exchange.serial, exchange.progress.sent);
        let mut patience = Patience::new(exchange.send_timeout());
        while exchange.turns.writing && !exchange.is_gone() {
            exchange = match self.pause(exchange, For::Turn, &mut patience) {
                Ok(exchange) => exchange,
                Err(Broken::Over) => return Err(WriteError::Over),
                Err(Broken::TimedOut) => {
                    let late = self.of(serial).filter(|late| late.progress.sent > sent);
                    patience.renew();
                    late.ok_or_else(|| self.overdue(serial))?
                }
            };
            sent = exchange.progress.sent;
        }
        Ok(exchange)
    }

    /// The client took nothing for too long.
    fn overdue(&self, serial: u64) -> WriteError {
        let Some(mut exchange) = self.of(serial) else { return WriteError::Over };
        exchange.give_up(Loss::Slow(Overdue::Silent));
        WriteError::Gone
    }

    /// Waits until the client takes more.
    fn pause_writing<'a>(
        &'a self,
        exchange: Guard<'a>,
        patience: &mut Patience,
    ) -> Result<Guard<'a>, WriteError> {
        let serial = exchange.serial;
        match self.pause(exchange, For::Write, patience) {
            Ok(mut exchange) => exchange.check_pace().map(|()| exchange).map_err(|Gone| WriteError::Gone),
            Err(Broken::Over) => Err(WriteError::Over),
            Err(Broken::TimedOut) => Err(self.overdue(serial)),
        }
    }

    fn write_rest<'a>(&'a self, mut exchange: Guard<'a>, mut rest: &[u8]) -> Result<(), WriteError> {
        let mut patience = Patience::new(exchange.send_timeout());
        loop {
            rest = &rest[exchange.send_with(rest)?..];
            if exchange.take_over(rest) {
                exchange.end_turn();
                return Ok(());
            }
            exchange.turns.held_back = rest.len();
            exchange = match self.pause_writing(exchange, &mut patience) {
                // The core has all of the piece, and sends it with the end of the answer.
                Err(WriteError::Over) if rest.is_empty() => return Ok(()),
                paused => paused?,
            };
        }
    }

    /// Sends `length` bytes of a file from `offset`. Not while attached to the interpreter. What the client does not
    /// take now is left to the connection table where that is allowed.
    pub fn send_file(
        &self,
        serial: u64,
        file: BorrowedFd<'_>,
        offset: u64,
        length: u64,
    ) -> Result<(), WriteError> {
        let exchange = self.of(serial).ok_or(WriteError::Over)?;
        let mut exchange = self.write_turn(exchange)?;
        exchange.begin_file(file, offset, length)?;
        let mut patience = Patience::new(exchange.send_timeout());
        while !exchange.send_file_step()? {
            exchange = self.pause_writing(exchange, &mut patience)?;
        }
        if exchange.unsent.queue.is_empty() {
            exchange.end_turn();
        }
        Ok(())
    }

    /// Sends the end of an answer that is complete. Not while attached to the interpreter.
    pub fn send_end(&self, serial: u64) {
        let Some(exchange) = self.of(serial) else { return };
        if let Ok(mut exchange) = self.send_up_to_room(exchange) {
            exchange.show_end();
        }
    }

    /// Sends until no more is left than may be.
    fn send_up_to_room<'a>(&'a self, mut exchange: Guard<'a>) -> Result<Guard<'a>, WriteError> {
        let mut patience = Patience::new(exchange.send_timeout());
        while !exchange.is_gone() && !exchange.is_flushed() {
            exchange.send_some()?;
            if exchange.leaves_little() {
                break;
            }
            exchange = self.pause_writing(exchange, &mut patience)?;
        }
        Ok(exchange)
    }

    /// Ends the request for all threads: sends what is left, waiting for the client where the connection table may not,
    /// and hands back the connection. Not while attached to the interpreter.
    pub fn finish(&self) -> Finished {
        let mut exchange = self.lock();
        exchange.end_for_others();
        let (is_counted, waited_us) = (exchange.is_counted(), exchange.progress.client_us);
        let mut exchange = self.send_up_to_room(exchange).unwrap_or_else(|_| self.lock());
        let ended_us = exchange.count_end(is_counted, waited_us);
        let released = exchange.release();
        Finished { released, outcome: exchange.outcome(), ended_us }
    }
}

impl Exchange {
    /// Several threads of the application may wait at the same time.
    fn note_wait(&mut self, what: For, waited_us: u64) {
        let slot = self.home.slot;
        match what {
            For::Read => slot.receiving_us().fetch_add(waited_us, Relaxed),
            For::Write => {
                self.progress.waited += Duration::from_micros(waited_us);
                slot.sending_us().fetch_add(waited_us, Relaxed)
            }
            For::Turn => return,
        };
        self.progress.client_us += waited_us;
    }

    fn need(&mut self, what: For, timeout: Duration) -> Need {
        // The core waits for its client until that does something: it alone would end the request.
        let is_shared = matches!(what, For::Turn) || thread::current().id() != self.home.thread;
        if is_shared && self.turns.waker.is_none() {
            self.turns.waker = Waker::new().ok().map(Arc::new);
        }
        let interest = match what {
            For::Read => Interest { read: true, write: self.owes_interim() },
            For::Write => Interest { read: false, write: true },
            For::Turn => Interest::default(),
        };
        let socket = self.client.as_ref().filter(|_| interest != Interest::default());
        Need {
            socket: socket.map(|client| client.as_fd().as_raw_fd()),
            interest,
            waker: self.turns.waker.clone().filter(|_| is_shared),
            is_shared,
            timeout,
        }
    }
}

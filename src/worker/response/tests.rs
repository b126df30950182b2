//! An exchange on a socket pair, without a worker around it.

use super::wait::{Finished, SharedExchange};
use super::*;
use crate::base::date::http_date;
use crate::proto::http::Body as Announced;
use crate::shm::scoreboard::{Phase, Scoreboard};
use crate::worker::body::reader::Want;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::sync::mpsc;

/// More than the buffers of a socket pair take.
const LARGE: usize = 4 << 20;
const SHORT_WAIT: Duration = Duration::from_millis(20);
const LONG_WAIT: Duration = Duration::from_secs(60);
const HTTP: Speaks = Speaks::Http { minor: 1, keep_alive: true, date: [b'0'; 29] };
const HTTP_1_0: Speaks = Speaks::Http { minor: 0, keep_alive: false, date: [b'0'; 29] };

struct Served {
    exchange: SharedExchange,
    slot: CoreSlot,
}

impl Served {
    fn new(change: impl FnOnce(&mut Settings)) -> Served {
        let mut settings = Settings::default();
        change(&mut settings);
        let scoreboard = Scoreboard::new(1, 1).unwrap();
        let slot = scoreboard.core(0, 0);
        let bounds_us = settings.instance.metrics_buckets.clone();
        let counting = Counting { answers: scoreboard.answers(0, 0, 0), is_shared: false, bounds_us };
        let exchange = Exchange::new(slot, scoreboard.worker(0), Arc::new(settings), counting);
        Served { exchange: SharedExchange::new(exchange), slot }
    }

    /// Begins a request without a body, and returns its number and its client.
    fn begin_as(&self, speaks: Speaks, limits: Limits, is_head: bool) -> (u64, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let client = Client::plain(ours.into());
        self.slot.begin(client.scoreboard_word(), 0, 0, b"GET", b"/");
        let mut exchange = self.exchange.lock();
        exchange.begin(client, speaks, limits, b"HTTP/1.1", is_head);
        exchange.body.begin(Announced::None, 0, b"");
        (exchange.serial, theirs)
    }

    fn begin(&self, speaks: Speaks) -> (u64, UnixStream) {
        self.begin_as(speaks, Limits { room: 0, timeout: LONG_WAIT }, false)
    }

    /// `headers`: name, value, name, value.
    fn start(&self, headers: &[&str]) {
        let mut exchange = self.exchange.lock();
        exchange.start(b"200 OK").unwrap();
        for pair in headers.chunks(2) {
            exchange.head.header(pair[0].as_bytes(), pair[1].as_bytes()).unwrap();
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<Sent, WriteError> {
        self.exchange.lock().try_write(bytes, false)
    }

    fn finish(&self) -> (After, Outcome) {
        self.exchange.lock().complete();
        let Finished { released, outcome, .. } = self.exchange.finish();
        self.slot.end();
        (released.unwrap().after, outcome)
    }

    fn read(&self, serial: u64, most: u64) -> Result<Vec<u8>, BodyError> {
        let (mut out, mut want) = (Vec::new(), Want { most, line: false });
        let read = self.exchange.read(serial, &mut |body, client| body.read(client, &mut want, &mut out));
        read.map(|()| out)
    }
}

/// What the client gets until the connection is closed for sending.
fn received(mut client: UnixStream) -> String {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// The same without what stands before the body.
fn body_of(client: UnixStream) -> String {
    let all = received(client);
    all.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{all}")).1.to_owned()
}

// Begin, answer, end.

#[test]
fn an_answer_that_is_known_as_a_whole_has_a_length_and_keeps_its_connection() {
    let served = Served::new(|_| {});
    let date = http_date(0);
    let (_, client) = served.begin(Speaks::Http { minor: 1, keep_alive: true, date });
    served.start(&["X-Test", "1"]);
    assert_eq!(served.exchange.lock().try_write(b"hello", true), Ok(Sent::All));
    let (after, outcome) = served.finish();
    assert!(matches!(after, After::Keep));
    assert_eq!(
        received(client),
        "HTTP/1.1 200 OK\r\nX-Test: 1\r\nContent-Length: 5\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\nhello"
    );
    assert_eq!((outcome.end, outcome.code, outcome.headers), (End::Complete, 200, 1));
    assert_eq!((outcome.body_bytes, outcome.head_bytes), (5, 86));
}

#[test]
fn pieces_of_unknown_length_are_chunks_or_end_with_the_connection() {
    let served = Served::new(|_| {});
    for (speaks, expected) in
        [(HTTP, "3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"), (HTTP_1_0, "onethree"), (Speaks::Uwsgi, "onethree")]
    {
        let (_, client) = served.begin(speaks);
        served.start(&[]);
        assert_eq!([served.write(b"one"), served.write(b"three")], [Ok(Sent::All); 2]);
        let (after, _) = served.finish();
        assert_eq!(
            (matches!(after, After::Keep), matches!(after, After::Close)),
            (speaks == HTTP, speaks != HTTP)
        );
        assert_eq!(body_of(client), expected);
    }
}

#[test]
fn a_uwsgi_answer_begins_with_the_protocol_of_its_request() {
    let served = Served::new(|_| {});
    let (_, client) = served.begin(Speaks::Uwsgi);
    served.start(&["A", "b"]);
    served.finish();
    assert_eq!(received(client), "HTTP/1.1 200 OK\r\nA: b\r\n\r\n");
}

#[test]
fn nothing_goes_beyond_a_content_length() {
    let served = Served::new(|_| {});
    let (_, client) = served.begin(HTTP);
    served.start(&["Content-Length", "4"]);
    assert_eq!(served.write(b"12345"), Ok(Sent::All));
    assert_eq!(served.write(b"6"), Err(WriteError::Complete));
    let (after, outcome) = served.finish();
    assert!(matches!(after, After::Keep));
    assert_eq!((outcome.body_bytes, body_of(client)), (4, "1234".to_owned()));
}

#[test]
fn an_answer_that_is_shorter_than_announced_ends_its_connection() {
    let served = Served::new(|_| {});
    let (_, client) = served.begin(HTTP);
    served.start(&["Content-Length", "4"]);
    assert_eq!(served.write(b"12"), Ok(Sent::All));
    assert!(matches!(served.finish(), (After::Close, _)));
    assert_eq!(body_of(client), "12");
}

#[test]
fn the_answer_to_a_head_request_has_no_body() {
    let served = Served::new(|_| {});
    let (_, client) = served.begin_as(HTTP, Limits { room: 0, timeout: LONG_WAIT }, true);
    served.start(&["Content-Length", "4"]);
    assert_eq!(served.write(b"1234"), Ok(Sent::All));
    assert!(served.exchange.lock().is_answered_head());
    assert!(matches!(served.finish(), (After::Keep, Outcome { body_bytes: 0, .. })));
    assert_eq!(body_of(client), "");
}

#[test]
fn a_request_begins_without_anything_of_the_one_before() {
    let served = Served::new(|_| {});
    let limits = Limits { room: LARGE, timeout: LONG_WAIT };
    let (first, client) = served.begin_as(HTTP, limits, true);
    served.start(&["A", "b", "Content-Length", "10"]);
    served.exchange.lock().body.begin(Announced::Length(3), 0, b"a");
    assert_eq!(served.write(b"12"), Ok(Sent::All));
    served.exchange.lock().abort();
    drop(client);
    let (_, outcome) = served.finish();
    assert_eq!((outcome.end, outcome.code), (End::BrokenOff, 200));

    let (second, client) = served.begin(HTTP);
    assert!(second > first);
    let exchange = served.exchange.lock();
    let Outcome { end, code, headers, head_bytes, body_bytes, send_timeout, .. } = exchange.outcome();
    assert_eq!((end, code, headers, head_bytes, body_bytes), (End::Open, 0, 0, 0, 0));
    assert_eq!((exchange.limits.room, send_timeout), (0, LONG_WAIT));
    assert!(!exchange.head_sent() && !exchange.is_answered_head() && exchange.body.is_drained());
    drop(exchange);
    served.start(&[]);
    assert_eq!(served.write(b"x"), Ok(Sent::All));
    served.finish();
    assert_eq!(body_of(client), "1\r\nx\r\n0\r\n\r\n");
}

#[test]
fn an_answer_that_breaks_off_has_no_end() {
    let served = Served::new(|_| {});
    let (_, client) = served.begin(HTTP);
    served.start(&[]);
    assert_eq!(served.write(b"1"), Ok(Sent::All));
    served.exchange.lock().abort();
    assert_eq!(served.write(b"2"), Err(WriteError::Over));
    let (after, outcome) = served.finish();
    assert!(matches!(after, After::Close) && outcome.end == End::BrokenOff);
    assert_eq!(body_of(client), "1\r\n1\r\n");
}

#[test]
fn a_text_of_the_servers_own_takes_the_place_of_what_was_set() {
    let served = Served::new(|_| {});
    for (speaks, length) in [(HTTP, "Content-Length: 22\r\n"), (Speaks::Uwsgi, "Content-Length: 22\r\n")] {
        let (_, client) = served.begin(speaks);
        served.start(&["Content-Length", "1000"]);
        served.exchange.lock().answer_plain(500);
        assert!(matches!(served.finish(), (After::Close, Outcome { code: 500, .. })));
        let answer = received(client);
        assert!(answer.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{answer}");
        assert!(answer.contains(length) && answer.ends_with("\r\n\r\nInternal Server Error\n"), "{answer}");
    }
}

#[test]
fn a_body_that_nobody_read_is_thrown_away_or_ends_the_connection() {
    let served = Served::new(|_| {});
    for has_come in [true, false] {
        let (_, mut client) = served.begin(HTTP);
        served.exchange.lock().body.begin(Announced::Length(4), 0, b"ab");
        if has_come {
            client.write_all(b"cd").unwrap();
        }
        served.start(&[]);
        assert_eq!(served.exchange.lock().try_write(b"x", true), Ok(Sent::All));
        let (after, _) = served.finish();
        assert_eq!((matches!(after, After::Keep), matches!(after, After::ReadOn)), (has_come, !has_come));
    }
}

#[test]
fn a_client_that_has_gone_gets_nothing() {
    let served = Served::new(|_| {});
    let (_, client) = served.begin(HTTP);
    drop(client);
    served.start(&[]);
    assert_eq!(served.write(b"1"), Err(WriteError::Gone));
    assert!(matches!(served.finish(), (After::Close, Outcome { end: End::Gone(Loss::Left), .. })));
}

// Answers that harakiri gives in the place of the request's thread.

#[test]
fn a_request_that_was_answered_in_its_place_sends_nothing() {
    let served = Served::new(|_| {});
    let (_, client) = served.begin(HTTP);
    served.slot.answer_instead(|_| true);
    served.start(&[]);
    assert_eq!(served.write(b"1"), Err(WriteError::Gone));
    assert!(matches!(served.finish(), (After::Close, Outcome { end: End::Gone(Loss::Left), .. })));
    assert_eq!(received(client), "");
}

#[test]
fn a_client_stays_until_it_has_the_answer_that_is_given_in_its_place() {
    let served = Served::new(|_| {});
    let (_, _client) = served.begin(HTTP);
    served.start(&[]);
    let has_answered = AtomicBool::new(false);
    let (claimed, is_claimed) = mpsc::channel();
    let (tries, is_tried) = mpsc::channel();
    thread::scope(|scope| {
        let (served, has_answered) = (&served, &has_answered);
        scope.spawn(move || {
            served.slot.answer_instead(|_| {
                claimed.send(()).unwrap();
                is_tried.recv().unwrap();
                has_answered.store(true, Release);
                true
            });
        });
        is_claimed.recv().unwrap();
        assert_eq!(served.slot.phase(), Phase::Expired);
        tries.send(()).unwrap();
        assert_eq!(served.write(b"1"), Err(WriteError::Gone));
        assert!(has_answered.load(Acquire));
    });
}

// Clients that do not read.

#[test]
fn the_end_of_an_answer_is_left_to_the_connection_table() {
    let served = Served::new(|_| {});
    let (serial, client) = served.begin_as(HTTP, Limits { room: LARGE, timeout: LONG_WAIT }, false);
    served.start(&[]);
    let body = vec![b'x'; LARGE];
    let sent = served.exchange.lock().try_write(&body, true).unwrap();
    assert!(matches!(sent, Sent::Part { at, end: LARGE } if at < LARGE));
    assert_eq!(served.exchange.write_on(serial, &body, true, sent), Ok(()));
    let (after, outcome) = served.finish();
    let After::Send(queue, true) = after else { panic!("{after:?}") };
    assert_eq!((outcome.end, outcome.body_bytes), (End::Complete, LARGE as u64));
    assert_eq!(body_of(client).len() + queue.len() as usize, LARGE);
}

#[test]
fn a_client_that_reads_nothing_is_given_up() {
    let served = Served::new(|_| {});
    let (serial, _client) = served.begin_as(HTTP, Limits { room: 0, timeout: SHORT_WAIT }, false);
    served.start(&[]);
    let body = vec![b'x'; LARGE];
    let sent = served.exchange.lock().try_write(&body, true).unwrap();
    assert_eq!(served.exchange.write_on(serial, &body, true, sent), Err(WriteError::Gone));
    let (after, outcome) = served.finish();
    assert!(matches!(after, After::Close));
    assert_eq!(outcome.end, End::Gone(Loss::Slow(Overdue::Silent)));
}

#[test]
fn the_end_waits_for_a_client_that_reads_slowly_and_is_shown_to_it() {
    let served = Served::new(|settings| settings.requests.send_timeout = Some(LONG_WAIT));
    let (serial, mut client) = served.begin(HTTP_1_0);
    served.start(&[]);
    let body = vec![b'x'; LARGE];
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        client.read_to_end(&mut all).unwrap();
        all.len()
    });
    let sent = served.write(&body).unwrap();
    assert_eq!(served.exchange.write_on(serial, &body, false, sent), Ok(()));
    assert!(served.exchange.lock().complete());
    served.exchange.send_end(serial);
    // The client reads the end although the request has not ended.
    let (_, outcome) = (reader.join().unwrap(), served.exchange.lock().outcome());
    assert_eq!((outcome.end, outcome.body_bytes), (End::Complete, LARGE as u64));
    served.finish();
}

#[test]
fn the_end_of_another_request_is_not_sent() {
    let served = Served::new(|_| {});
    let (serial, mut client) = served.begin(HTTP_1_0);
    served.start(&[]);
    assert_eq!(served.exchange.lock().try_write(b"x", true), Ok(Sent::All));
    served.exchange.send_end(serial + 1);
    client.set_nonblocking(true).unwrap();
    assert!(client.read(&mut [0; 1]).is_err());
    served.exchange.send_end(serial);
    assert!(client.read(&mut [0; 1]).is_ok());
}

// The body.

#[test]
fn a_body_is_read_to_its_end_while_it_comes() {
    let served = Served::new(|_| {});
    let (serial, mut client) = served.begin(HTTP);
    served.exchange.lock().body.begin(Announced::Length(6), 0, b"ab");
    let writer = thread::spawn(move || {
        client.write_all(b"cd").unwrap();
        client.write_all(b"efgh").unwrap();
        client
    });
    assert_eq!(served.read(serial, 100).unwrap(), b"abcdef");
    assert_eq!(served.read(serial, 100).unwrap(), b"");
    assert_eq!(served.read(serial + 1, 100), Err(BodyError::Over));
    writer.join().unwrap();
}

#[test]
fn a_client_that_waits_to_be_told_is_told_once() {
    let served = Served::new(|_| {});
    let (serial, client) = served.begin_as(HTTP, Limits { room: 0, timeout: SHORT_WAIT }, false);
    {
        let mut exchange = served.exchange.lock();
        exchange.body.begin(Announced::Length(3), 0, b"");
        exchange.expect_continue();
    }
    assert!(served.exchange.read_now(serial, &mut |_, _| Ok(true)).is_none());
    assert_eq!(served.read(serial, 3), Err(BodyError::TimedOut));
    assert_eq!(served.read(serial, 3), Err(BodyError::TimedOut));
    assert_eq!(served.exchange.lock().body_fault(), Some(BodyError::TimedOut));
    // The interim answer is not the answer: harakiri may still give that.
    assert_eq!(served.slot.phase(), Phase::Running);
    drop(served);
    assert_eq!(received(client), "HTTP/1.1 100 Continue\r\n\r\n");
}

#[test]
fn a_client_that_stops_in_its_body_has_closed() {
    let served = Served::new(|_| {});
    let (serial, client) = served.begin(HTTP);
    served.exchange.lock().body.begin(Announced::Length(6), 0, b"ab");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(served.read(serial, 100), Err(BodyError::Closed));
}

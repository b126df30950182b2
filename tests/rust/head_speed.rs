//! How long a request head takes, beside httparse in the same process. Run with
//! `cargo test --release --no-default-features --test head_speed -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::Instant;

use rwsgi::proto::http::{self, Head, Limits, Progress, Request, environ, framing};

const HELLO: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n";
const LOAD: &[u8] = b"GET /plaintext?n=1 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: wrk/4.2\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n";
const BROWSER: &[u8] = b"GET /articles/2024/05/a-title-of-some-length/?page=2&order=-date HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    Connection: keep-alive\r\n\
    Cache-Control: max-age=0\r\n\
    sec-ch-ua: \"Chromium\";v=\"124\", \"Google Chrome\";v=\"124\", \"Not-A.Brand\";v=\"99\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-User: ?1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Referer: https://www.example.com/articles/2024/05/\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: csrftoken=q8MzXJ2cC5V1n0aYt7RkLwP3sDfGhJkL; sessionid=7h2k9s8d7f6g5h4j3k2l1m0n9b8v7c6x\r\n\r\n";

/// Nanoseconds a call, the best of several rounds: what others do on the machine only ever adds.
fn nanoseconds(mut work: impl FnMut()) -> f64 {
    const CALLS: u32 = 50_000;
    let round = |_| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| work());
        start.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    (0..20).map(round).fold(f64::INFINITY, f64::min)
}

fn with_httparse(head: &[u8]) -> f64 {
    nanoseconds(|| {
        let mut headers = [const { std::mem::MaybeUninit::uninit() }; 100];
        let mut request = httparse::Request::new(&mut []);
        let parsed = request.parse_with_uninit_headers(black_box(head), &mut headers).unwrap();
        assert!(parsed.is_complete());
        black_box(&request);
    })
}

/// What every loop around httparse must add: the fields that frame the request, and the names that CGI gives to all.
fn with_httparse_loop(head: &[u8]) -> f64 {
    let mut name = Vec::new();
    nanoseconds(|| {
        let mut headers = [const { std::mem::MaybeUninit::uninit() }; 100];
        let mut request = httparse::Request::new(&mut []);
        assert!(request.parse_with_uninit_headers(black_box(head), &mut headers).unwrap().is_complete());
        let (mut hosts, mut lengths, mut codings, mut close) = (0, 0, 0, false);
        for header in request.headers.iter() {
            let is = |wanted: &str| header.name.eq_ignore_ascii_case(wanted);
            if is("host") {
                hosts += 1;
            } else if is("content-length") {
                lengths += 1;
            } else if is("transfer-encoding") {
                codings += 1;
            } else if is("connection") {
                close |= header.value.eq_ignore_ascii_case(b"close");
            }
            name.clear();
            name.extend_from_slice(b"HTTP_");
            name.extend(
                header.name.bytes().map(|byte| if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() }),
            );
            black_box((&name, header.value));
        }
        black_box((request.method, request.path, hosts, lengths, codings, close));
    })
}

fn with_own(head: &[u8], mut then: impl FnMut(&Request)) -> f64 {
    let (limits, mut parsed) = (Limits::default(), Head::default());
    nanoseconds(|| {
        let buf = black_box(head);
        assert!(http::head::parse(buf, &limits, &mut Progress::default(), &mut parsed).unwrap().is_some());
        then(&Request::new(buf, &parsed));
    })
}

#[test]
#[ignore = "a measurement, not a check"]
fn beside_httparse() {
    for (name, head) in [("hello", HELLO), ("load generator", LOAD), ("browser", BROWSER)] {
        let httparse = with_httparse(head);
        let parse = with_own(head, |request| {
            black_box(request);
        });
        let decide = with_own(head, |request| {
            black_box(framing::decide(request).unwrap());
        });
        let (connection, mut scratch) = (environ::Connection::default(), Vec::new());
        let all = with_own(head, |request| {
            black_box(framing::decide(request).unwrap());
            environ::for_each(
                request,
                &connection,
                environ::Options::default(),
                &mut scratch,
                |name, value| {
                    black_box((name, value));
                },
            );
        });
        let httparse_loop = with_httparse_loop(head);
        println!(
            "{name:15} {:4} bytes: parse {parse:6.1} ns, httparse {httparse:6.1} ns, ratio {:.2}; with framing {decide:6.1} ns; \
             with framing and CGI names {all:6.1} ns, httparse {httparse_loop:6.1} ns, ratio {:.2}",
            head.len(),
            parse / httparse,
            all / httparse_loop,
        );
    }
}

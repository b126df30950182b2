//! What an application says, and what goes out.

use super::*;

const EXCHANGE: Exchange<'static> =
    Exchange { minor: 1, is_head: false, keep_alive: true, length: None, date: b"D", server: b"" };

fn http(status: &str, headers: &[(&str, &str)], exchange: &Exchange) -> Result<(String, Settled), HeadError> {
    let mut head = ResponseHead::default();
    head.start_http(status.as_bytes())?;
    headers.iter().try_for_each(|(name, value)| head.header(name.as_bytes(), value.as_bytes()))?;
    let settled = head.finish(exchange);
    Ok((String::from_utf8(head.bytes().to_vec()).unwrap(), settled))
}

fn delivery(status: &str, headers: &[(&str, &str)], exchange: &Exchange) -> (Delivery, bool) {
    let (_, settled) = http(status, headers, exchange).unwrap();
    (settled.delivery, settled.keep_alive)
}

#[test]
fn a_uwsgi_answer_is_left_alone() {
    for (protocol, status, line) in [
        ("HTTP/1.1", "200 OK", "HTTP/1.1 200 OK"),
        ("", "204", "HTTP/1.0 204 No Content"),
        ("HTTP/1.1", "413 ", "HTTP/1.1 413 Request Entity Too Large"),
        ("HTTP/1.1", "299", "HTTP/1.1 299 Unknown"),
        ("HTTP/1.1", "200 \u{e9}", "HTTP/1.1 200 \u{e9}"),
    ] {
        let mut head = ResponseHead::default();
        head.start_uwsgi(protocol.as_bytes(), status.as_bytes()).unwrap();
        head.header(b"Transfer-Encoding", b"chunked").unwrap();
        head.finish_uwsgi(false);
        assert_eq!(
            String::from_utf8(head.bytes().to_vec()).unwrap(),
            format!("{line}\r\nTransfer-Encoding: chunked\r\n\r\n")
        );
    }
}

#[test]
fn an_http_answer_is_completed() {
    let (text, settled) = http("200 OK", &[("Content-Type", "t")], &EXCHANGE).unwrap();
    assert_eq!(text, "HTTP/1.1 200 OK\r\nContent-Type: t\r\nTransfer-Encoding: chunked\r\nDate: D\r\n\r\n");
    assert_eq!(settled, Settled { delivery: Delivery::Chunked, keep_alive: true });
    let known = Exchange { length: Some(12), server: b"rwsgi", keep_alive: false, ..EXCHANGE };
    let (text, _) = http("200 OK", &[("date", "mine")], &known).unwrap();
    let expected = "date: mine\r\nContent-Length: 12\r\nServer: rwsgi\r\nConnection: close\r\n\r\n";
    assert_eq!(text, format!("HTTP/1.1 200 OK\r\n{expected}"));
}

#[test]
fn delivery_and_connection() {
    let old = Exchange { minor: 0, ..EXCHANGE };
    let length = [("content-length", "5")];
    assert_eq!(delivery("200 OK", &length, &EXCHANGE), (Delivery::Length(5), true));
    assert_eq!(delivery("200 OK", &length, &old), (Delivery::Length(5), true));
    assert_eq!(delivery("200 OK", &[], &old), (Delivery::UntilClose, false));
    assert_eq!(delivery("304", &length, &EXCHANGE), (Delivery::Nothing, true));
    assert_eq!(delivery("200 OK", &[], &Exchange { is_head: true, ..EXCHANGE }), (Delivery::Nothing, true));
    assert_eq!(delivery("200 OK", &[("Connection", "x, Close")], &EXCHANGE), (Delivery::Chunked, false));
    let (text, _) = http("200 OK", &length, &old).unwrap();
    assert!(text.contains("Connection: keep-alive\r\n"), "{text}");
    let (text, _) = http("204 No Content", &length, &EXCHANGE).unwrap();
    assert_eq!(text, "HTTP/1.1 204 No Content\r\nDate: D\r\n\r\n");
}

#[test]
fn what_belongs_to_the_connection_is_left_out() {
    let names = ["transfer-encoding", "Keep-Alive", "TE", "Trailer", "Connection"];
    let headers = names.map(|name| (name, "chunked"));
    let (text, settled) = http("200 OK", &headers, &EXCHANGE).unwrap();
    assert_eq!(text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nDate: D\r\n\r\n");
    assert_eq!(settled, Settled { delivery: Delivery::Chunked, keep_alive: true });
    let mut head = ResponseHead::default();
    head.start_http(b"200 OK").unwrap();
    assert!(!head.has_set_coding());
    head.header(b"Transfer-Encoding", b"chunked").unwrap();
    assert!(head.has_set_coding() && head.headers() == 0);
}

#[test]
fn a_head_has_a_limit() {
    let mut head = ResponseHead::new(100);
    head.start_http(b"200 OK").unwrap();
    head.header(b"A", &[b'x'; 60]).unwrap();
    assert_eq!(head.header(b"A", &[b'x'; 60]), Err(HeadError::TooLong(100)));
}

#[test]
fn what_would_split_an_answer_is_refused() {
    for status in [
        "", "20", "20x OK", "2000 OK", "200OK", "099 X", "200 a\rb", "200 a\nb", "200 a\0", "-20 a", "101 Up",
    ] {
        assert_eq!(http(status, &[], &EXCHANGE), Err(HeadError::Status), "{status:?}");
    }
    for name in ["", "a b", "a:", "a\r", "a\n", "\u{e9}"] {
        assert_eq!(http("200 OK", &[(name, "v")], &EXCHANGE), Err(HeadError::Name), "{name:?}");
    }
    for value in ["a\rb", "a\nb", "\0", "a\r\nSet-Cookie: x", "\x7f"] {
        assert_eq!(http("200 OK", &[("A", value)], &EXCHANGE), Err(HeadError::Value), "{value:?}");
    }
    for headers in [&[("Content-Length", "5x")][..], &[("Content-Length", "5"), ("content-length", "5")]] {
        assert_eq!(http("200 OK", headers, &EXCHANGE), Err(HeadError::Length));
    }
    assert!(ResponseHead::default().start_uwsgi(b"HTTP/1.1\r\nA: b", b"200 OK").is_err());
}

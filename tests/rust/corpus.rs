//! Feeds each file of tests/corpus whole, by line and byte by byte, and compares what came of it with its `.expect` file
//! (tests/corpus/README.md). Then does the same with mutations of all of them, which only have to agree with themselves.

use std::fmt::Debug;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rwsgi::proto::http::Body;
use rwsgi::proto::http::forwarded::origin;
use rwsgi::proto::uwsgi::{BlockError, PacketError};

#[path = "../fuzz/drive.rs"]
mod drive;

use drive::{End, Message};

/// The lines of an `.expect` file; an empty line begins the next request.
struct Expectation {
    requests: Vec<Vec<(String, Vec<u8>)>>,
}

impl Expectation {
    fn read(path: &Path) -> Expectation {
        let text = std::fs::read_to_string(path).unwrap();
        let line = |line: &str| {
            let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("{}: {line}", path.display()));
            (key.to_owned(), unescape(value))
        };
        Expectation { requests: text.split("\n\n").map(|block| block.lines().map(line).collect()).collect() }
    }

    fn of(&self, request: usize) -> Lines<'_> {
        Lines(&self.requests[request])
    }
}

struct Lines<'a>(&'a [(String, Vec<u8>)]);

impl Lines<'_> {
    fn all(&self, wanted: &str) -> Vec<&[u8]> {
        self.0.iter().filter(|(key, _)| key == wanted).map(|(_, value)| value.as_slice()).collect()
    }

    fn one(&self, wanted: &str) -> Option<&str> {
        self.all(wanted).first().map(|value| std::str::from_utf8(value).unwrap())
    }
}

/// `\\`, `\r`, `\n`, `\t` and `\xNN` stand for bytes; everything else is ASCII.
fn unescape(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let [byte, tail @ ..] = rest {
        let (value, used) = match (byte, tail) {
            (b'\\', [b'x', high, low, ..]) => {
                let digits = [*high, *low];
                (u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap(), 4)
            }
            (b'\\', [b'r', ..]) => (b'\r', 2),
            (b'\\', [b'n', ..]) => (b'\n', 2),
            (b'\\', [b't', ..]) => (b'\t', 2),
            (b'\\', [b'\\', ..]) => (b'\\', 2),
            (byte, _) => (*byte, 1),
        };
        out.push(value);
        rest = &rest[used..];
    }
    out
}

/// The files of a folder with this extension, in order.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

/// Feeds the bytes of each file in three ways, which must agree, and hands over the outcome.
fn replay<T: PartialEq + Debug>(
    folder: &str,
    extension: &str,
    run: fn(&mut dyn Iterator<Item = &[u8]>) -> T,
    check: impl Fn(&str, &Expectation, T),
) -> usize {
    let files = files(folder, extension);
    for path in &files {
        let name = path.file_stem().unwrap().to_string_lossy();
        let bytes = std::fs::read(path).unwrap();
        let whole = run(&mut std::iter::once(&bytes[..]));
        assert_eq!(run(&mut drive::lines(&bytes)), whole, "{name}: by line");
        assert_eq!(run(&mut drive::single(&bytes)), whole, "{name}: byte by byte");
        let expectation = Expectation::read(&path.with_extension("expect"));
        assert!(expectation.of(0).one("clause").is_some(), "{name}: no clause");
        check(&name, &expectation, whole);
    }
    files.len()
}

fn http(pieces: &mut dyn Iterator<Item = &[u8]>) -> (Vec<Message>, End) {
    drive::http(pieces)
}

fn uwsgi(pieces: &mut dyn Iterator<Item = &[u8]>) -> Result<Option<drive::Packet>, PacketError> {
    drive::uwsgi(pieces)
}

fn joined(pairs: &[(Vec<u8>, Vec<u8>)], separator: &[u8]) -> Vec<Vec<u8>> {
    pairs.iter().map(|(name, value)| [name, separator, value].concat()).collect()
}

#[test]
fn valid_http() {
    let count = replay("http/valid", "http", http, |name, expectation, (messages, end)| {
        assert_eq!(end, End::Clean, "{name}");
        assert_eq!(messages.len(), expectation.requests.len(), "{name}: requests");
        for (at, message) in messages.iter().enumerate() {
            check_message(&format!("{name} #{at}"), message, &expectation.of(at));
        }
    });
    assert!(count >= 100, "{count}");
}

fn check_message(name: &str, message: &Message, expected: &Lines) {
    let framing = message.framing;
    let body = match framing.body {
        Body::None => "none",
        Body::Length(_) => "length",
        Body::Chunked => "chunked",
    };
    assert_eq!(
        [&message.method[..], &message.target],
        [expected.all("method")[0], expected.all("target")[0]],
        "{name}"
    );
    assert_eq!(Some(&*format!("1.{}", message.minor)), expected.one("version"), "{name}");
    assert_eq!(Some(body), expected.one("framing"), "{name}");
    assert_eq!(message.body, expected.all("body").concat(), "{name}: body");
    assert_eq!(Some(if framing.keep_alive { "yes" } else { "no" }), expected.one("keep-alive"), "{name}");
    assert_eq!(framing.expect_continue, expected.one("continue").is_some(), "{name}: continue");
    let headers: Vec<Vec<u8>> =
        expected.all("header").iter().map(|line| line.trim_ascii_end().to_vec()).collect();
    let fields = joined(&message.fields, b": ");
    assert_eq!(
        fields.iter().map(|line| line.trim_ascii_end()).collect::<Vec<_>>(),
        headers,
        "{name}: headers"
    );
    let cgi = joined(&message.cgi, b"=");
    for wanted in expected.all("cgi") {
        assert!(cgi.iter().any(|line| line == wanted), "{name}: {}", wanted.escape_ascii());
    }
    for unwanted in expected.all("no-cgi") {
        assert!(message.cgi.iter().all(|(name, _)| name != unwanted), "{name}: {}", unwanted.escape_ascii());
    }
}

#[test]
fn invalid_http() {
    let count = replay("http/invalid", "http", http, |name, expectation, (messages, end)| {
        let expected = expectation.of(0);
        let status = match end {
            End::Clean => panic!("{name}: nobody refused it"),
            End::Incomplete => "incomplete".to_owned(),
            End::Refused(reject) => reject.status.to_string(),
        };
        assert_eq!(Some(&*status), expected.one("status"), "{name}: {end:?}");
        assert_eq!(messages.len().to_string(), expected.one("served").unwrap_or("0"), "{name}: served");
    });
    assert!(count >= 150, "{count}");
}

#[test]
fn valid_uwsgi() {
    replay("uwsgi/valid", "uwsgi", uwsgi, |name, expectation, outcome| {
        let (packet, expected) = (outcome.unwrap().unwrap(), expectation.of(0));
        assert_eq!(Some(&*packet.head.modifier1.to_string()), expected.one("modifier1"), "{name}");
        assert_eq!(Some(&*packet.head.modifier2.to_string()), expected.one("modifier2"), "{name}");
        assert_eq!(joined(&packet.vars, b"="), expected.all("var"), "{name}");
        assert_eq!(packet.body, expected.all("body").concat(), "{name}");
    });
}

#[test]
fn invalid_uwsgi() {
    replay("uwsgi/invalid", "uwsgi", uwsgi, |name, expectation, outcome| {
        let error = match outcome {
            Ok(None) => "incomplete",
            Ok(Some(_)) => panic!("{name}: nobody refused it"),
            Err(PacketError::Http) => "http",
            Err(PacketError::TooLarge) => "too-large",
            Err(PacketError::Block(BlockError::Truncated)) => "truncated",
            Err(PacketError::Block(BlockError::EmptyKey)) => "empty-key",
            Err(PacketError::Block(BlockError::TooMany)) => "too-many",
        };
        assert_eq!(Some(error), expectation.of(0).one("error"), "{name}");
    });
}

#[test]
fn proxy_headers() {
    replay("proxy", "proxy", drive::proxy, |name, expectation, outcome| {
        let expected = expectation.of(0);
        let found = match outcome {
            Ok(Some(header)) => {
                assert_eq!(Some(&*header.len.to_string()), expected.one("length"), "{name}");
                header.source.map_or_else(|| "none".to_owned(), |source| source.to_string())
            }
            Ok(None) => "incomplete".to_owned(),
            Err(_) => "malformed".to_owned(),
        };
        assert_eq!(Some(&*found), expected.one("source").or(expected.one("error")), "{name}");
    });
}

#[test]
fn forwarded_headers() {
    let is_proxy = |address: IpAddr| address.to_string().starts_with("10.");
    for path in files("forwarded", "forwarded") {
        let (name, bytes) = (path.display(), std::fs::read(&path).unwrap());
        let expectation = Expectation::read(&path.with_extension("expect"));
        let (expected, found) = (expectation.of(0), origin(&drive::forwarded(&bytes), is_proxy));
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        for (key, value) in [
            ("address", found.address.map(|address| address.to_string())),
            ("port", found.port.map(|port| port.to_string())),
            ("scheme", text(found.scheme)),
            ("host", text(found.host)),
        ] {
            assert_eq!(value.as_deref(), expected.one(key), "{name}: {key}");
        }
    }
}

/// A small generator of numbers (xorshift64*): the same mutations in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound.max(1)
    }

    /// Changes a few bytes: replaced, inserted, removed, cut off, or doubled. Many of them are bytes that frame something.
    fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        const TELLING: &[u8] = b"\r\n\t \0:;,=%?#/0159afgG_-+\x7f\x80\xff";
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            let byte =
                if self.below(4) == 0 { self.below(256) as u8 } else { TELLING[self.below(TELLING.len())] };
            match self.below(5) {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 => {
                    let end = (at + self.below(40)).min(bytes.len());
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                _ if self.below(8) == 0 => bytes.truncate(at),
                _ => bytes.extend_from_slice(&[byte, byte]),
            }
        }
        bytes
    }

    /// Cuts bytes into pieces of random length.
    fn cut<'a>(&mut self, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at((1 + self.below(30)).min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}

/// Whatever the bytes are: no panic, and the outcome does not depend on how they were cut.
fn torture<T: PartialEq + Debug>(seeds: &[Vec<u8>], run: fn(&mut dyn Iterator<Item = &[u8]>) -> T) {
    const MUTATIONS: usize = 100;
    let mut dice = Dice(0x5EED);
    for seed in seeds.iter().filter(|seed| seed.len() <= 8192) {
        for _ in 0..MUTATIONS {
            let bytes = dice.mutate(seed);
            let whole = run(&mut std::iter::once(&bytes[..]));
            let shown = bytes.escape_ascii();
            assert_eq!(run(&mut drive::single(&bytes)), whole, "{shown}");
            assert_eq!(run(&mut dice.cut(&bytes).into_iter()), whole, "{shown}");
        }
    }
}

fn seeds(folders: [&str; 2], extension: &str) -> Vec<Vec<u8>> {
    let paths = folders.into_iter().flat_map(|folder| files(folder, extension));
    paths.map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn mutated_http() {
    torture(&seeds(["http/valid", "http/invalid"], "http"), http);
}

#[test]
fn mutated_chunks() {
    let after_head = |file: Vec<u8>| {
        let end = file.windows(4).position(|window| window == b"\r\n\r\n")?;
        file.windows(9).any(|window| window == b": chunked").then(|| file[end + 4..].to_vec())
    };
    let bodies: Vec<_> =
        seeds(["http/valid", "http/invalid"], "http").into_iter().filter_map(after_head).collect();
    assert!(bodies.len() > 40);
    torture(&bodies, |pieces| drive::chunked(pieces));
}

#[test]
fn mutated_proxy_headers() {
    torture(&seeds(["proxy", "proxy"], "proxy"), drive::proxy);
}

#[test]
fn mutated_uwsgi() {
    torture(&seeds(["uwsgi/valid", "uwsgi/invalid"], "uwsgi"), uwsgi);
}

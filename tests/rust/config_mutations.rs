//! Whatever a file holds, reading it ends soon and with an answer: files of the corpus, changed at random but the
//! same way each time, in every format.

mod files;

use std::path::Path;
use std::time::Duration;

use files::Files;
use rwsgi::config::format::{Format, parse};
use rwsgi::config::*;

/// Changed files of each format.
const ROUNDS: usize = 1500;
/// Far above what is needed; a text that takes this long shows work without a bound.
const PATIENCE: Duration = Duration::from_secs(10);

/// The processor time of this thread: how long other work on the machine takes is no matter here (proc_pid_schedstat(5)).
struct Work(Duration);

impl Work {
    fn begin() -> Work {
        Work(Work::so_far())
    }

    fn so_far() -> Duration {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
    }

    fn done(&self) -> Duration {
        Work::so_far() - self.0
    }
}

/// What makes readers stumble.
const PIECES: &[&str] = &[
    "[uwsgi]\n",
    "\n",
    "\r\n",
    "=",
    " ",
    "\t",
    "%",
    "%(",
    "%(_)",
    "$(",
    "@(",
    ")",
    "%n",
    "ö",
    "\u{feff}",
    ";",
    "#",
    ":",
    "[",
    "]",
    "{",
    "}",
    "<",
    ">",
    "</",
    "/>",
    "<uwsgi>",
    "</uwsgi>",
    "&",
    "&lt;",
    "&#0;",
    "&#x110000;",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<!DOCTYPE a [",
    "uwsgi:\n",
    "  - ",
    "- ",
    "&a ",
    "*a",
    "<<: *a",
    "|\n",
    ">-\n",
    "---\n",
    "? ",
    "!!str ",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "null",
    "true",
    ",",
    "\"\"\"",
    "[[",
    "]]",
    "[tool.rwsgi]\n",
    "\0",
    "for = a b\n",
    "for-times = 100000\n",
    "endfor\n",
    "if-env = X\n",
    "if-opt = x\n",
    "endif\n",
    "set = a=%(a)\n",
    "declare-option = x=x=$1;x=$2\n",
    "x = a b\n",
    "blacklist = a\n",
    "inherit = x\n",
    "exit\n",
    "include = a.ini\n",
    "99999999999999999999",
    "-1",
    "0",
    "++",
    "*",
    "/",
    "processes = ",
    "socket = ",
    "mount = ",
    "strict = true\n",
];

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }

    /// A place between two characters.
    fn place(&mut self, text: &str) -> usize {
        let mut at = self.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    fn change(&mut self, text: &mut String, others: &[String]) {
        let (a, b) = (self.place(text), self.place(text));
        let (start, end) = (a.min(b), a.max(b));
        match self.below(6) {
            0 => text.replace_range(start..end, ""),
            1 => {
                let copy = text[start..end].to_owned();
                text.insert_str(a, &copy);
            }
            2 => text.truncate(a),
            3 => {
                let other = &others[self.below(others.len())];
                let tail = &other[self.place(other)..];
                text.replace_range(a.., tail);
            }
            _ => text.insert_str(a, PIECES[self.below(PIECES.len())]),
        }
    }
}

fn corpus(format: Format) -> Vec<String> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let files = ["config", "seeds"].iter().flat_map(|name| std::fs::read_dir(fixtures.join(name)).unwrap());
    let mut paths: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.retain(|path| Format::of_path(&path.to_string_lossy()) == Some(format));
    let text = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let mut texts: Vec<String> = paths.into_iter().map(text).collect();
    texts.push(
        "{\"uwsgi\": {\"a\": [1, \"x\", null, true], \"b\": {\"c\": 1.5}, \"socket\": \":1\"}}".to_owned(),
    );
    texts.push(
        "[project]\nname = 'x'\n[tool.rwsgi]\na = [1, 'x']\nsocket = ':1'\nenv = { A = 1 }\n".to_owned(),
    );
    texts
}

#[test]
fn reading_ends_and_with_an_answer() {
    let environment = vec![("X".to_owned(), "1".to_owned())];
    for format in Format::ALL {
        let others = corpus(format);
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        for round in 0..ROUNDS {
            let mut text = others[random.below(others.len())].clone();
            for _ in 0..=random.below(6) {
                random.change(&mut text, &others);
            }
            let start = Work::begin();
            let lines = text.lines().count() as u32 + 1;
            let place =
                |line: u32| assert!((1..=lines).contains(&line), "{format:?} {round}: line {line}\n{text}");
            match parse(format, &text, None) {
                Ok(parsed) => parsed.items.iter().for_each(|item| place(item.line)),
                Err(fault) => {
                    assert!(!fault.text.is_empty());
                    place(fault.line);
                }
            }
            if let Err(error) = load_text(format, &text, &environment) {
                assert!(!error.message.is_empty());
                if let Origin::File { line, .. } = error.origin {
                    place(line);
                }
            }
            assert!(start.done() < PATIENCE, "{format:?} {round} took {:?}:\n{text}", start.done());
        }
    }
}

/// Small texts that mean much work to readers without bounds.
#[test]
fn bombs_go_out() {
    let repeated = |piece: &str, count| piece.repeat(count);
    let level = |i: usize| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(","));
    let yaml: String = (1..12).map(level).fold("a0: &a0 [x]\n".to_owned(), |text, line| text + &line);
    let entities: String = (1..12).map(|i| format!("<!ENTITY a{i} \"&a{};&a{};\">", i - 1, i - 1)).collect();
    let doubling: String = (0..64).map(|i| format!("n{i} = %(n{})%(n{})\n", i + 1, i + 1)).collect();
    for (format, text) in [
        (Format::Ini, "[uwsgi]\nfor-times = 1000000000\nx=1\nendfor\n".to_owned()),
        (Format::Ini, "[uwsgi]\nfor-times = 100000\n".to_owned() + &repeated("x=1\n", 1000)),
        (Format::Ini, format!("[uwsgi]\nfor-times = 100000\nx={}\n", "y".repeat(10_000))),
        (Format::Ini, format!("[uwsgi]\n{doubling}n64 = xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n")),
        (Format::Ini, "[uwsgi]\ndeclare-option=x=x=$1;x=$1;x=$1\nx=1\n".to_owned()),
        (Format::Ini, "[uwsgi]\n".to_owned() + &repeated("if-opt = %(x)\nendif\nx = %(x)y\n", 20_000)),
        (Format::Ini, "[uwsgi]\n".to_owned() + &repeated("a\n", 300_000)),
        (Format::Ini, format!("[uwsgi]\na = {}\n", repeated("%(b)", 100_000))),
        (Format::Ini, format!("[uwsgi]\na = {}\n", repeated("%(", 1_000_000))),
        (Format::Ini, format!("[uwsgi]\na = %({})\n", repeated("1 + ", 100_000))),
        (Format::Ini, "[uwsgi]\n".to_owned() + &repeated("unknown-option = 1\n", 50_000)),
        (Format::Xml, format!("<!DOCTYPE a [{entities}]><uwsgi><a>&a11;</a></uwsgi>")),
        (Format::Xml, repeated("<uwsgi>", 100_000)),
        (Format::Xml, format!("<uwsgi>{}</uwsgi>", repeated("<a/>", 300_000))),
        (Format::Yaml, format!("{yaml}uwsgi:\n  k: *a11\n")),
        (Format::Yaml, format!("uwsgi: {}", repeated("{a: ", 100_000))),
        (Format::Yaml, format!("uwsgi:\n  a: {}", repeated("[", 100_000))),
        (Format::Yaml, format!("uwsgi:\n  a: {}", repeated("- ", 50_000))),
        (Format::Json, repeated("[", 1_000_000)),
        (Format::Json, format!("{{\"uwsgi\": {}", repeated("{\"a\":", 100_000))),
        (Format::Toml, format!("[uwsgi]\na = {}", repeated("[", 100_000))),
        (Format::Toml, format!("[uwsgi.{}a]\n", repeated("a.", 100_000))),
        (Format::Toml, repeated("[[a]]\n", 50_000)),
    ] {
        let start = Work::begin();
        let _ = load_text(format, &text, &[]);
        assert!(start.done() < PATIENCE, "{format:?} took {:?}: {:.60}", start.done(), text);
    }
}

/// The same for the command line, where more than options may stand.
#[test]
fn no_command_line_fails() {
    const WORDS: &[&str] = &["-", "--", "p4", "x=", "a.py", "unix:", "@", "fd://", "chmod-socket", "strict"];
    let (files, mut random) = (Files::new("words"), Random(88172645463325252));
    for _ in 0..300 {
        let mut text = |most| {
            let pieces = 1 + random.below(most);
            let piece = |_| {
                let from = if random.below(3) == 0 { WORDS } else { PIECES };
                from[random.below(from.len())]
            };
            (0..pieces).map(piece).collect::<String>()
        };
        let path = files.write("a.ini", &format!("[uwsgi]\n{}", text(30)));
        let mut arguments = vec!["--ini".to_owned(), path];
        arguments.extend([text(3), text(3), text(2)]);
        for end in 2..=arguments.len() {
            let sources = Sources { arguments: arguments[..end].to_vec(), ..Sources::default() };
            if let Err(error) = load(&sources) {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}

/// A file with as many options as there may be, of the kinds that are compared with each other.
#[test]
fn many_of_a_kind_are_read_and_checked_soon() {
    let files = Files::new("many");
    for line in
        ["mount = /N=a.py", "socket = /tmp/N.sock", "http = :N", "a = N ; x", "env = N=1", "set-ph = aN=1"]
    {
        let count = if line.starts_with("set-ph") { 10_000 } else { 20_000 };
        let lines: String = (0..count).map(|i| line.replace('N', &i.to_string()) + "\n").collect();
        let path = files.write("many.ini", &format!("[uwsgi]\n{lines}"));
        let start = Work::begin();
        let sources = Sources { arguments: vec![path], ..Sources::default() };
        let report = check::check(&sources, None);
        assert!(!report.text(false).is_empty() && !report.json().is_empty());
        println!("{line}: {:?}", start.done());
        assert!(start.done() < 2 * PATIENCE, "{line} took {:?}", start.done());
    }
}

/// A text names nothing outside of itself.
#[test]
fn a_text_is_all_that_is_read() {
    for line in [
        "ini = /etc/passwd",
        "xml = exec://touch /tmp/never",
        "include = a.ini",
        "a = @(/etc/passwd)",
        "for-readline = /etc/passwd",
        "resolve = a=localhost",
        "inherit = x.ini",
        "yaml = -",
    ] {
        let error = load_text(Format::Ini, &format!("[uwsgi]\n{line}\n"), &[]).unwrap_err().to_string();
        assert!(error.contains("nothing outside of this text is read here"), "{line}: {error}");
        assert!(error.starts_with("text:2: "), "{line}: {error}");
    }
}

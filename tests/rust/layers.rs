//! The house rules as tests: who may import whom, where `unsafe`, Python, tokio and threads may be, who may print, and that no
//! test sleeps. docs/design.md tells why.

use std::path::{Path, PathBuf};

/// Each module of src/, its layer, and the modules that it may import besides itself: of lower layers, or further up in
/// this table.
const MODULES: &[(&str, u8, &[&str])] = &[
    ("base", 0, &[]),
    ("config", 1, &["base"]),
    ("proto", 1, &["base"]),
    ("sys", 2, &["base"]),
    ("shm", 3, &["base", "sys"]),
    ("policy", 4, &["base", "shm"]),
    ("report", 4, &["base", "shm"]),
    ("log", 4, &["base", "sys", "shm"]),
    ("net", 4, &["base", "config", "proto", "sys", "shm"]),
    ("process", 4, &["base", "config", "sys", "shm", "log"]),
    ("aio", 4, &["base", "sys"]),
    ("worker", 5, &["base", "config", "proto", "sys", "shm", "policy", "report", "log", "net", "process"]),
    (
        "gateway",
        5,
        &["base", "config", "proto", "sys", "shm", "policy", "report", "log", "net", "process", "aio"],
    ),
    (
        "cluster",
        5,
        &["base", "config", "proto", "sys", "shm", "policy", "report", "log", "net", "process", "aio"],
    ),
    (
        "master",
        6,
        &[
            "base", "config", "proto", "sys", "shm", "policy", "report", "log", "net", "process", "worker",
            "gateway", "cluster",
        ],
    ),
];

/// The top layer, where the modules are wired together.
const TOP: &[&str] = &["lib.rs", "entry.rs"];

struct Source {
    /// Below src/, such as `worker/python/ffi.rs`.
    name: String,
    /// Its lines without comments and strings.
    lines: Vec<String>,
}

impl Source {
    /// The first folder, or the file's own name at the top.
    fn module(&self) -> &str {
        self.name.split('/').next().unwrap()
    }

    fn find(&self, word: &str) -> Vec<String> {
        let hits = self.lines.iter().enumerate().filter(|(_, line)| has_word(line, word));
        hits.map(|(at, line)| format!("src/{}:{}: {}", self.name, at + 1, line.trim())).collect()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|is| is == extension) {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let (src, mut paths) = (root().join("src"), Vec::new());
    files(&src, "rs", &mut paths);
    paths.sort();
    assert!(paths.len() > 50, "{paths:?}");
    let read = |path: PathBuf| Source {
        name: path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned(),
        lines: code(&std::fs::read_to_string(&path).unwrap()),
    };
    paths.into_iter().map(read).collect()
}

/// The text without comments and the contents of strings, line by line.
fn code(text: &str) -> Vec<String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => string(rest),
            '\'' => character(rest),
            _ => 0,
        };
        if skipped == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            out.extend(rest[..skipped].chars().filter(|&c| c == '\n'));
            rest = &rest[skipped..];
        }
    }
    out.split('\n').map(str::to_owned).collect()
}

/// Length of the string that begins here. Raw strings of this code base hold no quotes that would matter.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of the character literal that begins here; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut rest = text.char_indices().skip(1);
    match (rest.next(), rest.next()) {
        (Some((_, '\\')), Some((at, next))) => {
            let from = at + next.len_utf8();
            text[from..].find('\'').map_or(0, |end| from + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(is_word);
        let after = line[at + word.len()..].chars().next().is_some_and(is_word);
        !before && !after
    })
}

/// The modules that a line names: `crate::module`, also several in braces.
fn imported(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, path) in line.match_indices("crate::") {
        let rest = &line[at + path.len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(heads(group)),
            None => found.push(rest.chars().take_while(|&c| is_word(c)).collect()),
        }
    }
    found
}

/// The first words of the paths in `a::b, c::{d, e}}`.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut found, mut word) = (0, Vec::new(), String::new());
    let mut fresh = true;
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if depth == 0 && fresh && is_word(c) => word.push(c),
            _ if depth == 0 && !word.is_empty() => {
                found.push(std::mem::take(&mut word));
                fresh = false;
            }
            _ => {}
        }
    }
    found.extend((!word.is_empty()).then_some(word));
    found
}

fn none(offences: Vec<String>, rule: &str) {
    assert!(offences.is_empty(), "{rule}:\n{}", offences.join("\n"));
}

fn outside(sources: &[Source], word: &str, may: impl Fn(&str) -> bool) -> Vec<String> {
    sources.iter().filter(|source| !may(&source.name)).flat_map(|source| source.find(word)).collect()
}

#[test]
fn the_table_goes_downwards() {
    let place = |module: &str| MODULES.iter().position(|(name, ..)| *name == module);
    assert!(MODULES.is_sorted_by_key(|(_, layer, _)| *layer));
    for (module, layer, allowed) in MODULES {
        for other in *allowed {
            assert!(place(other) < place(module), "{module} → {other}");
            // Modules of layer 5 are processes of their own.
            assert!(*layer != 5 || MODULES[place(other).unwrap()].1 < 5, "{module} → {other}");
        }
    }
}

#[test]
fn every_file_has_a_module() {
    for source in sources() {
        let known =
            MODULES.iter().any(|(module, ..)| *module == source.module()) || TOP.contains(&source.module());
        assert!(known, "src/{} is in no module; tests/rust/layers.rs lists them", source.name);
    }
}

#[test]
fn nobody_imports_upwards_or_across() {
    let mut offences = Vec::new();
    for source in sources() {
        let Some((module, _, allowed)) = MODULES.iter().find(|(module, ..)| *module == source.module())
        else {
            continue;
        };
        for (at, line) in source.lines.iter().enumerate() {
            let bad = |other: &String| other != module && !allowed.contains(&other.as_str());
            let is_module =
                |other: &String| MODULES.iter().any(|(name, ..)| name == other) || other == "entry";
            for other in imported(line).iter().filter(|other| is_module(other) && bad(other)) {
                offences.push(format!("src/{}:{}: {module} → {other}", source.name, at + 1));
            }
        }
    }
    none(offences, "imports that the layers do not allow");
}

#[test]
fn unsafe_stays_in_its_modules() {
    let offences =
        outside(&sources(), "unsafe", |name| name.starts_with("sys/") || name == "worker/python/ffi.rs");
    none(offences, "unsafe code belongs into src/sys and src/worker/python/ffi.rs");
}

#[test]
fn python_stays_in_its_module() {
    let may = |name: &str| name.starts_with("worker/python/") || TOP.contains(&name);
    none(outside(&sources(), "pyo3", may), "pyo3 belongs into src/worker/python, lib.rs and entry.rs");
}

#[test]
fn system_calls_stay_in_their_module() {
    let may = |name: &str| name.starts_with("sys/") || name == "worker/python/ffi.rs";
    none(outside(&sources(), "libc", may), "libc belongs into src/sys");
}

#[test]
fn who_writes_to_a_client_goes_through_its_session() {
    let may = |name: &str| {
        !name.starts_with("worker/") || name == "worker/client.rs" || name.starts_with("worker/tls/")
    };
    for word in ["io::send", "io::send_two", "io::recv", "io::recv_slice"] {
        none(outside(&sources(), word, may), "a client may speak TLS: worker/client.rs knows");
    }
}

#[test]
fn tokio_stays_in_its_modules() {
    let may = |name: &str| ["aio/", "gateway/", "cluster/"].iter().any(|module| name.starts_with(module));
    none(outside(&sources(), "tokio", may), "tokio belongs into src/aio, src/gateway and src/cluster");
}

#[test]
fn only_the_top_prints() {
    let words = ["println", "eprintln", "print", "eprint", "dbg"];
    let sources = sources();
    let prints = |source: &&Source| !TOP.contains(&source.name.as_str());
    let offences = sources.iter().filter(prints).flat_map(|source| {
        words
            .iter()
            .flat_map(|word| source.find(word))
            .filter(|hit| words.iter().any(|word| hit.contains(&format!("{word}!"))))
    });
    none(offences.collect(), "only entry.rs prints; others write to the log");
}

#[test]
fn the_master_has_one_thread() {
    let sources = sources();
    let master = || sources.iter().filter(|source| source.module() == "master");
    let offences = ["thread", "rayon", "tokio", "JoinHandle"].iter().flat_map(|word| {
        master()
            .flat_map(|source| source.find(word))
            .filter(|hit| *word != "thread" || hit.contains("thread::"))
    });
    none(offences.collect(), "a thread in the master would hold locks that its children never get");
}

#[test]
fn no_test_sleeps() {
    let (tests, mut paths) = (root().join("tests"), Vec::new());
    files(&tests, "py", &mut paths);
    assert!(paths.len() > 20, "{paths:?}");
    let mut offences = Vec::new();
    for path in paths {
        let name = path.strip_prefix(&tests).unwrap().to_str().unwrap().to_owned();
        if ["apps/", "harness/"].iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| line.contains("sleep(")) {
            offences.push(format!("tests/{name}:{}: {}", at + 1, line.trim()));
        }
    }
    none(offences, "a test waits for an event (tests/harness), it does not sleep");
}

// The scanner itself.

#[test]
fn comments_and_strings_are_no_code() {
    let text = "a // unsafe\n\"unsafe \\\" unsafe\" b\n/* unsafe\n*/ c 'x' '\\'' '\\n' d &'static str";
    let lines = code(text);
    assert_eq!(lines, ["a ", " b", "", " c    d &'static str"]);
}

#[test]
fn imports_are_found() {
    assert_eq!(imported("use crate::sys::{io, clock};"), ["sys"]);
    assert_eq!(imported("use crate::{config::Settings, shm::{a, b}, worker};"), ["config", "shm", "worker"]);
    assert_eq!(imported("let x = crate::policy::balance::queue(crate::base::now());"), ["policy", "base"]);
    assert!(has_word("unsafe {", "unsafe") && !has_word("forbid(unsafe_code)", "unsafe"));
}

#[test]
fn no_comment_cites_what_is_not_in_the_repository() {
    let mut paths = Vec::new();
    files(&root().join("src"), "rs", &mut paths);
    let cited = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let mut comments = text.lines().filter(|line| line.trim_start().starts_with("//"));
        comments.any(|line| {
            ["PITFALLS", "REDESIGN", "(spec: ", "; spec: "].iter().any(|word| line.contains(word))
        })
    };
    let offences: Vec<_> = paths.iter().filter(|path| cited(path)).collect();
    assert!(offences.is_empty(), "{offences:?}");
}

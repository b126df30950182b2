//! The house rules as tests: who may import whom, where `unsafe`, Python, tokio and threads may be, who may print, and that no
//! test sleeps. docs/design.md tells why.

mod scan;

use scan::{Source, code, files, has_word, imports, none, paths, root, sources, tokens};
use std::path::PathBuf;

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
    ("alarm", 5, &["base", "config", "sys", "log", "process"]),
    ("supervise", 5, &["base", "sys", "shm", "policy", "log", "process"]),
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
    ("top", 5, &["base", "sys", "log"]),
    (
        "master",
        6,
        &[
            "base",
            "config",
            "proto",
            "sys",
            "shm",
            "policy",
            "report",
            "log",
            "net",
            "process",
            "alarm",
            "supervise",
            "worker",
            "gateway",
            "cluster",
        ],
    ),
];

/// The layers inside worker/ and master/, from the bottom: folders and files without their ending. A file is part of the
/// longest name that it begins with, and imports files of lower rows, or of its own folder in its own row.
const INSIDE: &[(&str, &[&[&str]])] = &[
    (
        "worker",
        &[
            // What a part holds: a part knows nothing of those that use it.
            &["context", "leaving", "body", "request/mod", "request/vars", "request/ids", "request/mounts"],
            &["counting", "handoff/last_look", "handoff/sleeper", "handoff/standby"],
            &["conn", "harakiri/answers"],
            &["response", "accept", "http/state", "handoff/encode", "handoff/mailbox"],
            &["statics", "harakiri", "setup"],
            &["handoff", "lifeline", "worker_log"],
            &["shared"],
            // Functions that need several parts.
            &["application", "accept/trouble", "handoff/work", "conn/keep", "conn/linger", "conn/leftover"],
            &["request/canned"],
            &["conn/upkeep"],
            &["core"],
            &["statics/serve", "handoff/give", "handoff/outrun", "handoff/queueing"],
            &["request", "harakiri/waiting"],
            &["http", "uwsgi", "lifecycle"],
            &["dispatch", "handoff/service"],
            &["incoming"],
            &["begin"],
            &["thread", "run"],
            &["python", "mod"],
        ],
    ),
    (
        "master",
        &[
            &["action", "incident", "metrics", "workers/zygote/protocol"],
            &["accounts"],
            &["server"],
            &["configuration", "service", "sources", "workers/commands", "workers/scaling"],
            &["log_file", "startup/pidfile", "startup/readiness", "status", "workers"],
            &["services"],
            &["run"],
            &["startup", "mod"],
        ],
    ),
];

/// The top layer, where the modules are wired together.
const TOP: &[&str] = &["lib.rs", "entry.rs"];

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
        let bad = |other: &str| other != *module && !allowed.contains(&other);
        let is_module = |other: &str| MODULES.iter().any(|(name, ..)| *name == other) || other == "entry";
        let tokens = tokens(&source.lines);
        let imports = paths(&tokens).into_iter().filter(|(path, _)| path[0] == "crate");
        for (path, line) in imports.filter(|(path, _)| is_module(path[1]) && bad(path[1])) {
            offences.push(format!("src/{}:{line}: {module} → {}", source.name, path[1]));
        }
    }
    none(offences, "imports that the layers do not allow");
}

/// The row of the file and the first folder of its place there.
fn place<'a>(rows: &[&[&str]], file: &'a str) -> Option<(usize, &'a str)> {
    let is_part =
        |part: &str| file.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let parts = rows.iter().enumerate().flat_map(|(row, parts)| parts.iter().map(move |part| (row, part)));
    let (row, _) = parts.filter(|(_, part)| is_part(part)).max_by_key(|(_, part)| part.len())?;
    Some((row, file.split('/').next().unwrap()))
}

fn inside<'a>(module: &str, file: &'a str) -> &'a str {
    file.strip_prefix(module).unwrap().trim_start_matches('/').trim_end_matches(".rs")
}

#[test]
fn inside_a_module_imports_go_down() {
    for (module, rows) in INSIDE {
        let (graph, mut offences) = (imports(sources(), module), Vec::new());
        for (file, others) in &graph {
            let Some(from) = place(rows, inside(module, file)) else {
                offences.push(format!("src/{file} is in no row of INSIDE"));
                continue;
            };
            let targets =
                others.iter().filter_map(|other| Some((other, place(rows, inside(module, other))?)));
            let bad = targets.filter(|(_, to)| to.0 > from.0 || to.0 == from.0 && to.1 != from.1);
            offences.extend(bad.map(|(other, _)| format!("src/{file} → src/{other}")));
        }
        none(offences, "imports that the layers inside a module do not allow");
    }
}

#[test]
fn the_rows_name_what_there_is() {
    for (module, rows) in INSIDE {
        let graph = imports(sources(), module);
        let files: Vec<_> = graph.keys().map(|file| inside(module, file)).collect();
        for part in rows.concat() {
            let others: Vec<_> =
                rows.iter().map(|row| row.iter().copied().filter(|&other| other != part).collect()).collect();
            let others: Vec<&[&str]> = others.iter().map(|row: &Vec<&str>| &row[..]).collect();
            let matters = files.iter().any(|file| place(rows, file) != place(&others, file));
            assert!(matters, "{module}/{part}: take it out of INSIDE");
        }
    }
}

#[test]
fn unsafe_stays_in_its_modules() {
    let offences =
        outside(sources(), "unsafe", |name| name.starts_with("sys/") || name == "worker/python/ffi.rs");
    none(offences, "unsafe code belongs into src/sys and src/worker/python/ffi.rs");
}

#[test]
fn python_stays_in_its_module() {
    let may = |name: &str| name.starts_with("worker/python/") || TOP.contains(&name);
    none(outside(sources(), "pyo3", may), "pyo3 belongs into src/worker/python, lib.rs and entry.rs");
}

#[test]
fn system_calls_stay_in_their_module() {
    let may = |name: &str| name.starts_with("sys/") || name == "worker/python/ffi.rs";
    none(outside(sources(), "libc", may), "libc belongs into src/sys");
}

#[test]
fn who_writes_to_a_client_goes_through_its_session() {
    // A zygote and its master speak over a socket pair; readers of the stats server speak no TLS.
    let may = |name: &str| {
        ["sys/", "net/client.rs", "net/tls/", "master/workers/zygote/", "master/services/stats/reader.rs"]
            .iter()
            .any(|part| name.starts_with(part))
    };
    for word in ["send", "send_two", "send_with_more", "send_parts", "sendfile", "recv", "recv_slice"] {
        let offences = outside(sources(), &format!("io::{word}"), may);
        none(offences, "a client may speak TLS: src/net/client.rs knows");
    }
}

#[test]
fn tokio_stays_in_its_modules() {
    let may = |name: &str| ["aio/", "gateway/", "cluster/"].iter().any(|module| name.starts_with(module));
    none(outside(sources(), "tokio", may), "tokio belongs into src/aio, src/gateway and src/cluster");
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
    let master = || sources.iter().filter(|source| ["master", "supervise"].contains(&source.module()));
    let offences = ["thread", "rayon", "tokio", "JoinHandle"].iter().flat_map(|word| {
        master()
            .flat_map(|source| source.find(word))
            .filter(|hit| *word != "thread" || hit.contains("thread::"))
    });
    none(offences.collect(), "a thread in the master would hold locks that its children never get");
}

/// `cheaper` will change how many workers there are to be in one place.
#[test]
fn one_file_of_the_master_knows_how_many_workers_there_are() {
    let may = |name: &str| !name.starts_with("master/") || name == "master/workers/scaling.rs";
    let hits = outside(sources(), "processes", may);
    let offences = hits.into_iter().filter(|hit| hit.contains("instance.processes"));
    none(offences.collect(), "ask scaling::target() how many workers there are to be");
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
    let imported = |text: &str| -> Vec<String> {
        paths(&tokens(&code(text))).into_iter().map(|(path, _)| path.join(".")).collect()
    };
    assert_eq!(imported("use crate::sys::{io, clock};"), ["crate.sys.io", "crate.sys.clock"]);
    assert_eq!(
        imported("use crate::{config::Settings,\n shm::{self, b}, c::*};"),
        ["crate.config.Settings", "crate.shm.self", "crate.shm.b", "crate.c.*"]
    );
    assert_eq!(imported("x = a::b(super::c::<T>()) * d; pub(in crate::w) e"), ["a.b", "super.c"]);
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

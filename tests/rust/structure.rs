//! The shape of the code as tests: no import cycles, small functions, objects and files, and none of the names that were
//! given up. `cargo test --no-default-features --test structure -- --nocapture` prints where it stands.
//!
//! Where a rule does not hold yet, a list says so. The lists only get shorter: an entry that is no longer needed fails.

mod scan;

use scan::{
    Graph, Source, Token, code, files, imports, is, is_word, item_end, none, python_code, root, sources,
    tokens,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::path::Path;

/// The modules whose files may not import each other in circles.
const ACYCLIC: &[&str] = &["worker", "master", "supervise", "top"];

/// Files that are part of an import cycle.
const CYCLIC: &[&str] = &[];

const MAX_FUNCTION: usize = 60;
const MAX_MEDIAN: usize = 9;
/// Functions that are longer.
const LONG_FUNCTIONS: &[&str] = &[];

/// The types that everything else is built around: few fields, and all methods in one file.
const CENTRAL: &[&str] =
    &["Acceptor", "ConnTable", "Context", "Core", "Master", "Places", "Shared", "Thread"];
const MAX_FIELDS: usize = 12;
/// Those that are larger: how many fields they have at most, and in how many files their methods are.
const LARGE_TYPES: &[(&str, usize, usize)] = &[];

/// Lines of a file without its tests.
const MAX_FILE: usize = 420;
const LONG_FILES: &[&str] = &[];

/// Identifiers that were given up for the terms of the field.
const GIVEN_UP: &[&str] = &[
    "FEW",
    "LONG",
    "MOMENT_US",
    "MOST",
    "MUCH",
    "RESTING",
    "SELDOM",
    "Tended",
    "Watcher",
    "Wish",
    "bench",
    "bequeath",
    "call_successor",
    "crowded",
    "deaf",
    "disown",
    "grant",
    "handicap",
    "heir",
    "is_crowded",
    "is_doomed",
    "is_worn",
    "kick",
    "knock",
    "let_go",
    "letter_box",
    "lines_taken",
    "luggage",
    "owes",
    "own_epoll",
    "own_headers",
    "parting",
    "rouse",
    "see_off",
    "sit_down",
    "stand_up",
    "step_aside",
    "tend",
    "tended",
    "watcher",
    "wish",
];

/// In src/ alone.
const GIVEN_UP_IN_SRC: &[&str] = &[
    "Board", "CROWDED", "Facts", "HERE", "Host", "Order", "STEP", "TURN", "board", "course", "crowd",
    "floor", "roof",
];

/// In src/ without config/, where letters of a text and templates of a file are what they are called.
const GIVEN_UP_IN_PROCESSES: &[&str] = &["Template", "handed", "letters", "template"];

/// Functions that act are not named like questions.
const ACTING_PREDICATES: &[&str] =
    &["blames_body", "goes_on", "has_left_nothing", "is_given_nothing", "is_movable_now", "leaves_body"];

/// Those that are still there.
const NAMES_LEFT: &[&str] = &[];

// Import cycles.

/// The shortest way from a file back to itself.
fn cycle_through<'a>(graph: &Graph<'a>, start: &'a str) -> Option<Vec<&'a str>> {
    let (mut ways, mut seen) = (VecDeque::from([vec![start]]), BTreeSet::new());
    while let Some(way) = ways.pop_front() {
        for &next in &graph[way.last()?] {
            if next == start {
                return Some(way);
            }
            if seen.insert(next) {
                ways.push_back(way.iter().copied().chain([next]).collect());
            }
        }
    }
    None
}

/// The shortest cycle through each file that is on one.
fn cycles<'a>(graph: &Graph<'a>) -> BTreeMap<&'a str, Vec<&'a str>> {
    graph.keys().filter_map(|&file| Some((file, cycle_through(graph, file)?))).collect()
}

#[test]
fn no_files_import_each_other_in_circles() {
    let sources = sources();
    let mut cyclic = BTreeSet::new();
    for module in ACYCLIC {
        let found = cycles(&imports(sources, module));
        for (file, cycle) in &found {
            println!("{} → {file}", cycle.join(" → "));
        }
        println!("{module}: {} files are on an import cycle", found.len());
        cyclic.extend(found.keys().map(|file| (*file).to_owned()));
    }
    compare(cyclic, CYCLIC, "CYCLIC", "is on an import cycle (printed above)");
}

/// What is found must be what is listed.
fn compare(found: BTreeSet<String>, listed: &[&str], list: &str, what: &str) {
    let listed: BTreeSet<String> = listed.iter().map(|&name| name.to_owned()).collect();
    if found != listed {
        println!("{list} would be: {found:?}");
    }
    none(found.difference(&listed).map(|name| format!("{name} {what}")).collect(), "worse than listed");
    let gone = listed.difference(&found).map(|name| format!("{name}: take it out of {list}"));
    none(gone.collect(), "better than listed");
}

// The length of functions and files.

struct Function<'a> {
    file: &'a str,
    name: &'a str,
    line: usize,
    length: usize,
}

fn functions(source: &Source) -> Vec<Function<'_>> {
    let tokens = &source.tokens;
    let begins =
        (1..tokens.len()).filter(|&at| tokens[at - 1].text == "fn" && tokens[at].text.starts_with(is_word));
    let function = |at: usize| {
        let (first, last) = (&tokens[at - 1], &tokens[item_end(tokens, at)]);
        let length = last.line - first.line + 1;
        (last.text == "}").then_some(Function {
            file: &source.name,
            name: &tokens[at].text,
            line: first.line,
            length,
        })
    };
    begins.filter_map(function).collect()
}

#[test]
fn functions_are_short() {
    let sources = sources();
    let mut all: Vec<_> = sources.iter().flat_map(functions).collect();
    all.sort_by_key(|function| function.length);
    let median = all[all.len() / 2].length;
    println!("{} functions, median {median} lines; the longest:", all.len());
    for function in all.iter().rev().take(10) {
        println!("  {} src/{}:{} {}", function.length, function.file, function.line, function.name);
    }
    assert!(median <= MAX_MEDIAN, "the median of all functions is {median} lines");
    let long = all.iter().filter(|function| function.length > MAX_FUNCTION);
    let long = long.map(|function| format!("{} {}", function.file, function.name)).collect();
    compare(long, LONG_FUNCTIONS, "LONG_FUNCTIONS", "is too long");
}

#[test]
fn files_are_short() {
    let sources = sources();
    let length = |source: &Source| source.lines.len() - source.test_lines;
    let long = sources.iter().filter(|source| length(source) > MAX_FILE);
    let long = long.inspect(|source| println!("src/{}: {} lines", source.name, length(source)));
    compare(long.map(|source| source.name.clone()).collect(), LONG_FILES, "LONG_FILES", "is too long");
}

// The size of the central types.

/// The fields between the braces of `struct name { … }`.
fn fields(tokens: &[Token], name: &str) -> Option<usize> {
    let at = tokens.windows(2).position(|two| two[0].text == "struct" && two[1].text == name)?;
    let (mut depth, mut count) = (0, 0);
    for token in &tokens[at..=item_end(tokens, at)] {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            ":" if depth == 1 => count += 1,
            _ => {}
        }
    }
    Some(count)
}

/// Is there an `impl` of the type's own?
fn has_methods(tokens: &[Token], name: &str) -> bool {
    let starts = (0..tokens.len()).filter(|&at| tokens[at].text == "impl" && begins_item(tokens, at));
    let mut headers = starts.map(|at| header(tokens, at));
    headers.any(|range| {
        let header = &tokens[range];
        header.iter().any(|token| token.text == name) && header.iter().all(|token| token.text != "for")
    })
}

/// `impl Trait` in a type is none.
fn begins_item(tokens: &[Token], at: usize) -> bool {
    at == 0 || matches!(tokens[at - 1].text.as_str(), "}" | ";" | "]" | "unsafe")
}

fn header(tokens: &[Token], from: usize) -> Range<usize> {
    from..(from..tokens.len()).find(|&at| is(tokens.get(at), "{")).unwrap_or(tokens.len())
}

#[test]
fn central_types_are_small() {
    let sources: Vec<_> = sources().iter().filter(|source| ACYCLIC.contains(&source.module())).collect();
    let mut offences = Vec::new();
    for name in CENTRAL {
        let Some(count) = sources.iter().find_map(|source| fields(&source.tokens, name)) else { continue };
        let spread: Vec<_> = sources
            .iter()
            .filter(|source| has_methods(&source.tokens, name))
            .map(|source| &source.name)
            .collect();
        println!("{name}: {count} fields, methods in {} files: {spread:?}", spread.len());
        let listed = LARGE_TYPES.iter().find(|(large, ..)| large == name);
        let (most_fields, most_files) = listed.map_or((MAX_FIELDS, 1), |&(_, fields, files)| (fields, files));
        if count > most_fields || spread.len() > most_files {
            offences.push(format!("{name} has {count} fields, and methods in {} files", spread.len()));
        } else if listed.is_some() && count <= MAX_FIELDS && spread.len() <= 1 {
            offences.push(format!("{name} is small: take it out of LARGE_TYPES"));
        }
    }
    none(offences, "central types");
}

// Names.

/// The names of the lists that the file `name` may not have.
fn given_up_in(name: &str) -> Vec<&str> {
    let (is_source, is_config) = (name.starts_with("src/"), name.starts_with("src/config/"));
    let in_source = if is_source { &[GIVEN_UP_IN_SRC, ACTING_PREDICATES][..] } else { &[] };
    let in_processes = if is_source && !is_config { &[GIVEN_UP_IN_PROCESSES][..] } else { &[] };
    [&[GIVEN_UP], in_source, in_processes].concat().concat()
}

fn lines_of(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    if path.extension().is_some_and(|is| is == "py") { python_code(&text) } else { code(&text) }
}

#[test]
fn names_that_were_given_up_stay_away() {
    let (mut paths, mut found) = (Vec::new(), BTreeSet::new());
    for (folder, extension) in [("src", "rs"), ("tests", "rs"), ("tests", "py"), ("benchmarks", "py")] {
        files(&root().join(folder), extension, &mut paths);
    }
    assert!(paths.len() > 100, "{paths:?}");
    for path in paths {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
        let given_up = given_up_in(name);
        for token in tokens(&lines_of(&path)).into_iter().filter(|token| given_up.contains(&&*token.text)) {
            println!("{name}:{}: {}", token.line, token.text);
            found.insert(token.text);
        }
    }
    compare(found, NAMES_LEFT, "NAMES_LEFT", "was given up (printed above)");
}

// The scanner itself.

#[test]
fn cycles_are_found() {
    let file = |name: &str, text: &str| Source::new(name.to_owned(), code(text));
    let sources = [
        file("worker/mod.rs", "mod conns; mod core; mod http; use conns::Conn; pub struct Shared;"),
        file("worker/conns.rs", "fn f() { super::Shared; } mod stale;"),
        file("worker/conns/stale.rs", "use super::Conns; use crate::worker::core;"),
        file(
            "worker/core.rs",
            "use super::{http::{self, Http}, mounts}; pub(in crate::worker) struct A; fn f() { http::state::g() }",
        ),
        file("worker/http/state.rs", ""),
        file(
            "worker/http.rs",
            "mod state; use crate::sys::io; #[cfg(test)] mod tests { use super::super::core; }",
        ),
    ];
    let found = cycles(&imports(&sources, "worker"));
    assert_eq!(found["worker/mod.rs"], ["worker/mod.rs", "worker/conns.rs"]);
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["worker/conns.rs", "worker/mod.rs"]);
    assert!(imports(&sources, "worker")["worker/core.rs"].contains("worker/http/state.rs"));
}

#[test]
fn functions_and_types_are_measured() {
    let text = "struct A { b: Vec<c::D>,\n e: [u8; 4] }\nimpl A { fn f(&self) -> [u8; 4] {\n g\n }\n}\n\
        impl B for A {\n fn h();\n fn i() {}\n}\n#[cfg(test)]\nmod t {\n fn j() {}\n}";
    let source = Source::new("x.rs".to_owned(), code(text));
    let lengths: Vec<_> = functions(&source).iter().map(|f| (f.name.to_owned(), f.length)).collect();
    assert_eq!(lengths, [("f".to_owned(), 3), ("i".to_owned(), 1)]);
    assert_eq!((fields(&source.tokens, "A"), fields(&source.tokens, "B")), (Some(2), None));
    assert!(has_methods(&source.tokens, "A") && !has_methods(&source.tokens, "B"));
    assert_eq!(source.test_lines, 4);
    assert_eq!(python_code("a # b\n'c' + \"\"\"d\n'e'\"\"\" + f"), ["a ", " + ", " + f"]);
}

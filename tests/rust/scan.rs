//! A simple reader of the Rust sources, for the tests about the code itself; each uses its part.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub struct Source {
    /// Below src/, such as `worker/python/ffi.rs`.
    pub name: String,
    /// Its lines without comments and strings.
    pub lines: Vec<String>,
    /// The words and signs of these, without `#[cfg(test)]` items.
    pub tokens: Vec<Token>,
    /// How many lines the `#[cfg(test)]` items have.
    pub test_lines: usize,
    /// The test modules that are files of their own.
    test_modules: Vec<String>,
}

/// A word, `::`, or another sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

pub fn is(token: Option<&Token>, text: &str) -> bool {
    token.is_some_and(|token| token.text == text)
}

impl Source {
    pub fn new(name: String, lines: Vec<String>) -> Source {
        let mut source =
            Source { name, tokens: tokens(&lines), lines, test_lines: 0, test_modules: Vec::new() };
        source.leave_tests_out();
        source
    }

    /// The first folder, or the file's own name at the top.
    pub fn module(&self) -> &str {
        self.name.split('/').next().unwrap()
    }

    /// The path of the module that the file holds: `["worker", "python"]` for worker/python/mod.rs.
    pub fn path(&self) -> Vec<&str> {
        let mut path: Vec<_> = self.name.trim_end_matches(".rs").split('/').collect();
        if matches!(path.last(), Some(&("mod" | "lib"))) {
            path.pop();
        }
        path
    }

    /// The modules declared here by `mod x;`.
    pub fn children(&self) -> Vec<&str> {
        let declared = self.tokens.windows(3).filter(|three| three[0].text == "mod" && three[2].text == ";");
        declared.map(|three| three[1].text.as_str()).collect()
    }

    /// Names of the files of `#[cfg(test)] mod x;`.
    fn test_files(&self) -> Vec<String> {
        let folder = self.path().join("/");
        self.test_modules.iter().map(|module| format!("{folder}/{module}.rs")).collect()
    }

    fn leave_tests_out(&mut self) {
        let cfg = ["#", "[", "cfg", "(", "test", ")", "]"];
        let begins = |at: &usize| cfg.iter().enumerate().all(|(n, text)| is(self.tokens.get(at + n), text));
        let Some(from) = (0..self.tokens.len()).find(begins) else { return };
        let end = item_end(&self.tokens, from + cfg.len());
        self.test_lines += self.tokens[end].line - self.tokens[from].line + 1;
        let item: Vec<_> = self.tokens.drain(from..=end).skip(cfg.len()).collect();
        if let [keyword, module, semicolon] = &item[..]
            && keyword.text == "mod"
            && semicolon.text == ";"
        {
            self.test_modules.push(module.text.clone());
        }
        self.leave_tests_out();
    }

    pub fn find(&self, word: &str) -> Vec<String> {
        let hits = self.lines.iter().enumerate().filter(|(_, line)| has_word(line, word));
        hits.map(|(at, line)| format!("src/{}:{}: {}", self.name, at + 1, line.trim())).collect()
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|is| is == extension) {
            found.push(path);
        }
    }
}

pub fn sources() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(read_sources)
}

fn read_sources() -> Vec<Source> {
    let (src, mut paths) = (root().join("src"), Vec::new());
    files(&src, "rs", &mut paths);
    paths.sort();
    assert!(paths.len() > 50, "{paths:?}");
    let sources: Vec<_> = paths.into_iter().map(|path| read(&path, &src)).collect();
    let tests: Vec<_> = sources.iter().flat_map(Source::test_files).collect();
    sources.into_iter().filter(|source| !tests.contains(&source.name)).collect()
}

fn read(path: &Path, src: &Path) -> Source {
    let name = path.strip_prefix(src).unwrap().to_str().unwrap().to_owned();
    Source::new(name, code(&std::fs::read_to_string(path).unwrap()))
}

/// The text without comments and strings, line by line.
pub fn code(text: &str) -> Vec<String> {
    strip(text, |rest, in_word| match rest.as_bytes()[0] {
        b'/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
        b'/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
        b'"' => string(rest),
        b'\'' => character(rest),
        b'r' if !in_word => raw_string(rest),
        _ => 0,
    })
}

/// The same for Python.
pub fn python_code(text: &str) -> Vec<String> {
    strip(text, |rest, _| match rest.as_bytes()[0] {
        b'#' => rest.find('\n').unwrap_or(rest.len()),
        b'"' | b'\'' if rest[1..].starts_with(&rest[..1].repeat(2)) => {
            rest[3..].find(&rest[..3]).map_or(rest.len(), |end| 3 + end + 3)
        }
        b'"' | b'\'' => string(rest),
        _ => 0,
    })
}

/// Leaves out what `skipped` finds at the beginning of the rest, which may lie within a word.
fn strip(text: &str, skipped: impl Fn(&str, bool) -> usize) -> Vec<String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest, out.ends_with(is_word));
        match length {
            0 => out.push(first),
            _ => out.extend(rest[..length].chars().filter(|&c| c == '\n')),
        }
        rest = &rest[length.max(first.len_utf8())..];
    }
    out.trim_end().split('\n').map(str::to_owned).collect()
}

/// Length of the string that begins here.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == text.as_bytes()[0] => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of the raw string that begins here; 0 for something else.
fn raw_string(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|&c| c == '#').count();
    if !text[1 + hashes..].starts_with('"') {
        return 0;
    }
    let (from, end) = (2 + hashes, format!("\"{}", "#".repeat(hashes)));
    text[from..].find(&end).map_or(text.len(), |at| from + at + end.len())
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

pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

pub fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(is_word);
        let after = line[at + word.len()..].chars().next().is_some_and(is_word);
        !before && !after
    })
}

pub fn tokens(lines: &[String]) -> Vec<Token> {
    let mut found = Vec::new();
    for (line, mut rest) in lines.iter().enumerate().map(|(at, line)| (at + 1, line.trim_start())) {
        while let Some(first) = rest.chars().next() {
            let length = match rest.find(|c| !is_word(c)) {
                Some(0) if rest.starts_with("::") => 2,
                Some(0) => first.len_utf8(),
                end => end.unwrap_or(rest.len()),
            };
            found.push(Token { text: rest[..length].to_owned(), line });
            rest = rest[length..].trim_start();
        }
    }
    found
}

/// The index of the last token of the item that begins here: its closing brace or semicolon.
pub fn item_end(tokens: &[Token], from: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth -= 1,
            "}" if depth == 1 => return at,
            "}" => depth -= 1,
            ";" if depth == 0 => return at,
            _ => {}
        }
    }
    tokens.len() - 1
}

/// The paths of two words and more in the tokens, those of groups one by one, each with its line.
pub fn paths(tokens: &[Token]) -> Vec<(Vec<&str>, usize)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let is_restriction = at > 1 && tokens[at - 1].text == "in" && tokens[at - 2].text == "(";
        let before = found.len();
        at = path(tokens, at, &[], &mut found).max(at + 1);
        if is_restriction {
            found.truncate(before);
        }
    }
    found.retain(|(path, _)| path.len() > 1);
    found
}

/// Reads one path and what its group holds; returns where it ends.
fn path<'a>(
    tokens: &'a [Token],
    from: usize,
    prefix: &[&'a str],
    found: &mut Vec<(Vec<&'a str>, usize)>,
) -> usize {
    let (mut path, mut at) = (prefix.to_vec(), from);
    let belongs = |token: &&Token, path: &[&str]| {
        token.text.starts_with(is_word) || token.text == "*" && !path.is_empty()
    };
    while let Some(token) = tokens.get(at).filter(|token| belongs(token, &path)) {
        path.push(&token.text);
        at += 1;
        if !is(tokens.get(at), "::") {
            break;
        }
        at += 1;
        if is(tokens.get(at), "{") {
            return group(tokens, at + 1, &path, found);
        }
    }
    if path.len() > prefix.len() {
        found.push((path, tokens[from].line));
    }
    at
}

/// Reads what is left of `{a::b, c::{d, e}}` behind its brace.
fn group<'a>(
    tokens: &'a [Token],
    from: usize,
    prefix: &[&'a str],
    found: &mut Vec<(Vec<&'a str>, usize)>,
) -> usize {
    let mut at = from;
    while at < tokens.len() && !is(tokens.get(at), "}") {
        at = path(tokens, at, prefix, found).max(at + 1);
    }
    at + 1
}

/// Which files each file of a module imports.
pub type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// The file of the module at the end of a path, or of the last module on its way.
fn file_of<'a>(files: &BTreeMap<Vec<&'a str>, &'a str>, path: &[&'a str]) -> Option<&'a str> {
    (1..=path.len()).rev().find_map(|length| files.get(&path[..length]).copied())
}

/// What the words at the beginning of a path mean in one file.
struct Scope<'a> {
    own: Vec<&'a str>,
    children: Vec<&'a str>,
    /// What the imports of the file let it call by one word.
    aliases: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Scope<'a> {
    fn new(source: &'a Source, paths: &[Vec<&'a str>]) -> Scope<'a> {
        let mut scope = Scope { own: source.path(), children: source.children(), aliases: BTreeMap::new() };
        for mut path in paths.iter().filter_map(|path| scope.absolute(path)).collect::<Vec<_>>() {
            path.pop_if(|word| *word == "self");
            path.last().copied().map(|last| scope.aliases.insert(last, path));
        }
        scope
    }

    /// A path as seen from the root of the crate; `None` for one that begins outside of it.
    fn absolute(&self, path: &[&'a str]) -> Option<Vec<&'a str>> {
        let ups = path.iter().take_while(|&&word| word == "super").count();
        let from = match path[0] {
            "crate" => return Some(path[1..].to_vec()),
            "super" => &self.own[..self.own.len().checked_sub(ups)?],
            "self" => &self.own,
            child if self.children.contains(&child) => &self.own,
            _ => return None,
        };
        let rest = path.iter().skip_while(|&&word| matches!(word, "super" | "self"));
        Some(from.iter().chain(rest).copied().collect())
    }

    /// The same, or as seen from an import.
    fn resolved(&self, path: &[&'a str]) -> Option<Vec<&'a str>> {
        let imported = || Some([&self.aliases.get(path[0])?[..], &path[1..]].concat());
        self.absolute(path).or_else(imported)
    }
}

/// Who imports whom within a module of src/.
pub fn imports<'a>(sources: &'a [Source], module: &str) -> Graph<'a> {
    let inside = |name: &str| name.split('/').next() == Some(module);
    let files = sources.iter().map(|source| (source.path(), source.name.as_str())).collect();
    let mut graph = Graph::new();
    for source in sources.iter().filter(|source| inside(&source.name)) {
        let paths: Vec<_> = paths(&source.tokens).into_iter().map(|(path, _)| path).collect();
        let scope = Scope::new(source, &paths);
        let named = paths.iter().filter_map(|path| file_of(&files, &scope.resolved(path)?));
        graph.insert(&source.name, named.filter(|name| inside(name) && *name != source.name).collect());
    }
    graph
}

pub fn none(offences: Vec<String>, rule: &str) {
    assert!(offences.is_empty(), "{rule}:\n{}", offences.join("\n"));
}

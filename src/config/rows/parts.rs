//! The options that rwsgi knows and does not have, many to a row.

use super::{planned, refused};
use crate::config::row::{Arg, Row, Status, store_nothing};

/// Options that belong to the same part. In `names`, `=` marks a required value, `~` one that may be left out,
/// `/x` the short letter, and `|` separates spellings of one option.
pub struct Part {
    pub theme: &'static str,
    pub why: &'static str,
    pub names: &'static str,
}

pub fn rows() -> impl Iterator<Item = Row> {
    let planned = planned::PARTS.into_iter().flat_map(|parts| rows_of(parts, Status::Planned));
    rows_of(refused::PARTS, Status::Refused).chain(planned)
}

fn rows_of(parts: &'static [Part], status: fn(&'static str) -> Status) -> impl Iterator<Item = Row> {
    let rows = move |part: &'static Part| {
        part.names.split_ascii_whitespace().map(move |word| row(part, status(part.why), word))
    };
    parts.iter().flat_map(rows)
}

fn row(part: &Part, status: Status, word: &'static str) -> Row {
    let (word, short) = match word.split_once('/') {
        Some((word, letter)) => (word, letter.chars().next()),
        None => (word, None),
    };
    let (names, arg) = match word.as_bytes().last() {
        Some(b'=') => (&word[..word.len() - 1], Arg::Required),
        Some(b'~') => (&word[..word.len() - 1], Arg::Optional),
        _ => (word, Arg::Flag),
    };
    let (name, aliases) = spellings(names);
    let row = Row::works(name, arg, store_nothing, part.why);
    Row { aliases, short, theme: part.theme, status, repeats: true, ..row }
}

/// Rows live as long as the process, and this runs once.
fn spellings(names: &'static str) -> (&'static str, &'static [&'static str]) {
    match names.split_once('|') {
        Some((name, others)) => (name, others.split('|').collect::<Vec<_>>().leak()),
        None => (names, &[]),
    }
}

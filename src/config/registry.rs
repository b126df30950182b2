//! Every option by its names.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::{Row, rows};
use crate::base::nearest::nearest;

struct Registry {
    rows: Vec<Row>,
    by_name: HashMap<&'static str, usize>,
    by_short: HashMap<char, usize>,
}

/// Every row, by theme in the order of the tables.
pub fn all() -> &'static [Row] {
    &registry().rows
}

pub fn find(name: &str) -> Option<&'static Row> {
    let registry = registry();
    registry.by_name.get(name).map(|&i| &registry.rows[i])
}

pub fn find_short(letter: char) -> Option<&'static Row> {
    let registry = registry();
    registry.by_short.get(&letter).map(|&i| &registry.rows[i])
}

/// What a long name on the command line stands for: itself, or the one option that it begins.
pub enum Match {
    One(&'static Row),
    /// The spellings that it could begin.
    Several(Vec<&'static str>),
    None,
}

pub fn find_prefix(prefix: &str) -> Match {
    if let Some(row) = find(prefix) {
        return Match::One(row);
    }
    let mut rows = all().iter().filter(|row| row.spellings().any(|name| name.starts_with(prefix)));
    match (rows.next(), rows.next()) {
        (None, _) => Match::None,
        (Some(row), None) => Match::One(row),
        _ => Match::Several(names().filter(|name| name.starts_with(prefix)).collect()),
    }
}

/// The option that a misspelt name was probably meant to be: a similar one, one that begins with it, or the one that has
/// this letter on the command line.
pub fn suggest(name: &str) -> Option<&'static str> {
    nearest(name, names()).or_else(|| begun(name)).or_else(|| {
        let mut letters = name.chars();
        let letter = letters.next().filter(|_| letters.next().is_none())?;
        find_short(letter).map(|row| row.name)
    })
}

/// `chown` for `chown-socket`.
fn begun(name: &str) -> Option<&'static str> {
    let is_it = |spelling: &&str| spelling.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'));
    names().find(is_it).filter(|_| name.len() > 2)
}

/// Every spelling; the options that work come first.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().iter().flat_map(Row::spellings)
}

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let rows = rows::all();
        let by_name =
            rows.iter().enumerate().flat_map(|(i, row)| row.spellings().map(move |n| (n, i))).collect();
        let by_short = rows.iter().enumerate().filter_map(|(i, row)| Some((row.short?, i))).collect();
        Registry { rows, by_name, by_short }
    })
}

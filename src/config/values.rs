//! What options mean in the end, one by one: for `rwsgi check` and `rwsgi.load_config()`.

use super::row::{Arg, Row};
use super::value::{flag, megabytes, number, seconds, size};
use super::{Origin, Settings, Written, registry, rows};

/// One value of an option, and where it comes from.
#[derive(Clone, Debug)]
pub struct Value {
    pub row: &'static Row,
    /// As it was written, its references resolved.
    pub text: String,
    pub origin: Origin,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    Switch(bool),
    /// Seconds, bytes, or what the option counts.
    Number(u64),
    Text(String),
}

impl Value {
    pub fn meaning(&self) -> Meaning {
        let text = Some(self.text.as_str());
        let number = match self.row.arg {
            Arg::Flag => return Meaning::Switch(flag(text) == Ok(true)),
            Arg::Required | Arg::Optional => None,
            Arg::Number => number(text).ok(),
            Arg::Seconds => seconds(text).map(|time| time.as_secs()).ok(),
            Arg::Size => size(text).ok(),
            Arg::Megabytes => megabytes(text).ok(),
        };
        number.map_or_else(|| Meaning::Text(self.text.clone()), Meaning::Number)
    }
}

/// The last value of each option that `counts`, all of those that repeat, and the defaults of the others.
pub fn values(settings: &Settings, counts: impl Fn(&Row) -> bool) -> Vec<Value> {
    let mut values = Vec::new();
    for row in registry::all().iter().filter(|row| has_meaning(row) && counts(row)) {
        let mut written: Vec<&Written> =
            settings.written.iter().filter(|w| row.spellings().any(|name| name == w.name)).collect();
        if !row.repeats {
            written = written.pop().into_iter().collect();
        }
        let given = written.iter().map(|w| Value {
            row,
            text: w.value.clone().filter(|v| !v.is_empty()).unwrap_or_else(|| "true".to_owned()),
            origin: w.origin.clone(),
        });
        values.extend(given);
        if written.is_empty() && !row.default.is_empty() {
            values.push(Value { row, text: row.default.to_owned(), origin: Origin::Default });
        }
    }
    values
}

impl Settings {
    /// Where an option was written last.
    pub fn origin_of(&self, name: &str) -> Origin {
        self.origin_where(name, |_| true)
    }

    /// Where it was written last with a value that ends so.
    pub fn origin_of_end(&self, name: &str, end: &str) -> Origin {
        self.origin_where(name, |written| written.value.as_deref().is_some_and(|value| value.ends_with(end)))
    }

    fn origin_where(&self, name: &str, fits: impl Fn(&Written) -> bool) -> Origin {
        let is_it = |written: &str| registry::find(written).is_some_and(|row| row.name == name);
        let found = self.written.iter().rev().find(|w| is_it(&w.name) && fits(w));
        found.map_or(Origin::Default, |w| w.origin.clone())
    }
}

/// What only led to other options means nothing by itself.
fn has_meaning(row: &Row) -> bool {
    row.theme != rows::BLOCKS && row.theme != rows::READING
}

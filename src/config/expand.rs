//! `$(VARIABLE)`, `@(file)` and `%(name)` in values, once everything has been read.

use std::collections::{HashMap, HashSet};

use super::actions::acts;
use super::low::{SEALED, index};
use super::source::fetch;
use super::{ConfigError, Origin, Written};

/// A value that grows beyond this is a mistake: names that contain each other grow exponentially.
const MAX_VALUE: usize = 1 << 20;
/// What all values together may grow to.
const MAX_TOTAL: usize = 16 << 20;
const MAX_DEPTH: usize = 128;

/// What references are resolved with.
pub struct Known<'a> {
    pub written: &'a [Written],
    /// Where each name was written first.
    pub index: &'a HashMap<String, usize>,
    pub variables: &'a HashMap<&'a str, &'a str>,
    /// `@(file)` is not read.
    pub sealed: bool,
}

/// What came of resolving every value.
pub struct Resolved {
    /// The names that `%(name)` read.
    pub used: HashSet<String>,
    /// The options that have lost their value by it.
    pub emptied: HashSet<usize>,
}

/// Every value with its references resolved, in place.
pub fn all(
    written: &mut [Written],
    environment: &[(String, String)],
    sealed: bool,
) -> Result<Resolved, ConfigError> {
    let variables: HashMap<&str, &str> = environment.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let index = index(written);
    let mut names = Names::new(&Known { written, index: &index, variables: &variables, sealed }, 0);
    for (i, option) in names.known.written.iter().enumerate() {
        if !acts(&option.name) {
            names.resolve(i, 0)?;
        }
    }
    let Names { values, used, .. } = names;
    let mut emptied = HashSet::new();
    for (i, value) in values {
        if acts(&written[i].name) {
            continue;
        }
        let former = &mut written[i].value;
        if value.is_empty() && former.as_deref().is_some_and(|text| !text.is_empty()) {
            emptied.insert(i);
        }
        *former = Some(value);
    }
    Ok(Resolved { used, emptied })
}

/// One value that is needed while reading. `total` is what all such values have grown to.
pub fn one(
    value: &str,
    known: &Known<'_>,
    used: &mut HashSet<String>,
    total: &mut usize,
    origin: &Origin,
) -> Result<String, ConfigError> {
    if !value.contains("$(") && !value.contains("@(") && !value.contains("%(") {
        return Ok(value.to_owned());
    }
    let mut names = Names::new(known, *total);
    let value = names.value(value, 0, origin)?;
    *total = grown(names.total, &value, origin)?;
    used.extend(names.used);
    Ok(value)
}

/// `$(VARIABLE)`, then `@(file)`.
fn outer(value: &str, known: &Known<'_>, origin: &Origin) -> Result<String, ConfigError> {
    let value = replace(value, "$(", |name| Ok(variable(name, known.variables)), origin)?;
    replace(&value, "@(", |path| content(path, known.sealed, origin).map(Some), origin)
}

/// `NAME`, or `NAME:-default` where the variable is not set or empty.
fn variable(name: &str, variables: &HashMap<&str, &str>) -> Option<String> {
    match name.split_once(":-") {
        Some((name, default)) => {
            let value = variables.get(name).copied().filter(|value| !value.is_empty());
            Some(value.unwrap_or(default).to_owned())
        }
        None => variables.get(name).map(|value| (*value).to_owned()),
    }
}

fn content(path: &str, sealed: bool, origin: &Origin) -> Result<String, ConfigError> {
    let bytes = if sealed { Err(SEALED.to_owned()) } else { fetch(path, MAX_VALUE) };
    let bytes = bytes.map_err(|why| {
        ConfigError::new(origin, format!("cannot read \"{path}\" for @({path}): {why}"), "")
    })?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// Resolves the references of each option once, whichever option asks first.
struct Names<'a> {
    known: Known<'a>,
    values: HashMap<usize, String>,
    /// Being resolved further up: a name that contains itself stays as it is.
    busy: HashSet<usize>,
    used: HashSet<String>,
    total: usize,
}

impl<'a> Names<'a> {
    fn new(known: &Known<'a>, total: usize) -> Names<'a> {
        let known = Known { ..*known };
        Names { known, values: HashMap::new(), busy: HashSet::new(), used: HashSet::new(), total }
    }

    fn resolve(&mut self, i: usize, depth: usize) -> Result<(), ConfigError> {
        let Written { value: Some(value), origin, .. } = &self.known.written[i] else { return Ok(()) };
        if self.values.contains_key(&i) {
            return Ok(());
        }
        self.busy.insert(i);
        let value = self.value(value, depth, origin)?;
        self.busy.remove(&i);
        self.total = grown(self.total, &value, origin)?;
        self.values.insert(i, value);
        Ok(())
    }

    fn value(&mut self, value: &str, depth: usize, origin: &Origin) -> Result<String, ConfigError> {
        let value = outer(value, &self.known, origin)?;
        if !value.contains("%(") {
            return Ok(value);
        }
        replace(&value, "%(", |inner| self.expression(inner, depth), origin)
    }

    /// A name, or names and numbers with operators between them.
    fn expression(&mut self, text: &str, depth: usize) -> Result<Option<String>, ConfigError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if let Some(value) = self.value_of(text, depth)? {
            return Ok(Some(value));
        }
        if !text.contains(char::is_whitespace) {
            return Ok(None);
        }
        let mut result = String::new();
        let mut operator = None;
        for item in text.split_whitespace() {
            match item {
                "+" | "-" | "*" | "/" => operator = Some(item),
                "++" => result = integer(&result).wrapping_add(1).to_string(),
                "--" => result = integer(&result).wrapping_sub(1).to_string(),
                _ => {
                    let is_number = item.bytes().all(|b| b.is_ascii_digit());
                    let value = if is_number { Some(item.to_owned()) } else { self.value_of(item, depth)? };
                    result = apply(operator.take(), result, &value.unwrap_or_default());
                }
            }
            if result.len() > MAX_VALUE {
                return Ok(Some(result));
            }
        }
        Ok(Some(result))
    }

    /// The value of the first option of that name, wherever it stands. Without a value it is true.
    fn value_of(&mut self, name: &str, depth: usize) -> Result<Option<String>, ConfigError> {
        let Some(&i) = self.known.index.get(name) else { return Ok(None) };
        if self.busy.contains(&i) || depth >= MAX_DEPTH {
            return Ok(None);
        }
        self.resolve(i, depth + 1)?;
        self.used.insert(name.to_owned());
        Ok(Some(self.values.get(&i).cloned().unwrap_or_else(|| "true".to_owned())))
    }
}

fn apply(operator: Option<&str>, left: String, right: &str) -> String {
    let number = |f: fn(i64, i64) -> i64| f(integer(&left), integer(right)).to_string();
    match operator {
        Some("+") => number(i64::wrapping_add),
        Some("-") => number(i64::wrapping_sub),
        Some("*") => number(i64::wrapping_mul),
        Some("/") => number(|a, b| a.checked_div(b).unwrap_or(0)),
        _ => left + right,
    }
}

/// The number at the start of a text; 0 where there is none.
fn integer(text: &str) -> i64 {
    let text = text.trim_start();
    let sign = usize::from(text.starts_with(['-', '+']));
    let end = text[sign..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |end| sign + end);
    text[..end].parse().unwrap_or(0)
}

/// Replaces each `open…)` by what `with` says of its inside; `None` leaves it as it stands.
fn replace(
    text: &str,
    open: &str,
    mut with: impl FnMut(&str) -> Result<Option<String>, ConfigError>,
    origin: &Origin,
) -> Result<String, ConfigError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(open) {
        let inside = &rest[start + open.len()..];
        let Some(end) = inside.find(')') else { break };
        out.push_str(&rest[..start]);
        match with(&inside[..end])? {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[start..start + open.len() + end + 1]),
        }
        grown(0, &out, origin)?;
        rest = &inside[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The sum of all values so far with `value`, within the bounds.
fn grown(total: usize, value: &str, origin: &Origin) -> Result<usize, ConfigError> {
    if value.len() > MAX_VALUE || total + value.len() > MAX_TOTAL {
        let message = "the values grow too large when their references are resolved";
        return Err(ConfigError::new(origin, message, "look for names that contain each other"));
    }
    Ok(total + value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(pairs: &[(&str, &str)]) -> Result<Vec<String>, ConfigError> {
        let written = |(name, value): &(&str, &str)| Written {
            name: (*name).into(),
            value: Some((*value).into()),
            origin: Origin::CommandLine,
        };
        let mut list: Vec<Written> = pairs.iter().map(written).collect();
        let environment = [("HOME".to_owned(), "/root".to_owned()), ("EMPTY".to_owned(), String::new())];
        all(&mut list, &environment, false)?;
        Ok(list.into_iter().map(|w| w.value.unwrap_or_default()).collect())
    }

    fn last(pairs: &[(&str, &str)]) -> String {
        resolve(pairs).unwrap().pop().unwrap()
    }

    #[test]
    fn environment_and_files() {
        assert_eq!(
            last(&[("a", "$(HOME)/x $(NONE) $(NONE:-d) $(EMPTY:-e) $(HOME:-f)")]),
            "/root/x $(NONE) d e /root"
        );
        assert!(resolve(&[("a", "@(/no/such/file)")]).is_err());
    }

    #[test]
    fn names_wherever_they_stand() {
        assert_eq!(last(&[("a", "%(b)/%(none)"), ("b", "x"), ("b", "y"), ("c", "%(a)")]), "x/%(none)");
        assert_eq!(last(&[("h", "HOME"), ("a", "%(h) $(HOME")]), "HOME $(HOME");
    }

    #[test]
    fn arithmetic_goes_from_left_to_right() {
        for (text, value) in [
            ("%(a * 3)", "15"),
            ("%(a ++ 1)", "61"),
            ("%(8 * 4)", "32"),
            ("%(a + 2 * 3)", "21"),
            ("%(a / 0)", "0"),
            ("%(a - 7)", "-2"),
            ("%(a --)", "4"),
            ("%(a a)", "55"),
            ("%(a - -1)", "5"),
            ("%()", "%()"),
            ("%(none * 3)", "0"),
            ("%(9223372036854775807 + 1)", "-9223372036854775808"),
        ] {
            assert_eq!(last(&[("a", "5"), ("x", text)]), value, "{text}");
        }
    }

    #[test]
    fn loops_and_explosions_end() {
        assert_eq!(last(&[("a", "%(b)"), ("b", "%(a)")]), "%(a)");
        let names: Vec<String> = (0..200).map(|i| format!("n{i}")).collect();
        let values: Vec<String> = (0..200).map(|i| format!("x%(n{})%(n{})", i + 1, i + 1)).collect();
        let bomb: Vec<(&str, &str)> =
            names.iter().zip(&values).map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert!(resolve(&bomb).is_err());
        assert!(resolve(&bomb.iter().rev().copied().collect::<Vec<_>>()).is_err());
    }
}

//! TOML: `[tool.rwsgi]` of pyproject.toml, or a table that is named.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Fault, Lines, Parsed, hyphenated};

/// Where the options are when no table is named.
const DEFAULT_TABLES: [&str; 3] = ["tool.rwsgi", "rwsgi", "uwsgi"];

pub fn parse(text: &str, section: Option<&str>) -> Result<Parsed, Fault> {
    let mut lines = Lines::new(text);
    let root = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| lines.at(span.start));
        Fault::new(line, format!("this is no TOML: {}", error.message()), "")
    })?;
    let mut parsed = Parsed::default();
    let found = match section {
        Some(name) => table(root.get_ref(), name),
        None => DEFAULT_TABLES.into_iter().find_map(|name| table(root.get_ref(), name)),
    };
    let Some(options) = found else { return Ok(parsed) };
    parsed.found = true;
    for (name, value) in ordered(options) {
        option(&mut parsed, &hyphenated(name), value, &mut lines)?;
    }
    Ok(parsed)
}

/// The table of a dotted name.
fn table<'a, 'i>(root: &'a DeTable<'i>, name: &str) -> Option<&'a DeTable<'i>> {
    name.split('.').try_fold(root, |table, key| table.get(key)?.get_ref().as_table())
}

/// The crate sorts keys; an order of options has a meaning.
fn ordered<'a, 'i>(table: &'a DeTable<'i>) -> Vec<(&'a str, &'a Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries.into_iter().map(|(key, value)| (key.get_ref().as_ref(), value)).collect()
}

fn option(
    parsed: &mut Parsed,
    name: &str,
    value: &Spanned<DeValue<'_>>,
    lines: &mut Lines<'_>,
) -> Result<(), Fault> {
    let line = lines.at(value.span().start);
    match value.get_ref() {
        DeValue::Array(items) => items.iter().try_for_each(|item| {
            let line = lines.at(item.span().start);
            entry(parsed, line, name, item.get_ref())
        }),
        DeValue::Table(pairs) => ordered(pairs).into_iter().try_for_each(|(key, value)| {
            let line = lines.at(value.span().start);
            match scalar(value.get_ref()) {
                Some(text) => parsed.push(line, name, format!("{key}={text}")),
                None => entry(parsed, line, name, value.get_ref()),
            }
        }),
        single => entry(parsed, line, name, single),
    }
}

fn entry(parsed: &mut Parsed, line: u32, name: &str, value: &DeValue<'_>) -> Result<(), Fault> {
    match scalar(value) {
        Some(text) => parsed.push(line, name, text),
        None => {
            parsed.note(
                line,
                format!("the value of \"{name}\" is not read; write a text, a number or a list of them"),
            );
            Ok(())
        }
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    Some(match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(on) => on.to_string(),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::TOO_DEEP;
    use super::*;

    #[test]
    fn the_table_of_a_project() {
        let text = "[project]\nname = \"x\"\n[tool.rwsgi]\nsocket = [\n  \":1\",\n  \":2\"]\nmax_requests = 1_000\nmaster = true\nenv = { A = 1, B = \"x\" }\nhttp_sockets = 1\n";
        assert_eq!(
            parse(text, None).unwrap().lines(),
            [
                "5:socket=:1",
                "6:socket=:2",
                "7:max-requests=1000",
                "8:master=true",
                "9:env=A=1",
                "9:env=B=x",
                "10:http_sockets=1"
            ]
        );
        assert_eq!(parse("[uwsgi]\na = 1\n", None).unwrap().lines(), ["2:a=1"]);
        assert_eq!(parse("[a.b]\nc = \"d\"\n", Some("a.b")).unwrap().lines(), ["2:c=d"]);
    }

    #[test]
    fn mistakes_have_a_line() {
        let fault = parse("[uwsgi]\na = \n", None).unwrap_err();
        assert_eq!(fault.line, 2);
        assert!(fault.text.starts_with("this is no TOML: "), "{}", fault.text);
        assert!(!parse("a = 1", None).unwrap().found);
        assert_eq!(parse("[uwsgi]\na = [[1]]\nb = 1979-05-27\n", None).unwrap().notes.len(), 2);
        assert!(parse(&format!("a = {}", "[".repeat(TOO_DEEP)), None).is_err());
    }
}

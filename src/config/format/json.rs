//! JSON: the object `uwsgi`, its lists repeating the option. Duplicate keys count, in order.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{DEFAULT_SECTION, Fault, Lines, Parsed};

pub fn parse(text: &str, section: Option<&str>) -> Result<Parsed, Fault> {
    let wanted = section.unwrap_or(DEFAULT_SECTION);
    let mut parsed = Parsed::default();
    let mut lines = Lines::new(text);
    let root: Entries<'_> = serde_json::from_str(text).map_err(|error| fault(&error))?;
    for (name, value) in root.0 {
        if name != wanted {
            continue;
        }
        parsed.found = true;
        let line = line_of(value, text, &mut lines);
        let Ok(options) = serde_json::from_str::<Entries<'_>>(value.get()) else {
            return Err(Fault::new(line, format!("\"{wanted}\" is no object"), "write {\"NAME\": VALUE, …}"));
        };
        for (name, value) in options.0 {
            option(&mut parsed, &name, value, text, &mut lines)?;
        }
    }
    Ok(parsed)
}

fn option(
    parsed: &mut Parsed,
    name: &str,
    value: &RawValue,
    text: &str,
    lines: &mut Lines<'_>,
) -> Result<(), Fault> {
    let line = line_of(value, text, lines);
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(value.get()) else {
        return scalar(parsed, line, name, value);
    };
    for item in items {
        let line = line_of(item, text, lines);
        scalar(parsed, line, name, item)?;
    }
    Ok(())
}

/// As uWSGI's reader has it: true is 1, false and null are 0.
fn scalar(parsed: &mut Parsed, line: u32, name: &str, value: &RawValue) -> Result<(), Fault> {
    let text = value.get();
    let value = match text.as_bytes().first() {
        Some(b't') => "1".to_owned(),
        Some(b'f' | b'n') => "0".to_owned(),
        Some(b'"') => serde_json::from_str(text).map_err(|error| Fault::new(line, error.to_string(), ""))?,
        Some(b'{' | b'[') => {
            parsed.note(
                line,
                format!("the value of \"{name}\" is not read; write a text, a number or a list of them"),
            );
            return Ok(());
        }
        _ => text.to_owned(),
    };
    parsed.push(line, name, value)
}

/// Where a part of `text` stands in it.
fn line_of(value: &RawValue, text: &str, lines: &mut Lines<'_>) -> u32 {
    lines.at((value.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize))
}

fn fault(error: &serde_json::Error) -> Fault {
    let text = error.to_string();
    // The position has its place in front of the message already.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let line = u32::try_from(error.line()).unwrap_or(u32::MAX).max(1);
    Fault::new(line, format!("this is no JSON: {text}"), "")
}

/// The entries of an object in the order in which they were written.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::super::TOO_DEEP;
    use super::*;

    #[test]
    fn order_duplicates_lists_and_lines() {
        let text = "{\"other\": {\"x\": 1},\n \"uwsgi\": {\n  \"socket\": [\":1\",\n \":2\"],\n\"z\": 4, \"a\": true,\n\"b\": null, \"z\": 1.5, \"t\": \"a\\n\\u00e4\"}}";
        assert_eq!(
            parse(text, None).unwrap().lines(),
            ["3:socket=:1", "4:socket=:2", "5:z=4", "5:a=1", "6:b=0", "6:z=1.5", "6:t=a\nä"]
        );
        assert_eq!(parse(text, Some("other")).unwrap().lines(), ["1:x=1"]);
    }

    #[test]
    fn mistakes_have_a_line() {
        let fault = parse("{\n\"uwsgi\": {\n\"a\": 1,}}", None).unwrap_err();
        assert_eq!((fault.line, fault.text.as_str()), (3, "this is no JSON: key must be a string"));
        assert_eq!(parse("{\"uwsgi\":\n 4}", None).unwrap_err().line, 2);
        assert!(!parse("{}", None).unwrap().found);
        assert_eq!(parse("{\"uwsgi\": {\"a\": {\"b\": 1}, \"c\": [[1]]}}", None).unwrap().notes.len(), 2);
        assert!(parse(&"[".repeat(TOO_DEEP), None).is_err());
        assert!(parse(&format!("{{\"uwsgi\": {{\"a\": {}", "[".repeat(TOO_DEEP)), None).is_err());
    }
}

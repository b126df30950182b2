//! Ini files, as uWSGI reads them.

use super::{DEFAULT_SECTION, Fault, Parsed};
use crate::base::nearest::nearest;

/// A section may stand in several places; all of them count.
pub fn parse(text: &str, section: Option<&str>) -> Result<Parsed, Fault> {
    let wanted = section.unwrap_or(DEFAULT_SECTION);
    let mut parsed = Parsed::default();
    let mut current: Option<&str> = None;
    let mut warned = false;
    let mut sections = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            let name = section_name(header, line, number, &mut parsed);
            parsed.found |= name == wanted;
            current = Some(name);
            sections.push(name);
        } else if current == Some(wanted) {
            // A line without "=" is an option with an empty value, which for a flag is true.
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            parsed.push(number, name.trim_end(), value.trim_start())?;
        } else if current.is_none() && !warned {
            warned = true;
            parsed.note(
                number,
                format!("lines before the first section are not read; put [{wanted}] above them"),
            );
        }
    }
    if !parsed.found {
        parsed.likely = nearest(wanted, sections).map(str::to_owned);
    }
    Ok(parsed)
}

fn section_name<'a>(header: &'a str, line: &str, number: u32, parsed: &mut Parsed) -> &'a str {
    let name = header.split(']').next().unwrap_or(header);
    if header.len() != name.len() + 1 {
        parsed.note(number, format!("\"{line}\" is read as [{name}]; nothing may follow the bracket"));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str, section: Option<&str>) -> Vec<(String, String)> {
        parse(text, section).unwrap().items.into_iter().map(|i| (i.name, i.value)).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    #[test]
    fn lines_comments_sections_and_line_ends() {
        let text =
            "[uwsgi]\r\n; no\n # no\n  chdir =  /a b \r\nmaster\nenv=A=1\n[other]\nx=1\n[uwsgi]\nlisten=\n";
        let expected = [pair("chdir", "/a b"), pair("master", ""), pair("env", "A=1"), pair("listen", "")];
        assert_eq!(pairs(text, None), expected);
        assert_eq!(pairs(text, Some("other")), [pair("x", "1")]);
        assert_eq!(parse(text, None).unwrap().items[3].line, 10);
    }

    #[test]
    fn what_is_not_read_is_said() {
        let parsed = parse("a=1\nb=2\n", None).unwrap();
        assert!(!parsed.found);
        assert_eq!(
            parsed.notes,
            [(1, "lines before the first section are not read; put [uwsgi] above them".into())]
        );
        assert_eq!(
            parse("[uwsgi] ; mine\n", None).unwrap().notes,
            [(1, "\"[uwsgi] ; mine\" is read as [uwsgi]; nothing may follow the bracket".into())]
        );
    }
}

//! Ini files, as uWSGI reads them.

use super::low::Low;
use super::{ConfigError, Origin, magic};

const DEFAULT_SECTION: &str = "uwsgi";

/// Pushes every option of the section. A section may stand in several places; all of them count.
pub fn read(
    low: &mut Low<'_>,
    text: &str,
    path: &str,
    section: Option<&str>,
    file: &magic::File,
) -> Result<(), ConfigError> {
    let wanted = section.unwrap_or(DEFAULT_SECTION);
    let mut current: Option<String> = None;
    let mut found = false;
    let mut warned = false;
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        let origin = Origin::File { path: path.to_owned(), line: number };
        if let Some(header) = line.strip_prefix('[') {
            let name = header.split(']').next().unwrap_or(header);
            if header.len() != name.len() + 1 {
                low.warn(&origin, format!("\"{line}\" is read as [{name}]; nothing may follow the bracket"));
            }
            found |= name == wanted;
            current = Some(name.to_owned());
        } else if current.as_deref() == Some(wanted) {
            option(low, line, &origin, file)?;
        } else if current.is_none() && !warned {
            warned = true;
            low.warn(
                &origin,
                format!("lines before the first section are not read; put [{wanted}] above them"),
            );
        }
    }
    if !found {
        let origin = Origin::File { path: path.to_owned(), line: 1 };
        low.warn(&origin, format!("there is no section [{wanted}]; nothing is read from this file"));
    }
    Ok(())
}

fn option(low: &mut Low<'_>, line: &str, origin: &Origin, file: &magic::File) -> Result<(), ConfigError> {
    let first = low.first_file().unwrap_or(file).clone();
    let (line, lost) = magic::substitute(line, file, &first);
    if let Some(letter) = lost {
        low.warn(
            origin,
            format!("\"%{letter}\" is no variable and is left out; write %%{letter} for a percent sign"),
        );
    }
    if line.contains('\u{fffd}') {
        low.warn(origin, "this line is not UTF-8; what cannot be read is replaced by \u{fffd}");
    }
    // A line without "=" is an option with an empty value, which for a flag is true.
    let (name, value) = line.split_once('=').unwrap_or((&line, ""));
    let (name, value) = (name.trim(), value.trim());
    if has_comment(value) {
        let text =
            format!("the value of \"{name}\" is \"{value}\"; a comment must stand on a line of its own");
        low.warn(origin, text);
    }
    low.push(name, Some(value), origin)
}

/// Whether a value has what looks like a comment behind it, outside of quotes.
fn has_comment(value: &str) -> bool {
    let mut quote = None;
    let mut after_blank = false;
    for c in value.chars() {
        match (quote, c) {
            (None, ';' | '#') if after_blank => return true,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            _ => {}
        }
        after_blank = c.is_whitespace();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, section: Option<&str>) -> (Vec<(String, Option<String>)>, Vec<String>) {
        let mut low = Low::new(&[]);
        let file = magic::File::new("dir/site.ini", "dir/site.ini", section);
        read(&mut low, text, "site.ini", section, &file).unwrap();
        let written = low.written.into_iter().map(|w| (w.name, w.value)).collect();
        (written, low.warnings.iter().map(ToString::to_string).collect())
    }

    fn pairs(text: &str) -> Vec<(String, Option<String>)> {
        parse(text, None).0
    }

    fn pair(name: &str, value: &str) -> (String, Option<String>) {
        (name.into(), Some(value.into()))
    }

    #[test]
    fn lines_comments_sections_and_line_ends() {
        let text = "\u{feff}[uwsgi]\r\n; no\n # no\n  chdir =  /a b \r\nmaster\nenv=A=1\n[other]\nx=1\n[uwsgi]\nlisten=\n";
        let expected = [pair("chdir", "/a b"), pair("master", ""), pair("env", "A=1"), pair("listen", "")];
        assert_eq!(pairs(text), expected);
        assert_eq!(parse(text, Some("other")).0, [pair("x", "1")]);
    }

    #[test]
    fn what_is_not_read_is_said() {
        assert_eq!(
            parse("a=1\nb=2\n", None).1,
            [
                "site.ini:1: lines before the first section are not read; put [uwsgi] above them",
                "site.ini:1: there is no section [uwsgi]; nothing is read from this file",
            ]
        );
        assert_eq!(
            parse("[uwsgi] ; mine\n", None).1,
            ["site.ini:1: \"[uwsgi] ; mine\" is read as [uwsgi]; nothing may follow the bracket"]
        );
        assert_eq!(
            parse("[uwsgi]\nharakiri = 30 ; seconds\ncmd = 'a # b'\nc = a#b;c\n", None).1,
            [
                "site.ini:2: the value of \"harakiri\" is \"30 ; seconds\"; a comment must stand on a line of its own"
            ]
        );
    }

    #[test]
    fn magic_is_substituted_while_reading() {
        assert_eq!(
            pairs("[uwsgi]\npidfile = /tmp/%n.pid\np = 100%%\n"),
            [pair("pidfile", "/tmp/site.pid"), pair("p", "100%")]
        );
        assert_eq!(
            parse("[uwsgi]\nlog-date = %Y\n", None).1,
            ["site.ini:2: \"%Y\" is no variable and is left out; write %%Y for a percent sign"]
        );
    }
}

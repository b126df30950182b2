//! Reading a file of options in its place.

use super::format::{self, Fault, Format, Item};
use super::low::Low;
use super::{ConfigError, Origin, magic, registry, source};

const MAX_FILES: usize = 256;
const MAX_FILE: usize = 4 << 20;
/// What all files together may have.
const MAX_BYTES: usize = 32 << 20;
pub const LOOP: &str = "look for a file that includes itself";

/// `include`, `config`, `inherit`: the name, which has been resolved, says which format it is.
pub fn include(low: &mut Low<'_>, value: &str, origin: &Origin) -> Result<(), ConfigError> {
    let (path, _) = split_section(low, None, value, origin)?;
    let Some(format) = Format::of_path(&path) else {
        let message = format!("the name \"{value}\" does not say what kind of file it is");
        let remedy =
            "let it end in .ini, .xml, .yaml, .json or .toml, or name it with one of the options ini, xml, …";
        return Err(ConfigError::new(origin, message, remedy));
    };
    read_resolved(low, format, value, origin)
}

/// Reads `FILE`, `FILE:SECTION`, `:SECTION` or a URL in place.
pub fn read(low: &mut Low<'_>, format: Format, value: &str, origin: &Origin) -> Result<(), ConfigError> {
    let value = low.resolve(value, origin)?;
    read_resolved(low, format, &value, origin)
}

fn read_resolved(low: &mut Low<'_>, format: Format, value: &str, origin: &Origin) -> Result<(), ConfigError> {
    let (path, section) = split_section(low, Some(format), value, origin)?;
    let text = text_of(low, &path, origin)?;
    // Without a name, as in ":section", `%o` is empty.
    let given = if value.starts_with(':') { "" } else { &path };
    let file = if source::is_url(&path) {
        magic::File::of_url(given, low.files.latest.as_ref())
    } else {
        magic::File::new(given, &path, section.as_deref())
    };
    low.files.last.insert(format, path.clone());
    low.files.first.get_or_insert_with(|| file.clone());
    low.files.latest = Some(file.clone());
    let text = Text::new(low, path, text)?;
    low.nested(origin, |low| options(low, format, &text, section.as_deref(), &file))
}

/// Reads a text that is no file.
pub fn read_text(low: &mut Low<'_>, format: Format, text: &str) -> Result<(), ConfigError> {
    let file = magic::File::of_url("text", None);
    let text = Text::new(low, "text".to_owned(), text.to_owned())?;
    options(low, format, &text, None, &file)
}

/// A text, and where its lines are from: something may be put before and behind it.
struct Text {
    text: String,
    /// Each part with the line that it starts at.
    parts: Vec<(u32, String)>,
}

impl Text {
    fn new(low: &mut Low<'_>, path: String, text: String) -> Result<Text, ConfigError> {
        let mut all = Text { text: String::new(), parts: Vec::new() };
        for (name, origin) in low.files.before.clone() {
            let text = text_of(low, &name, &origin)?;
            all.add(name, &text);
        }
        all.add(path, &text);
        for (name, origin) in low.files.after.clone() {
            let text = text_of(low, &name, &origin)?;
            all.add(name, &text);
        }
        Ok(all)
    }

    fn add(&mut self, path: String, text: &str) {
        let line = 1 + u32::try_from(self.text.matches('\n').count()).unwrap_or(u32::MAX - 1);
        self.parts.push((line, path));
        self.text.push_str(text);
    }

    fn origin(&self, line: u32) -> Origin {
        let part = self.parts.iter().rev().find(|(first, _)| *first <= line).or(self.parts.first());
        let (first, path) = part.map_or((1, ""), |(first, path)| (*first, path));
        Origin::File { path: path.to_owned(), line: line.saturating_sub(first) + 1 }
    }

    fn has(&self, origin: &Origin) -> bool {
        matches!(origin, Origin::File { path, .. } if self.parts.iter().any(|(_, part)| part == path))
    }
}

fn text_of(low: &mut Low<'_>, path: &str, origin: &Origin) -> Result<String, ConfigError> {
    low.files.count += 1;
    if low.files.count > MAX_FILES {
        return Err(ConfigError::new(origin, format!("more than {MAX_FILES} files are read"), LOOP));
    }
    let bytes = low.fetch(path, MAX_FILE).map_err(|why| cannot_read(path, &why, origin))?;
    low.files.bytes += bytes.len();
    if low.files.bytes > MAX_BYTES {
        return Err(ConfigError::new(origin, "the files have more than 32 MiB together", LOOP));
    }
    if bytes.contains(&0) {
        let message = format!("\"{path}\" is no text: it has bytes that are 0");
        return Err(ConfigError::new(origin, message, "name a configuration"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn cannot_read(path: &str, why: &str, origin: &Origin) -> ConfigError {
    let remedy = if std::path::Path::new(path).is_dir() {
        "name a file in it"
    } else if path.starts_with('/') || source::is_url(path) {
        ""
    } else if matches!(origin, Origin::File { .. }) {
        "the path is relative to the current directory; in a file, %d is the directory of that file"
    } else {
        "the path is relative to the current directory"
    };
    ConfigError::new(origin, format!("cannot read \"{path}\": {why}"), remedy)
}

fn options(
    low: &mut Low<'_>,
    format: Format,
    text: &Text,
    section: Option<&str>,
    file: &magic::File,
) -> Result<(), ConfigError> {
    let fault = |fault: Fault| ConfigError::new(&text.origin(fault.line), fault.text, fault.remedy);
    let parsed = if format == Format::Yaml {
        format::parse(format, &substitute_text(low, text, file), section)
    } else {
        format::parse(format, &text.text, section)
    };
    let parsed = parsed.map_err(fault)?;
    for (line, note) in parsed.notes {
        low.warn(&text.origin(line), note);
    }
    if !parsed.found {
        let heading = format::heading(format, section);
        if format == Format::Xml {
            return Err(ConfigError::new(
                &text.origin(1),
                format!("there is no {heading}"),
                "options stand in it",
            ));
        }
        let likely = parsed.likely.map(|name| format!("; did you mean [{name}] to be it?"));
        let why = match text.text.trim() {
            "" => "this file is empty".to_owned(),
            _ => format!("there is no {heading}; nothing is read from this file"),
        };
        low.warn(&text.origin(1), why + &likely.unwrap_or_default());
    }
    for item in parsed.items {
        let origin = text.origin(item.line);
        option(low, format, item, &origin, file)?;
        if low.action.is_some() {
            return Ok(());
        }
    }
    low.warn_unclosed(" in this file", |origin| text.has(origin));
    Ok(())
}

fn option(
    low: &mut Low<'_>,
    format: Format,
    item: Item,
    origin: &Origin,
    file: &magic::File,
) -> Result<(), ConfigError> {
    let (name, value) = if format == Format::Yaml {
        (item.name, item.value)
    } else {
        (substitute(low, &item.name, file, origin), substitute(low, &item.value, file, origin))
    };
    // A variable may have been all there was.
    let value = if format == Format::Ini { value.trim() } else { &value };
    if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
        low.warn(origin, "this line is not UTF-8; what cannot be read is replaced by \u{fffd}");
    }
    if format == Format::Ini
        && let Some(plain) = before_comment(value)
    {
        low.warn(origin, comment(&name, value, plain));
    }
    low.push(&name, Some(value), origin)
}

/// `text` with its magic variables replaced.
fn substitute(low: &mut Low<'_>, text: &str, file: &magic::File, origin: &Origin) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let first = low.files.first.as_ref().unwrap_or(file);
    let (text, lost) = magic::substitute(text, file, first);
    if let Some(letter) = lost {
        let text =
            format!("\"%{letter}\" is no variable and is left out; write %%{letter} for a percent sign");
        low.warn(origin, text);
    }
    text
}

/// YAML reserves the percent sign, so variables are replaced before it is parsed, as uWSGI does with every format.
fn substitute_text(low: &mut Low<'_>, text: &Text, file: &magic::File) -> String {
    let mut out = String::with_capacity(text.text.len());
    for (number, line) in (1..).zip(text.text.split_inclusive('\n')) {
        let content = line.trim_end_matches(['\n', '\r']);
        if content.trim_start().starts_with(['#', '%']) {
            out.push_str(line);
        } else {
            out.push_str(&substitute(low, content, file, &text.origin(number)));
            out.push_str(&line[content.len()..]);
        }
    }
    out
}

/// What stands before what looks like a comment, outside of quotes.
pub fn before_comment(value: &str) -> Option<&str> {
    let mut quote = None;
    let mut after_blank = false;
    for (i, c) in value.char_indices() {
        match (quote, c) {
            (None, ';' | '#') if after_blank => return Some(value[..i].trim_end()),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            _ => {}
        }
        after_blank = c.is_whitespace();
    }
    None
}

/// What a comment behind a value does: with flags it switches on what should be off, with paths it becomes part of them.
fn comment(name: &str, value: &str, plain: &str) -> String {
    let is_flag = registry::find(name).is_some_and(|row| row.arg == super::Arg::Flag);
    let read = if is_flag {
        "true".to_owned()
    } else if !plain.is_empty() && plain.bytes().all(|b| b.is_ascii_digit()) {
        plain.to_owned()
    } else {
        "all of it".to_owned()
    };
    format!(
        "the value of \"{name}\" is \"{value}\", which uWSGI reads as {read}; a comment must stand on a line of its own"
    )
}

fn split_section(
    low: &Low<'_>,
    format: Option<Format>,
    value: &str,
    origin: &Origin,
) -> Result<(String, Option<String>), ConfigError> {
    let Some((path, section)) = value.rsplit_once(':').filter(|_| may_have_section(value)) else {
        return Ok((value.to_owned(), None));
    };
    let last = format.and_then(|format| low.files.last.get(&format));
    let path = match (path, last) {
        ("", Some(last)) => last.clone(),
        ("", None) => {
            let message = format!("\"{value}\" names a section, but no file was read");
            return Err(ConfigError::new(origin, message, format!("write FILE{value}")));
        }
        _ => path.to_owned(),
    };
    Ok((path, Some(section.to_owned()).filter(|name| !name.is_empty())))
}

/// Colons are also in the names of files, and in addresses and commands of URLs.
fn may_have_section(value: &str) -> bool {
    match value.split_once("://") {
        Some(("exec", _)) => false,
        Some((_, rest)) => rest.rsplit_once(':').is_some_and(|(_, section)| {
            !section.contains('/') && !section.bytes().all(|b| b.is_ascii_digit())
        }),
        None => std::fs::metadata(value).is_err(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_behind_values() {
        for (value, plain) in [
            ("30 ; seconds", Some("30")),
            ("'a # b'", None),
            ("a#b;c", None),
            ("a 'b' # c", Some("a 'b'")),
            ("a\t; b", Some("a")),
            ("", None),
        ] {
            assert_eq!(before_comment(value), plain, "{value}");
        }
        let text = comment("vacuum", "false ; x", "false");
        assert!(text.contains("which uWSGI reads as true"), "{text}");
        assert!(comment("processes", "4 ; x", "4").contains("which uWSGI reads as 4"));
        assert!(comment("chdir", "/a ; x", "/a").contains("which uWSGI reads as all of it"));
    }

    #[test]
    fn sections_behind_names() {
        let low = Low::new(&[]);
        let split = |value| split_section(&low, None, value, &Origin::CommandLine).unwrap();
        let pair = |path: &str, section: Option<&str>| (path.to_owned(), section.map(str::to_owned));
        assert_eq!(split("a.ini:x"), pair("a.ini", Some("x")));
        assert_eq!(split("a.ini:"), pair("a.ini", None));
        assert_eq!(split("exec://a:b"), pair("exec://a:b", None));
        assert_eq!(split("http://h:80/a.ini"), pair("http://h:80/a.ini", None));
        assert_eq!(split("http://h:80"), pair("http://h:80", None));
        assert_eq!(split("http://h/a.ini:x"), pair("http://h/a.ini", Some("x")));
        assert_eq!(split("-:x"), pair("-", Some("x")));
        assert!(split_section(&low, None, ":x", &Origin::CommandLine).is_err());
    }
}

//! File formats: from the text of a file to the options that one of its sections holds. Nothing is looked up or acted on here.

mod ini;
mod json;
mod toml;
mod xml;
mod yaml;

use super::registry;

/// The section that is read when none is named.
const DEFAULT_SECTION: &str = "uwsgi";
const MAX_ITEMS: usize = 100_000;

/// Brackets in a row that no parser may follow. Under miri each of them takes milliseconds.
#[cfg(test)]
const TOO_DEEP: usize = if cfg!(miri) { 1_000 } else { 100_000 };

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    Ini,
    Xml,
    Yaml,
    Json,
    Toml,
}

impl Format {
    pub const ALL: [Format; 5] = [Format::Ini, Format::Xml, Format::Yaml, Format::Json, Format::Toml];

    /// By the name of the option that reads it.
    pub fn of_option(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.option() == name)
    }

    /// By the name of the file.
    pub fn of_path(path: &str) -> Option<Format> {
        Some(match path.rsplit_once('.')?.1 {
            "ini" => Format::Ini,
            "xml" => Format::Xml,
            "yaml" | "yml" => Format::Yaml,
            "json" | "js" => Format::Json,
            "toml" => Format::Toml,
            _ => return None,
        })
    }

    pub fn option(self) -> &'static str {
        match self {
            Format::Ini => "ini",
            Format::Xml => "xml",
            Format::Yaml => "yaml",
            Format::Json => "json",
            Format::Toml => "toml",
        }
    }
}

/// One option as the file has it, its magic variables not replaced yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub line: u32,
    pub name: String,
    pub value: String,
}

#[derive(Clone, Debug, Default)]
pub struct Parsed {
    pub items: Vec<Item>,
    /// What its writer may not expect, with its line.
    pub notes: Vec<(u32, String)>,
    /// The section was there.
    pub found: bool,
    /// Where it was not: a section with a similar name.
    pub likely: Option<String>,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub line: u32,
    pub text: String,
    /// What to do; may be empty.
    pub remedy: String,
}

impl Fault {
    fn new(line: u32, text: impl Into<String>, remedy: &str) -> Fault {
        Fault { line, text: text.into(), remedy: remedy.to_owned() }
    }
}

impl Parsed {
    fn push(&mut self, line: u32, name: &str, value: impl Into<String>) -> Result<(), Fault> {
        if self.items.len() >= MAX_ITEMS {
            return Err(Fault::new(line, format!("more than {MAX_ITEMS} options in one file"), ""));
        }
        self.items.push(Item { line, name: name.to_owned(), value: value.into() });
        Ok(())
    }

    /// `line:name=value` each, as tests compare them.
    #[cfg(test)]
    fn lines(self) -> Vec<String> {
        self.items.into_iter().map(|item| format!("{}:{}={}", item.line, item.name, item.value)).collect()
    }

    fn note(&mut self, line: u32, text: impl Into<String>) {
        self.notes.push((line, text.into()));
    }
}

/// The options of one section of a text, in order.
pub fn parse(format: Format, text: &str, section: Option<&str>) -> Result<Parsed, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match format {
        Format::Ini => ini::parse(text, section),
        Format::Xml => xml::parse(text, section),
        Format::Yaml => yaml::parse(text, section),
        Format::Json => json::parse(text, section),
        Format::Toml => toml::parse(text, section),
    }
}

/// How the section that a file must have is written in its format.
pub fn heading(format: Format, section: Option<&str>) -> String {
    let name = section.unwrap_or(DEFAULT_SECTION);
    match (format, section) {
        (Format::Ini, _) => format!("section [{name}]"),
        (Format::Xml, None) => "element <uwsgi>".to_owned(),
        (Format::Xml, Some(id)) => format!("element <uwsgi id=\"{id}\">"),
        (Format::Yaml | Format::Json, _) => format!("top-level key \"{name}\""),
        (Format::Toml, None) => "table [tool.rwsgi]".to_owned(),
        (Format::Toml, Some(name)) => format!("table [{name}]"),
    }
}

/// The line, from 1, of each offset of a text, asked for in rising order.
struct Lines<'a> {
    text: &'a str,
    offset: usize,
    line: u32,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Lines<'a> {
        Lines { text, offset: 0, line: 1 }
    }

    fn at(&mut self, offset: usize) -> u32 {
        let offset = offset.min(self.text.len());
        if offset < self.offset {
            (self.offset, self.line) = (0, 1);
        }
        let newlines = self.text.as_bytes()[self.offset..offset].iter().filter(|&&b| b == b'\n').count();
        self.offset = offset;
        self.line = self.line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
        self.line
    }
}

/// `http_socket` is `http-socket` in the formats whose keys have underscores by custom.
fn hyphenated(name: &str) -> String {
    let hyphens = name.replace('_', "-");
    if registry::find(name).is_none() && registry::find(&hyphens).is_some() {
        hyphens
    } else {
        name.to_owned()
    }
}

//! A report for people, and as JSON.

use std::collections::HashMap;
use std::fmt::Write;

use serde_json::{Value as Json, json};

use super::{Finding, Line, Report, Severity, State};
use crate::config::Origin;

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Works => "ok",
            State::Accepted => "nothing to do",
            State::Planned => "not yet",
            State::Refused => "refused",
            State::Variable => "variable",
            State::Unknown => "unknown",
            State::Skipped => "skipped",
            State::Wrong => "wrong",
        }
    }
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const GREEN: &str = "\x1b[32m";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";

/// Longer values are cut in the table; JSON has all of them.
const MAX_WIDTH: usize = 48;

struct Page {
    text: String,
    colour: bool,
}

impl Page {
    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("{colour}{text}\x1b[0m") } else { text.to_owned() }
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }
}

impl Report {
    /// For people: each line with its state and what is to be said about it, then what it all means.
    pub fn text(&self, colour: bool) -> String {
        let mut page = Page { text: String::new(), colour };
        let mut place = None;
        let mut unsaid = self.by_origin();
        for (i, line) in self.lines.iter().enumerate() {
            let here = place_of(&line.option.origin);
            if place.as_ref() != Some(&here) {
                page.line(&page.paint(BOLD, &here));
                place = Some(here);
            }
            page.line(&line_text(&page, line));
            let is_last = self.lines.get(i + 1).is_none_or(|next| next.option.origin != line.option.origin);
            if is_last && matches!(line.option.origin, Origin::File { .. }) {
                let here = unsaid.remove(&line.option.origin).unwrap_or_default();
                here.into_iter().for_each(|finding| say(&mut page, finding, true));
            }
        }
        if !unsaid.is_empty() {
            page.line("");
        }
        let left = self.findings.iter().filter(|finding| unsaid.contains_key(&finding.origin));
        left.for_each(|finding| say(&mut page, finding, false));
        self.write_values(&mut page);
        self.write_summary(&mut page);
        page.text
    }

    fn by_origin(&self) -> HashMap<&Origin, Vec<&Finding>> {
        let mut map: HashMap<&Origin, Vec<&Finding>> = HashMap::new();
        self.findings.iter().for_each(|finding| map.entry(&finding.origin).or_default().push(finding));
        map
    }

    fn write_values(&self, page: &mut Page) {
        if self.values.is_empty() {
            return;
        }
        page.line("");
        page.line(&page.paint(BOLD, "What it means"));
        for value in &self.values {
            let origin = page.paint(DIM, &value.origin.to_string());
            let pair = format!("{} = {}", value.row.name, cut(&value.text));
            page.line(&format!("    {pair:<60} {origin}"));
        }
    }

    fn write_summary(&self, page: &mut Page) {
        let count = |severity| self.findings.iter().filter(|f| f.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let colour = match (errors, warnings) {
            (0, 0) => GREEN,
            (0, _) => YELLOW,
            _ => RED,
        };
        let text = format!("{}, {}", counted(errors, "error"), counted(warnings, "warning"));
        page.line("");
        page.line(&page.paint(colour, &text));
    }

    pub fn json(&self) -> String {
        let lines: Vec<Json> = self
            .lines
            .iter()
            .map(|line| {
                let option = &line.option;
                let mut object = place_json(&option.origin);
                object["name"] = json!(option.name);
                object["value"] = json!(option.value);
                object["state"] = json!(line.state.word());
                object
            })
            .collect();
        let findings: Vec<Json> = self
            .findings
            .iter()
            .map(|finding| {
                let mut object = place_json(&finding.origin);
                object["severity"] = json!(finding.severity.word());
                object["text"] = json!(finding.text);
                object
            })
            .collect();
        let values: Vec<Json> = self
            .values
            .iter()
            .map(|value| {
                let mut object = place_json(&value.origin);
                object["name"] = json!(value.row.name);
                object["value"] = json!(value.text);
                object
            })
            .collect();
        let mut text = format!("{:#}", json!({ "lines": lines, "findings": findings, "values": values }));
        text.push('\n');
        text
    }
}

/// Below its line a finding needs no place.
fn say(page: &mut Page, finding: &Finding, below: bool) {
    let colour = if finding.severity == Severity::Error { RED } else { YELLOW };
    let word = page.paint(colour, finding.severity.word());
    let has_place = !below && finding.origin != Origin::Default;
    let origin = if has_place { format!("{}: ", finding.origin) } else { String::new() };
    page.line(&format!("      {word}: {origin}{}", finding.text));
}

fn place_json(origin: &Origin) -> Json {
    match origin {
        Origin::File { path, line } => json!({ "file": path, "line": line }),
        other => json!({ "source": other.to_string() }),
    }
}

/// The file, or the source that has no lines.
fn place_of(origin: &Origin) -> String {
    match origin {
        Origin::File { path, .. } => path.clone(),
        Origin::Environment(_) => "environment".to_owned(),
        other => other.to_string(),
    }
}

fn line_text(page: &Page, line: &Line) -> String {
    let number = match &line.option.origin {
        Origin::File { line, .. } => line.to_string(),
        _ => String::new(),
    };
    let value = line.option.value.as_deref().map(|value| format!(" = {}", cut(value))).unwrap_or_default();
    let colour = match line.state {
        State::Works | State::Accepted | State::Variable => GREEN,
        State::Planned | State::Skipped => YELLOW,
        State::Refused | State::Unknown | State::Wrong => RED,
    };
    let state = page.paint(colour, line.state.word());
    let pair = format!("{}{value}", line.option.name);
    format!("{number:>4}  {pair:<60} {state}")
}

fn cut(value: &str) -> String {
    let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if value.chars().count() <= MAX_WIDTH {
        return value;
    }
    let mut short: String = value.chars().take(MAX_WIDTH - 1).collect();
    let _ = write!(short, "…");
    short
}

fn counted(number: usize, word: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {word}{end}")
}

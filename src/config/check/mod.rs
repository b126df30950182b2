//! `rwsgi check`: reads a configuration as the server would, and says all there is to say about it. Nothing is
//! started, and no code of the application runs.

mod files;
mod harm;
mod modules;
mod report;

use std::collections::HashSet;

pub use modules::Python;

use super::low::Low;
use super::resolve::{Resolved, resolve};
use super::row::Status;
use super::values::{Value, values};
use super::{Origin, Settings, Sources, Written, certificates, logic, registry};

/// How bad it is. Errors keep the server from starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Warning,
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub origin: Origin,
    pub text: String,
}

/// What becomes of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Works,
    Accepted,
    Planned,
    Refused,
    /// A name that other values read.
    Variable,
    Unknown,
    /// In a block whose condition does not hold.
    Skipped,
    /// The option is there, and its value is an error.
    Wrong,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub option: Written,
    pub state: State,
}

#[derive(Clone, Debug, Default)]
pub struct Report {
    pub lines: Vec<Line>,
    pub findings: Vec<Finding>,
    pub values: Vec<Value>,
}

/// Everything that can be said about what `sources` lead to. `python`: the one that the server would run in.
pub fn check(sources: &Sources, python: Option<&Python>) -> Report {
    look(sources, python).0
}

/// As `check`; then the applications are loaded, where the server would start at all.
pub fn check_and_load(sources: &Sources, python: &Python) -> Report {
    let (mut report, settings) = look(sources, Some(python));
    if let Some(settings) = settings.filter(|_| report.status(false) < 2)
        && !(python.load)(&settings)
    {
        let origin = settings.apps.mounts.first().map_or(Origin::Default, |app| app.origin.clone());
        report.fail(&origin, "the application cannot be loaded; the reason is on the standard error");
    }
    report
}

fn look(sources: &Sources, python: Option<&Python>) -> (Report, Option<Settings>) {
    let mut low = Low::new(&sources.environment);
    let mut report = Report::default();
    if let Err(error) = super::read(&mut low, sources) {
        report.error(&error);
    }
    let skipped = std::mem::take(&mut low.skipped);
    let raw = low.written.clone();
    let made_up = low.placeholders.clone();
    let used = std::mem::take(&mut low.used);
    let mut settings = None;
    match resolve(&mut low, sources) {
        Ok(resolved) => {
            report.resolved(&resolved, &made_up, &used, python);
            settings = Some(resolved.settings);
        }
        Err(error) => {
            report.error(&error);
            report.lines = raw.iter().map(|option| line(option, &made_up)).collect();
            report.mark_wrong();
        }
    }
    report.lines.extend(skipped.into_iter().map(|option| Line { option, state: State::Skipped }));
    (report, settings)
}

impl Report {
    /// 0, 1 where there are warnings and they count, 2 where the server would not start.
    pub fn status(&self, strict: bool) -> u8 {
        match self.findings.iter().map(|finding| finding.severity).max() {
            Some(Severity::Error) => 2,
            Some(Severity::Warning) if strict => 1,
            _ => 0,
        }
    }

    fn resolved(
        &mut self,
        resolved: &Resolved,
        made_up: &HashSet<String>,
        used: &HashSet<String>,
        python: Option<&Python>,
    ) {
        for error in &resolved.errors {
            self.error(error);
        }
        for warning in &resolved.warnings {
            self.warn(&warning.origin, warning.text.clone());
        }
        let settings = &resolved.settings;
        self.lines = settings.written.iter().map(|option| line(option, &resolved.variables)).collect();
        self.mark_wrong();
        self.unused(settings, made_up, |name| used.contains(name) || resolved.used.contains(name));
        self.values = values(settings, |row| row.status == Status::Works);
        harm::find(self, settings);
        files::find(self, settings, python);
        self.find_certificates(settings);
    }

    /// A line whose value is an error is not well. What files it needs is another matter: they may be there later.
    fn mark_wrong(&mut self) {
        for line in self.lines.iter_mut().filter(|line| line.state == State::Works) {
            let origin = &line.option.origin;
            let is_error =
                |finding: &Finding| finding.severity == Severity::Error && finding.origin == *origin;
            if matches!(origin, Origin::File { .. }) && self.findings.iter().any(is_error) {
                line.state = State::Wrong;
            }
        }
    }

    /// What is wrong with the files of the TLS sockets.
    fn find_certificates(&mut self, settings: &Settings) {
        let (warnings, errors) = certificates::load_all(&mut settings.clone());
        for warning in &warnings {
            self.warn(&warning.origin, warning.text.clone());
        }
        errors.iter().for_each(|error| self.error(error));
    }

    /// Placeholders that nothing reads.
    fn unused(&mut self, settings: &Settings, made_up: &HashSet<String>, is_used: impl Fn(&str) -> bool) {
        let mut seen = HashSet::new();
        for option in &settings.written {
            let name = option.name.as_str();
            let is_own = made_up.contains(name) && registry::find(name).is_none();
            if is_own && !is_used(name) && seen.insert(name) {
                self.warn(
                    &option.origin,
                    format!("placeholder \"{name}\" is not used; %({name}) would read it"),
                );
            }
        }
    }

    fn error(&mut self, error: &super::ConfigError) {
        let text = match error.remedy.as_str() {
            "" => error.message.clone(),
            remedy => format!("{}; {remedy}", error.message),
        };
        self.fail(&error.origin, text);
    }

    fn fail(&mut self, origin: &Origin, text: impl Into<String>) {
        self.find(Severity::Error, origin, text.into());
    }

    fn warn(&mut self, origin: &Origin, text: impl Into<String>) {
        self.find(Severity::Warning, origin, text.into());
    }

    fn find(&mut self, severity: Severity, origin: &Origin, text: String) {
        self.findings.push(Finding { severity, origin: origin.clone(), text });
    }
}

fn line(option: &Written, variables: &HashSet<String>) -> Line {
    let state = match registry::find(&option.name).map(|row| row.status) {
        Some(Status::Works) => State::Works,
        Some(Status::Accepted(_)) => State::Accepted,
        Some(Status::Planned(_)) => State::Planned,
        Some(Status::Refused(_)) => State::Refused,
        None if variables.contains(&option.name) || logic::is_end(&option.name) => State::Variable,
        None => State::Unknown,
    };
    Line { option: option.clone(), state }
}

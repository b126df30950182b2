//! From what was written to what it means.

use std::collections::{HashMap, HashSet};

use super::actions::acts;
use super::draft::Draft;
use super::files::before_comment;
use super::handed;
use super::low::{Low, needs_value, unknown};
use super::row::{Arg, Row, Status};
use super::value::{flag, is_flag};
use super::{
    ConfigError, Origin, Settings, Sources, ValueError, Warning, Written, expand, logic, registry, rows,
    uwsgi_metrics,
};

/// What the options mean, and all that is to be said about them.
pub struct Resolved {
    pub settings: Settings,
    pub warnings: Vec<Warning>,
    /// Empty when the configuration can be used.
    pub errors: Vec<ConfigError>,
    /// What `print` says.
    pub messages: Vec<String>,
    /// Names that stand for something in the configuration itself.
    pub variables: HashSet<String>,
    /// Those that a reference reads.
    pub used: HashSet<String>,
}

/// Applies every option in order; what they mean together is decided at the end. An option that is wrong does not
/// hide what is wrong with the next one.
pub fn resolve(low: &mut Low<'_>, sources: &Sources) -> Result<Resolved, ConfigError> {
    let mut written = std::mem::take(&mut low.written);
    let expand::Resolved { used, emptied } = expand::all(&mut written, &sources.environment, low.sealed)?;
    let variables = used.iter().chain(&low.placeholders).chain(&low.used).cloned().collect();
    let mut resolver = Resolver {
        draft: Draft::default(),
        warnings: std::mem::take(&mut low.warnings),
        errors: Vec::new(),
        variables,
        strict: is_strict(&written),
        unknown: 0,
        seen: HashMap::new(),
    };
    if sources.object {
        resolver.draft.object();
    }
    for (i, option) in written.iter().enumerate() {
        if let Err(error) = resolver.apply(option, emptied.contains(&i)) {
            resolver.errors.push(error);
        }
    }
    let Resolver { mut draft, mut warnings, mut errors, variables, .. } = resolver;
    let messages = std::mem::take(&mut draft.messages);
    draft.settings.written = written;
    let handed = handed::descriptors(&sources.environment, std::process::id());
    let (settings, contradictions) = draft.finish(handed);
    warnings.extend(contradictions);
    errors.extend(uwsgi_metrics::check(&settings));
    Ok(Resolved { settings, warnings, errors, messages, variables, used })
}

/// The search for the likely name takes time, and few errors are enough for a reader.
const MAX_UNKNOWN: usize = 100;

/// It counts wherever it stands, as in uWSGI.
fn is_strict(written: &[Written]) -> bool {
    let last = written.iter().rev().find(|option| option.name == "strict");
    last.is_some_and(|option| flag(option.value.as_deref()) == Ok(true))
}

/// A reference that was left as it is, and why.
fn unresolved(value: &str) -> Option<String> {
    let inside =
        |open| value.split_once(open).and_then(|(_, rest)| rest.split_once(')')).map(|(name, _)| name);
    if let Some(name) = inside("$(") {
        return Some(format!("no variable {name} is set; $({name}:-VALUE) gives a default"));
    }
    let name = inside("%(").filter(|name| !name.is_empty())?;
    Some(format!("%({name}) stays as it is: no option and no placeholder has this name"))
}

struct Resolver<'a> {
    draft: Draft,
    warnings: Vec<Warning>,
    errors: Vec<ConfigError>,
    /// Names that `%(name)` reads or `set` made up.
    variables: HashSet<String>,
    strict: bool,
    /// How many names were unknown so far.
    unknown: usize,
    /// The option that each row was set by last.
    seen: HashMap<&'static str, &'a Written>,
}

impl<'a> Resolver<'a> {
    fn apply(&mut self, option: &'a Written, emptied: bool) -> Result<(), ConfigError> {
        let Some(row) = registry::find(&option.name) else { return self.unknown(option) };
        let value = option.value.as_deref();
        let needs_value = row.arg.needs_value() && row.status == Status::Works && row.theme != rows::BLOCKS;
        if needs_value && value.is_none_or(str::is_empty) {
            return self.empty(row, option, emptied);
        }
        let is_first = !self.seen.contains_key(row.name);
        match row.status {
            Status::Works => self.set(row, option)?,
            Status::Accepted(why) if row.arg == Arg::Flag && flag(value) == Ok(false) => {
                self.warn(option, format!(" cannot be turned off: {why}"));
            }
            Status::Accepted(_) => self.set(row, option)?,
            Status::Planned(missing) => self.plan(row, option, missing, is_first),
            Status::Refused(instead) if is_first => {
                self.warn(option, format!(" is not supported: {instead}"))
            }
            Status::Refused(_) => {}
        }
        self.seen.insert(row.name, option);
        Ok(())
    }

    /// The setting is stored for a later version; until then a wrong value does no harm.
    fn plan(&mut self, row: &'static Row, option: &'a Written, missing: &str, is_first: bool) {
        let result = (row.set)(&mut self.draft, option.value.as_deref(), &option.origin);
        let notes = std::mem::take(&mut self.draft.notes);
        if is_first {
            self.warn(option, format!(" is not supported yet: {missing}"));
        }
        for note in notes.into_iter().chain(result.err().map(|error| error.to_string())) {
            self.warn(option, format!(": {note}"));
        }
    }

    /// An empty variable of the environment is how people unset one, by its name or in a reference.
    fn empty(&mut self, row: &Row, option: &Written, emptied: bool) -> Result<(), ConfigError> {
        if emptied || matches!(option.origin, Origin::Environment(_)) {
            self.warn(option, " is empty and is not used".to_owned());
            return Ok(());
        }
        Err(needs_value(&option.origin, &option.name, row.help))
    }

    fn set(&mut self, row: &'static Row, option: &'a Written) -> Result<(), ConfigError> {
        let value = option.value.as_deref();
        // Of a comment behind the value the reader of the file has spoken.
        let is_odd = |value: &str| !is_flag(value) && before_comment(value).is_none();
        if row.arg == Arg::Flag && is_odd(value.unwrap_or_default()) {
            let value = value.unwrap_or_default();
            self.warn(
                option,
                format!(": \"{value}\" is neither true nor false and is read as true, as in uWSGI"),
            );
        }
        self.check_override(row, option);
        let unresolved = value.filter(|_| !acts(row.name)).and_then(unresolved);
        (row.set)(&mut self.draft, value, &option.origin).map_err(|error| {
            let remedy = unresolved.clone().unwrap_or(error.remedy);
            ConfigError::of_value(&option.origin, &option.name, ValueError { remedy, ..error })
        })?;
        if let Some(text) = unresolved {
            self.warn(option, format!(": {text}"));
        }
        for note in std::mem::take(&mut self.draft.notes) {
            self.warn(option, format!(": {note}"));
        }
        Ok(())
    }

    /// As in uWSGI a file read later wins over the command line. Hardly anyone means that.
    fn check_override(&mut self, row: &Row, option: &Written) {
        let Some(former) = self.seen.get(row.name).filter(|_| !row.repeats) else { return };
        let is_file = matches!(option.origin, Origin::File { .. });
        if is_file && former.origin == Origin::CommandLine && former.value != option.value {
            let value = former.value.as_deref().map(|v| format!(" {v}")).unwrap_or_default();
            let text = format!(
                " replaces --{}{value} of the command line; name the file with --ini before it",
                former.name
            );
            self.warn(option, text);
        }
    }

    fn unknown(&mut self, option: &Written) -> Result<(), ConfigError> {
        if self.variables.contains(&option.name) || logic::is_end(&option.name) {
            return Ok(());
        }
        self.unknown += 1;
        if self.unknown == MAX_UNKNOWN + 1 {
            self.warnings
                .push(Warning::new(&option.origin, "more unknown options follow and are not listed"));
        }
        if self.unknown > MAX_UNKNOWN && !self.strict {
            return Ok(());
        }
        let (message, remedy) = unknown(&option.name);
        if self.strict || option.origin == Origin::CommandLine {
            return Err(ConfigError::new(&option.origin, message, remedy));
        }
        self.warnings.push(Warning::new(&option.origin, format!("{message}; {remedy}")));
        Ok(())
    }

    fn warn(&mut self, option: &Written, text: String) {
        self.warnings.push(Warning::new(&option.origin, format!("option \"{}\"{text}", option.name)));
    }
}

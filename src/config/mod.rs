//! Options, formats, and what a configuration means.
//!
//! Each source of options yields the same list of name, value and origin (`low`). References in the values are
//! resolved (`expand`), and the rows of the registry turn the list into `Settings` (`resolve`, `draft`).
#![forbid(unsafe_code)]

mod actions;
mod address;
pub mod alarms;
pub mod certificates;
pub mod check;
mod ciphers;
mod cli;
mod command;
mod completion;
mod docs;
mod draft;
mod error;
mod expand;
mod files;
pub mod format;
mod glob;
mod groups;
mod handed;
mod http;
pub mod init;
mod instance;
mod logic;
mod low;
mod magic;
mod man;
mod metrics;
mod pairs;
pub mod registry;
mod reload;
mod resolve;
mod row;
mod rows;
mod settings;
mod source;
pub mod statics;
mod stats;
mod templates;
mod tls;
pub mod uwsgi_metrics;
mod value;
mod values;

pub use alarms::{Alarm, AlarmAction, AlarmEvent, AlarmFd, Alarms, LineRule};
pub use ciphers::Ciphers;
pub use command::{Outcome, command};
pub use completion::{Shell, completion};
pub use docs::{help, is_built, options_md, show};
pub use draft::Draft;
pub use error::{ConfigError, ValueError, Warning};
pub use format::Format;
pub use groups::*;
pub use http::{Http, Network};
pub use instance::{Instance, Limits, PidFiles, SocketOptions};
pub use man::man;
pub use row::{Arg, Reload, Row, Status};
pub use settings::*;
pub use stats::{Stats, StatsSocket};
pub use tls::{Identity, Name, Tls};
pub use uwsgi_metrics::{MetricTable, Metrics};
pub use values::{Meaning, Value, values};

/// Where options come from, in the order in which they are read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Every variable of the environment: for `UWSGI_…` and `RWSGI_…`, and for `$(NAME)` in values.
    pub environment: Vec<(String, String)>,
    /// argv without the program's name.
    pub arguments: Vec<String>,
    /// Keywords of a call, values as text, one entry for each item of a list.
    pub keywords: Vec<(String, Option<String>)>,
    pub caller: Caller,
    /// `rwsgi.serve()` was given the application itself.
    pub object: bool,
}

/// What the command line asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    #[default]
    Serve,
    Help,
    Version,
    /// `exit`: end at once with this status.
    Exit(u8),
}

#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The defaults, when `action` is not to serve.
    pub settings: Settings,
    pub warnings: Vec<Warning>,
    /// What `print` and `iprint` want in the log.
    pub messages: Vec<String>,
    pub action: Action,
}

/// Reads the whole configuration. Nothing is started, except for the commands that `exec://` names.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut low = low::Low::new(&sources.environment);
    let loaded = read(&mut low, sources).and_then(|()| finish(&mut low, sources));
    let loaded = loaded.and_then(Loaded::with_certificates);
    match (loaded, low.fallback.take()) {
        (Err(error), Some(file)) => load_fallback(sources, file, &error),
        (loaded, _) => loaded,
    }
}

impl Loaded {
    /// Reads the files of the TLS sockets, for the first time or again.
    pub fn with_certificates(mut self) -> Result<Loaded, ConfigError> {
        self.warnings.extend(certificates::load(&mut self.settings)?);
        Ok(self)
    }
}

/// What one text means. Nothing else is read: where it names a file, a command or a host, that is an error.
pub fn load_text(
    format: Format,
    text: &str,
    environment: &[(String, String)],
) -> Result<Loaded, ConfigError> {
    let mut low = low::Low::new(environment);
    low.sealed = true;
    files::read_text(&mut low, format, text)?;
    low.finish()?;
    finish(&mut low, &Sources { environment: environment.to_vec(), ..Sources::default() })
}

/// Every source, in order.
fn read(low: &mut low::Low<'_>, sources: &Sources) -> Result<(), ConfigError> {
    low.read_environment()?;
    cli::read(low, &sources.arguments)?;
    low.read_keywords(&sources.keywords, sources.caller)?;
    // Nothing follows behind an exit.
    if low.action.is_some() { Ok(()) } else { low.finish() }
}

fn finish(low: &mut low::Low<'_>, sources: &Sources) -> Result<Loaded, ConfigError> {
    let messages = std::mem::take(&mut low.messages);
    if let Some(action) = low.action {
        return Ok(Loaded { action, messages, ..Loaded::default() });
    }
    let resolved = resolve::resolve(low, sources)?;
    if let Some(error) = resolved.errors.into_iter().next() {
        return Err(error);
    }
    let mut loaded =
        Loaded { settings: resolved.settings, warnings: resolved.warnings, messages, ..Loaded::default() };
    loaded.messages.extend(resolved.messages);
    Ok(loaded)
}

/// `fallback-config`: that file alone, as uWSGI starts itself anew with it.
fn load_fallback(sources: &Sources, file: String, error: &ConfigError) -> Result<Loaded, ConfigError> {
    let text = format!("{}; \"{file}\" is read instead (fallback-config)", error.message);
    let warning = Warning::new(&error.origin, text);
    let sources = Sources { arguments: vec![file], ..sources.clone() };
    let mut low = low::Low::new(&sources.environment);
    read(&mut low, &sources)?;
    let mut loaded = finish(&mut low, &sources)?.with_certificates()?;
    loaded.warnings.insert(0, warning);
    Ok(loaded)
}

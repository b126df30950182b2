//! Floor 1: options, formats, and what a configuration means.
//!
//! Each source of options yields the same list of name, value and origin (`low`). References in the values are
//! resolved (`expand`), and the rows of the registry turn the list into `Settings` (`resolve`, `draft`).
#![forbid(unsafe_code)]

mod address;
mod cli;
mod docs;
mod draft;
mod error;
mod expand;
mod ini;
mod low;
mod magic;
pub mod registry;
mod resolve;
mod row;
mod rows;
mod settings;
mod value;

pub use docs::{help, options_md, show};
pub use draft::Draft;
pub use error::{ConfigError, ValueError, Warning};
pub use row::{Arg, Row, Status};
pub use settings::*;

/// Where options come from, in the order in which they are read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Every variable of the environment: for `UWSGI_…` and `RWSGI_…`, and for `$(NAME)` in values.
    pub environment: Vec<(String, String)>,
    /// argv without the program's name.
    pub arguments: Vec<String>,
    /// Keywords of `rwsgi.serve()`, values as text, one entry for each item of a list.
    pub keywords: Vec<(String, Option<String>)>,
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
}

#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The defaults, when `action` is not to serve.
    pub settings: Settings,
    pub warnings: Vec<Warning>,
    pub action: Action,
}

/// Reads the whole configuration. Nothing but files is touched, and nothing is started.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut low = low::Low::new(&sources.environment);
    low.environment()?;
    cli::read(&mut low, &sources.arguments)?;
    low.keywords(&sources.keywords)?;
    if let Some(action) = low.action {
        return Ok(Loaded { action, ..Loaded::default() });
    }
    let (settings, warnings) = resolve::resolve(low, &sources.environment, sources.object)?;
    Ok(Loaded { settings, warnings, action: Action::Serve })
}

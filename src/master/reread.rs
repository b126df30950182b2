//! A reload reads the configuration again. What only a restart can change stays as it is, and is named.

use super::watch::Touches;
use super::{Master, start};
use crate::base::reason::reason;
use crate::config::{Action, ConfigError, Loaded, Settings};
use crate::log;
use crate::sys::proctitle;
use crate::worker::application::Application;
use std::path::PathBuf;
use std::sync::Arc;

/// Reads every source of the configuration from the beginning.
pub type Read = Box<dyn Fn() -> Result<Loaded, ConfigError>>;

/// How the configuration is read again.
pub struct Reread {
    read: Read,
    /// Where the server was started: names of files may be relative to it.
    dir: Option<PathBuf>,
    /// Warnings that the log has already.
    said: Vec<String>,
}

impl Reread {
    /// To be made before the server changes its directory.
    pub fn new(read: Read) -> Reread {
        Reread { read, dir: std::env::current_dir().ok(), said: Vec::new() }
    }

    fn load(&self) -> Result<Loaded, String> {
        let here = std::env::current_dir();
        if let Some(dir) = &self.dir {
            std::env::set_current_dir(dir)
                .map_err(|error| format!("cannot go back to {}: {}", dir.display(), reason(error)))?;
        }
        let loaded = (self.read)().map_err(|error| error.to_string());
        if let Ok(here) = here {
            std::env::set_current_dir(&here)
                .map_err(|error| format!("cannot go back to {}: {}", here.display(), reason(error)))?;
        }
        match loaded? {
            loaded if loaded.action == Action::Serve => Ok(loaded),
            _ => Err("the configuration asks for something else than a server".to_owned()),
        }
    }

    /// Each warning once in the life of the server.
    fn warn(&mut self, loaded: &Loaded) {
        for warning in &loaded.warnings {
            let text = warning.to_string();
            if !self.said.contains(&text) {
                log::say(&format!("warning: {text}"));
                self.said.push(text);
            }
        }
    }

    /// The log has these already.
    pub fn has_said(&mut self, loaded: &Loaded) {
        self.said.extend(loaded.warnings.iter().map(ToString::to_string));
    }
}

impl<R: Application> Master<'_, R> {
    /// Takes on the configuration as it is now. `false`: it is not valid, and the log says why.
    pub(super) fn read_again(&mut self, cause: &str) -> bool {
        let loaded = match self.reread.load() {
            Ok(loaded) => loaded,
            Err(error) => {
                let generation = self.generation;
                log::say(&format!(
                    "{cause}: the configuration is not valid: {error}; generation {generation} serves on"
                ));
                return false;
            }
        };
        self.reread.warn(&loaded);
        let mut settings = loaded.settings;
        let kept = settings.keep_fixed(&self.settings);
        if !kept.is_empty() {
            let names = kept.join(", ");
            log::say(&format!("{cause}: {names} cannot change in a running server; restart it for that"));
        }
        self.take_on(Arc::new(settings));
        true
    }

    /// From now on these settings hold for what is started.
    pub(super) fn take_on(&mut self, settings: Arc<Settings>) {
        self.touches = Touches::new(&settings.watch);
        log::set_date_format(settings.log.date.as_deref());
        if settings.procnames != self.settings.procnames {
            let title = start::title(&settings.procnames);
            proctitle::set(&title.unwrap_or_else(|| proctitle::command_line().to_owned()));
        }
        self.base.settings = settings.clone();
        self.settings = settings;
    }
}

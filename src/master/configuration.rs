//! A reload reads the configuration again. What only a restart can change stays as it is, and is named.

use super::incident::Incident;
use super::server::Server;
use crate::base::reason::reason;
use crate::config::{Action, AlarmEvent, ConfigError, Loaded, ProcNames, Settings};
use crate::log;
use crate::process::title;
use crate::sys::proctitle;
use std::path::PathBuf;
use std::sync::Arc;

/// Reads every source of the configuration from the beginning.
pub type Read = Box<dyn Fn() -> Result<Loaded, ConfigError>>;

/// The configuration, and how it is read again.
pub struct Configuration {
    read: Read,
    /// Where the server was started: names of files may be relative to it.
    dir: Option<PathBuf>,
    /// Warnings that the log has already.
    said: Vec<String>,
}

impl Configuration {
    /// To be made before the server changes its directory.
    pub fn new(read: Read) -> Configuration {
        Configuration { read, dir: std::env::current_dir().ok(), said: Vec::new() }
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
    pub fn set_said(&mut self, loaded: &Loaded) {
        self.said.extend(loaded.warnings.iter().map(ToString::to_string));
    }

    /// The settings as they are now, as far as a running server can take them on. `None`: they are not valid, and the log
    /// says why.
    pub fn read_again(&mut self, cause: &str, server: &Server) -> Option<Arc<Settings>> {
        let refused = |error: String| {
            let generation = server.generation;
            let message = format!(
                "{cause}: the configuration is not valid: {error}; generation {generation} serves on"
            );
            log::say(&message);
            server.report(Incident::of(AlarmEvent::ReloadFailed, message));
        };
        let loaded = self.load().map_err(refused).ok()?;
        self.warn(&loaded);
        let mut settings = loaded.settings;
        let kept = settings.keep_fixed(server.settings());
        if !kept.is_empty() {
            let names = kept.join(", ");
            log::say(&format!("{cause}: {names} cannot change in a running server; restart it for that"));
        }
        Some(Arc::new(settings))
    }
}

/// From now on these settings hold for what is started.
pub fn take_on(settings: Arc<Settings>, server: &mut Server) {
    log::set_date_format(settings.log.date.as_deref());
    if settings.procnames != server.settings().procnames {
        let title = master_title(&settings.procnames);
        proctitle::set(&title.unwrap_or_else(|| proctitle::command_line().to_owned()));
    }
    server.setup.settings = settings;
}

/// `None`: the configuration names no process.
pub fn master_title(names: &ProcNames) -> Option<String> {
    title::of(names, names.master.as_ref().or(names.all.as_ref()), "master")
}

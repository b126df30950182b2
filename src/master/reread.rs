//! A reload reads the configuration again. What only a restart can change stays as it is, and is named.

use super::Master;
use super::watch::Touches;
use crate::base::reason::reason;
use crate::config::{Action, ConfigError, Listener, Loaded, Settings};
use crate::log;
use crate::worker::host::Host;
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

impl<H: Host> Master<'_, H> {
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
        let kept = keep_fixed(&self.settings, &mut settings);
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
        self.base.settings = settings.clone();
        self.settings = settings;
    }
}

/// Puts back what cannot change, and returns the names of what was meant to.
fn keep_fixed(old: &Settings, new: &mut Settings) -> Vec<&'static str> {
    let mut kept = Vec::new();
    let sockets = |settings: &Settings| -> Vec<_> {
        let kind = |one: &Listener| (one.address.clone(), one.protocol, one.to_https, one.tls.is_some());
        settings.listeners.iter().map(kind).collect()
    };
    if sockets(old) != sockets(new) {
        kept.push("socket");
        new.listeners.clone_from(&old.listeners);
    }
    macro_rules! fixed {
        ($($name:literal = $($field:ident).+;)*) => {
            $(if old.$($field).+ != new.$($field).+ {
                kept.push($name);
                new.$($field).+.clone_from(&old.$($field).+);
            })*
        };
    }
    fixed! {
        "processes" = processes;
        "threads" = threads;
        "lazy-apps" = lazy_apps;
        "uid" = uid;
        "gid" = gid;
        "umask" = umask;
        "chdir" = chdir;
        "listen" = listen;
        "chmod-socket" = chmod_socket;
        "chown-socket" = chown_socket;
        "options of the sockets" = socket_options;
        "max-fd" = limits.descriptors;
        "limit-as" = limits.address_space;
        "limit-nproc" = limits.processes;
        "daemonize" = daemonize;
        "logto" = logto;
        "logto2" = log.to2;
        "pidfile" = pidfile;
        "pidfile2 and the safe pid files" = pidfiles;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Address, Origin, Protocol};

    fn listener(port: u16, line: u32) -> Listener {
        Listener {
            address: Address::Tcp { host: String::new(), port },
            protocol: Protocol::Http,
            tls: None,
            to_https: None,
            text: format!(":{port}"),
            origin: Origin::File { path: "a.ini".into(), line },
        }
    }

    #[test]
    fn what_cannot_change_stays_and_is_named() {
        let old = Settings { listeners: vec![listener(80, 1)], ..Settings::default() };
        let mut new = Settings {
            processes: 7,
            max_requests: 9,
            uid: Some("www".into()),
            listeners: vec![listener(81, 1)],
            ..Settings::default()
        };
        assert_eq!(keep_fixed(&old, &mut new), ["socket", "processes", "uid"]);
        assert_eq!((new.processes, new.max_requests, &new.uid), (1, 9, &None));
        assert_eq!(new.listeners, old.listeners);
    }

    #[test]
    fn another_line_is_no_change() {
        let old = Settings { listeners: vec![listener(80, 1)], ..Settings::default() };
        let mut new = Settings { listeners: vec![listener(80, 2)], ..Settings::default() };
        assert_eq!(keep_fixed(&old, &mut new), Vec::<&str>::new());
    }
}

//! What the setters fill in: settings, and what can only be decided when every option has been read.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use super::{
    Address, App, AppSource, Caller, Identity, Listener, Origin, Protocol, Settings, ValueError, Warning,
    address, alarms, handed,
};

#[derive(Debug, Default)]
pub struct Draft {
    pub settings: Settings,
    /// What the setters want to say about the value at hand; the caller adds option and origin.
    pub notes: Vec<String>,
    /// What `print` says.
    pub messages: Vec<String>,
    sockets: Vec<Socket>,
    /// What `socket` speaks.
    protocol: Option<Protocol>,
    default_app: Option<Named>,
    mounts: Vec<Named>,
    callable: Option<(String, Origin)>,
    warnings: Vec<Warning>,
}

#[derive(Debug)]
struct Socket {
    listener: Listener,
    /// It was written as `socket`, so that `protocol` decides.
    follows_protocol: bool,
}

#[derive(Debug)]
struct Named {
    mountpoint: String,
    text: String,
    source: AppSource,
    callable: Option<String>,
    origin: Origin,
}

const DEFAULT_CALLABLE: &str = "application";

impl Draft {
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// `protocol`: `None` for a `socket`, which speaks what the option `protocol` says.
    pub fn socket(
        &mut self,
        text: &str,
        protocol: Option<Protocol>,
        origin: &Origin,
    ) -> Result<(), ValueError> {
        let listener = self.listener(text, protocol.unwrap_or(Protocol::Uwsgi), origin)?;
        self.sockets.push(Socket { listener, follows_protocol: protocol.is_none() });
        Ok(())
    }

    /// A socket that speaks HTTP inside TLS.
    pub fn tls_socket(&mut self, text: &str, identity: Identity, origin: &Origin) -> Result<(), ValueError> {
        let mut listener = self.listener(text, Protocol::Http, origin)?;
        listener.tls = Some(Box::new(identity));
        self.sockets.push(Socket { listener, follows_protocol: false });
        Ok(())
    }

    fn listener(&mut self, text: &str, protocol: Protocol, origin: &Origin) -> Result<Listener, ValueError> {
        let address = address::parse(text)?;
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            self.note(format!(
                "\"{text}\" is taken for the path of a unix socket; a port is written :{text}"
            ));
        }
        let text = text.to_owned();
        Ok(Listener { address, protocol, tls: None, to_https: None, text, origin: origin.clone() })
    }

    /// `ADDRESS[,PORT]`: a socket that only sends clients on to https.
    pub fn socket_to_https(&mut self, text: &str, origin: &Origin) -> Result<(), ValueError> {
        let (address, port) = text.split_once(',').unwrap_or((text, "443"));
        let wrong = || ValueError::new(format!("\"{port}\" is no port"), "write ADDRESS or ADDRESS,PORT");
        let port = port.trim().parse().ok().filter(|&port| port > 0).ok_or_else(wrong)?;
        self.socket(address.trim(), Some(Protocol::Http), origin)?;
        if let Some(last) = self.sockets.last_mut() {
            last.listener.to_https = Some(port);
        }
        Ok(())
    }

    pub fn protocol(&mut self, name: &str) -> Result<(), ValueError> {
        self.protocol = Some(match name {
            "uwsgi" => Protocol::Uwsgi,
            "http" => Protocol::Http,
            _ => {
                let text = format!("sockets cannot speak \"{name}\" yet");
                return Err(ValueError::new(text, "write uwsgi or http"));
            }
        });
        Ok(())
    }

    /// `module[:callable]`.
    pub fn module(&mut self, text: &str, origin: &Origin) -> Result<(), ValueError> {
        let (module, callable) = split_callable(text)?;
        if module.ends_with(".py") || module.contains('/') {
            self.note(format!("\"{module}\" looks like a file; files are served by wsgi-file"));
        }
        self.set_default(text, AppSource::Module(module.to_owned()), callable, origin);
        Ok(())
    }

    pub fn file(&mut self, text: &str, origin: &Origin) -> Result<(), ValueError> {
        let (path, callable) = if is_file(text) { (text, None) } else { split_file(text)? };
        self.set_default(text, AppSource::File(path.into()), callable, origin);
        Ok(())
    }

    /// The object given to `rwsgi.serve()`.
    pub fn object(&mut self) {
        self.set_default(
            "the object given to serve()",
            AppSource::Object,
            None,
            &Origin::Keyword(Caller::Serve),
        );
    }

    pub fn callable(&mut self, name: &str, origin: &Origin) {
        self.callable = Some((name.to_owned(), origin.clone()));
    }

    /// `/path=what`.
    pub fn mount(&mut self, text: &str, origin: &Origin) -> Result<(), ValueError> {
        let wrong = || {
            ValueError::new(
                format!("\"{text}\" mounts nothing"),
                "write /path=module:callable or /path=file.py",
            )
        };
        let (path, what) = text.split_once('=').ok_or_else(wrong)?;
        let (path, what) = (path.trim().trim_end_matches('/'), what.trim());
        if what.is_empty() || !(path.is_empty() || path.starts_with('/')) {
            return Err(wrong());
        }
        let (source, callable) = app_source(what)?;
        self.mounts.push(named(path, what, source, callable, origin));
        Ok(())
    }

    fn set_default(&mut self, text: &str, source: AppSource, callable: Option<String>, origin: &Origin) {
        let app = named("", text, source, callable, origin);
        if let Some(former) = self.default_app.replace(app)
            && former.text != text
        {
            self.note(format!("\"{text}\" is served instead of \"{}\" ({})", former.text, former.origin));
        }
    }

    /// Every option has been read.
    pub fn finish(mut self, handed: Range<i32>) -> (Settings, Vec<Warning>) {
        self.settle_sockets(handed);
        self.settle_stats();
        self.settle_apps();
        self.find_contradictions();
        (self.settings, self.warnings)
    }

    fn settle_sockets(&mut self, handed: Range<i32>) {
        for mut socket in std::mem::take(&mut self.sockets) {
            if socket.follows_protocol {
                socket.listener.protocol = self.protocol.unwrap_or(Protocol::Uwsgi);
            }
            self.settings.listeners.push(socket.listener);
        }
        for descriptor in handed {
            let address = Address::Inherited(descriptor);
            let stats = self.settings.instance.stats.iter().map(|socket| &socket.address);
            let mut named = self.settings.listeners.iter().map(|listener| &listener.address).chain(stats);
            if named.all(|named| *named != address) {
                self.settings
                    .listeners
                    .push(handed::listener(descriptor, self.protocol.unwrap_or(Protocol::Uwsgi)));
            }
        }
        if self.settings.listeners.is_empty() {
            self.settings.listeners.push(default_listener());
        }
    }

    fn settle_apps(&mut self) {
        let callable = self.callable.take();
        let mounts = last_of_each(std::mem::take(&mut self.mounts));
        let apps: Vec<Named> = self.default_app.take().into_iter().chain(mounts).collect();
        if let (Some((name, origin)), true) = (&callable, apps.is_empty()) {
            self.warn(
                origin.clone(),
                format!("callable \"{name}\" has no effect without module, wsgi-file or mount"),
            );
        }
        for app in apps {
            let source = if app.mountpoint.is_empty() { app.source } else { self.file_or_module(app.source) };
            let name = app.callable.or_else(|| callable.as_ref().map(|(name, _)| name.clone()));
            self.settings.apps.mounts.push(App {
                mountpoint: app.mountpoint,
                source,
                callable: name.unwrap_or_else(|| DEFAULT_CALLABLE.to_owned()),
                origin: app.origin,
            });
        }
    }

    /// `mysite.wsgi` may be the name of a file or of a module: the file must be there.
    fn file_or_module(&self, source: AppSource) -> AppSource {
        let AppSource::File(path) = &source else { return source };
        let text = path.to_string_lossy();
        let there = self.settings.instance.chdir.as_deref().unwrap_or(Path::new(".")).join(path);
        if text.ends_with(".wsgi") && is_module_name(&text) && !there.exists() {
            return AppSource::Module(text.into_owned());
        }
        source
    }

    fn find_contradictions(&mut self) {
        let s = &self.settings;
        let without_harakiri = s.harakiri.timeout.is_none();
        for (is_so, name, missing) in [
            (
                without_harakiri && s.harakiri.graceful_timeout.is_some(),
                "harakiri-graceful-timeout",
                "harakiri",
            ),
            (without_harakiri && s.harakiri.verbose, "harakiri-verbose", "harakiri"),
            (
                s.recycle.max_requests == 0 && s.recycle.max_requests_delta > 0,
                "max-requests-delta",
                "max-requests",
            ),
        ] {
            if is_so {
                let origin = self.settings.origin_of(name);
                self.warn(origin, format!("\"{name}\" has no effect without \"{missing}\""));
            }
        }
        self.find_pointless_owners();
        self.find_missing_alarms();
    }

    fn find_missing_alarms(&mut self) {
        for (name, alarm) in alarms::unknown(&self.settings) {
            let origin = self.settings.origin_of(name);
            self.warn(origin, format!("\"{name}\" raises nothing: there is no alarm \"{alarm}\""));
        }
    }

    fn find_pointless_owners(&mut self) {
        let s = &self.settings;
        // Nobody knows yet what an inherited socket is.
        let may_be_file = |address: &Address| matches!(address, Address::Unix(_) | Address::Inherited(_));
        let stats = s.instance.stats.iter().map(|socket| &socket.address);
        if s.listeners.iter().map(|listener| &listener.address).chain(stats).any(may_be_file) {
            return;
        }
        for (is_set, name) in [
            (s.instance.chmod_socket.is_some(), "chmod-socket"),
            (s.instance.chown_socket.is_some(), "chown-socket"),
        ] {
            if is_set {
                let origin = self.settings.origin_of(name);
                self.warn(origin, format!("\"{name}\" has no effect: no socket is a file"));
            }
        }
    }

    fn warn(&mut self, origin: Origin, text: String) {
        self.warnings.push(Warning { origin, text });
    }
}

fn default_listener() -> Listener {
    Listener {
        address: Address::Tcp { host: "127.0.0.1".into(), port: 8000 },
        protocol: Protocol::Http,
        tls: None,
        to_https: None,
        text: "127.0.0.1:8000".into(),
        origin: Origin::Default,
    }
}

/// Of several mounts of one path the last one counts, in its place.
fn last_of_each(mut mounts: Vec<Named>) -> Vec<Named> {
    let mut seen = HashSet::new();
    mounts.reverse();
    mounts.retain(|mount| seen.insert(mount.mountpoint.clone()));
    mounts.reverse();
    mounts
}

fn named(
    mountpoint: &str,
    text: &str,
    source: AppSource,
    callable: Option<String>,
    origin: &Origin,
) -> Named {
    Named {
        mountpoint: mountpoint.to_owned(),
        text: text.to_owned(),
        source,
        callable,
        origin: origin.clone(),
    }
}

/// What a mount or a positional argument names: a file, or a module.
fn app_source(text: &str) -> Result<(AppSource, Option<String>), ValueError> {
    if is_file(text) {
        return Ok((AppSource::File(text.into()), None));
    }
    let (head, callable) = split_callable(text)?;
    let source =
        if is_file(head) { AppSource::File(head.into()) } else { AppSource::Module(head.to_owned()) };
    Ok((source, callable))
}

pub fn is_file(text: &str) -> bool {
    text.ends_with(".py") || text.ends_with(".wsgi")
}

fn split_file(text: &str) -> Result<(&str, Option<String>), ValueError> {
    match text.rsplit_once(':') {
        Some((path, _)) if is_file(path) => split_callable(text),
        _ => Ok((text, None)),
    }
}

/// `head[:callable]`, neither empty.
fn split_callable(text: &str) -> Result<(&str, Option<String>), ValueError> {
    match text.rsplit_once(':') {
        None => Ok((text, None)),
        Some((head, callable)) if !head.is_empty() && !callable.is_empty() => {
            Ok((head, Some(callable.to_owned())))
        }
        Some(_) => Err(ValueError::new(format!("\"{text}\" names no application"), "write module:callable")),
    }
}

/// Names with dots between them.
pub fn is_module_name(text: &str) -> bool {
    let is_name = |part: &str| {
        let starts_with_digit = part.starts_with(|c: char| c.is_ascii_digit());
        !part.is_empty() && !starts_with_digit && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    text.contains('.') && text.split('.').all(is_name)
}

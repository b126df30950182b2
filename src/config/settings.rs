//! The resolved configuration: what was written, turned into what it means. Everything above this layer reads
//! this and nothing else.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::details::*;
use super::http::Http;
use super::statics::Statics;
use super::tls::{Identity, Tls};

/// The function of the Python package that was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Caller {
    #[default]
    Serve,
    LoadConfig,
}

/// Where an option was written: a file and line, the command line, the environment, or a keyword of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    CommandLine,
    Environment(String),
    /// A keyword argument.
    Keyword(Caller),
    File {
        path: String,
        line: u32,
    },
    /// Nobody wrote it: what rwsgi does by itself.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::CommandLine => f.write_str("command line"),
            Origin::Environment(name) => write!(f, "environment variable {name}"),
            Origin::Keyword(Caller::Serve) => f.write_str("rwsgi.serve()"),
            Origin::Keyword(Caller::LoadConfig) => f.write_str("rwsgi.load_config()"),
            Origin::File { path, line } => write!(f, "{path}:{line}"),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// What a listening socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Uwsgi,
    Http,
}

/// Where a socket is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `host` is empty for every IPv4 address; a name, an IPv4 or an IPv6 address otherwise. Port 0 lets the kernel choose.
    Tcp {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
    /// The name without the leading `@` or NUL.
    Abstract(Vec<u8>),
    /// A descriptor that was open when rwsgi started.
    Inherited(i32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub address: Address,
    pub protocol: Protocol,
    pub tls: Option<Box<Identity>>,
    /// Every request is sent on to https at this port.
    pub to_https: Option<u16>,
    /// The address as it was written, for messages and the log.
    pub text: String,
    pub origin: Origin,
}

/// Where an application's callable comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppSource {
    /// `module` is imported.
    Module(String),
    /// The file is executed as a module of its own.
    File(PathBuf),
    /// Already in memory: the object passed to `rwsgi.serve()`.
    Object,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// SCRIPT_NAME that it answers to; empty for the default application.
    pub mountpoint: String,
    pub source: AppSource,
    /// The callable's name (`application` by default), possibly dotted; `name()` calls a factory first.
    pub callable: String,
    pub origin: Origin,
}

/// Names of processes in `ps` (`auto-procname`, `procname…`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcNames {
    pub auto: bool,
    pub all: Option<String>,
    pub master: Option<String>,
    pub prefix: String,
    pub append: String,
}

/// Every setting, with its default where nothing was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub listeners: Vec<Listener>,
    /// In load order. Empty: none was named.
    pub apps: Vec<App>,
    pub chdir: Option<PathBuf>,
    pub pythonpath: Vec<PathBuf>,
    pub virtualenv: Option<PathBuf>,
    /// `(name, value)` in the order written.
    pub env: Vec<(String, String)>,
    /// `sys.argv` after its first entry, separated by blanks.
    pub pyargv: Option<String>,
    pub processes: u32,
    pub threads: u32,
    pub lazy_apps: bool,
    pub need_app: bool,
    /// Load code named by request variables (UWSGI_FILE and the like).
    pub dynamic_apps: bool,
    pub manage_script_name: bool,
    /// Backlog; `None` means min(1024, somaxconn).
    pub listen: Option<u32>,
    pub buffer_size: usize,
    /// Most request variables of one request.
    pub max_vars: usize,
    /// Bodies up to this many bytes are read into memory before the app runs, larger ones to a file. 0: not read ahead.
    pub post_buffering: usize,
    /// Bytes of such a file; 0: no limit.
    pub post_buffering_limit: u64,
    /// Largest body in bytes; 0: no limit.
    pub limit_post: u64,
    /// Most bytes of the head that an application gives an answer.
    pub response_headers_limit: usize,
    /// The longest wait for the peer in one blocking step.
    pub socket_timeout: Duration,
    pub chmod_socket: Option<u32>,
    /// `user` or `user:group`.
    pub chown_socket: Option<String>,
    pub uid: Option<String>,
    pub gid: Option<String>,
    pub umask: Option<u32>,
    pub vacuum: bool,
    pub pidfile: Option<PathBuf>,
    pub harakiri: Option<Duration>,
    pub harakiri_verbose: bool,
    pub harakiri_graceful_timeout: Option<Duration>,
    /// Requests after which a worker is replaced; 0: never.
    pub max_requests: u64,
    pub max_requests_delta: u64,
    pub worker_reload_mercy: Duration,
    pub reload_mercy: Duration,
    /// Longest time from fork to the first `ready`; `None`: no limit.
    pub boot_timeout: Option<Duration>,
    /// `false` (`disable-logging`): no line a request.
    pub log_requests: bool,
    /// Requests are timed in microseconds in the log line.
    pub log_micros: bool,
    pub logto: Option<PathBuf>,
    /// Go to the background and write the log to this file.
    pub daemonize: Option<PathBuf>,
    pub log_x_forwarded_for: bool,
    pub procnames: ProcNames,
    /// The `[uwsgi]` view of the configuration for `show-config` and `uwsgi.opt`: name, value, origin, in order.
    pub written: Vec<Written>,
    pub show_config: bool,
    /// Start everything but the workers, and exit.
    pub no_server: bool,
    /// Workers end when the master is gone.
    pub no_orphans: bool,
    /// The master keeps its privileges; only the workers drop them.
    pub master_as_root: bool,
    /// Paths that no mount answers to get 404 instead of the default application.
    pub no_default_app: bool,
    pub socket_options: SocketOptions,
    pub limits: Limits,
    pub recycle: Recycle,
    pub watch: Watch,
    pub client_errors: ClientErrors,
    pub python: Python,
    pub log: Log,
    pub pidfiles: PidFiles,
    pub http: Http,
    pub statics: Statics,
    pub tls: Tls,
}

/// One option as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub name: String,
    /// `None`: the option stood there without a value.
    pub value: Option<String>,
    pub origin: Origin,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listeners: Vec::new(),
            apps: Vec::new(),
            chdir: None,
            pythonpath: Vec::new(),
            virtualenv: None,
            env: Vec::new(),
            pyargv: None,
            processes: 1,
            threads: 1,
            lazy_apps: false,
            need_app: true,
            dynamic_apps: false,
            manage_script_name: false,
            listen: None,
            buffer_size: 65535,
            max_vars: 1000,
            post_buffering: 0,
            post_buffering_limit: 1 << 30,
            limit_post: 0,
            response_headers_limit: 64 * 1024,
            socket_timeout: Duration::from_secs(4),
            chmod_socket: None,
            chown_socket: None,
            uid: None,
            gid: None,
            umask: None,
            vacuum: false,
            pidfile: None,
            harakiri: None,
            harakiri_verbose: false,
            harakiri_graceful_timeout: None,
            max_requests: 0,
            max_requests_delta: 0,
            worker_reload_mercy: Duration::from_secs(60),
            reload_mercy: Duration::from_secs(3),
            boot_timeout: Some(Duration::from_secs(300)),
            log_requests: true,
            log_micros: false,
            logto: None,
            daemonize: None,
            log_x_forwarded_for: false,
            procnames: ProcNames::default(),
            written: Vec::new(),
            show_config: false,
            no_server: false,
            no_orphans: false,
            master_as_root: false,
            no_default_app: false,
            socket_options: SocketOptions::default(),
            limits: Limits::default(),
            recycle: Recycle::default(),
            watch: Watch::default(),
            client_errors: ClientErrors::default(),
            python: Python::default(),
            log: Log::default(),
            pidfiles: PidFiles::default(),
            http: Http::default(),
            statics: Statics::default(),
            tls: Tls::default(),
        }
    }
}

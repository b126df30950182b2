//! The resolved configuration: what was written, turned into what it means. Everything above this layer reads
//! this and nothing else.

use std::fmt;
use std::path::PathBuf;

use super::alarms::Alarms;
use super::groups::*;
use super::http::Http;
use super::instance::Instance;
use super::statics::Statics;
use super::stats::Stats;
use super::tls::{Identity, Tls};
use super::uwsgi_metrics::Metrics;

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
    /// `host` is empty for every IPv4 address; a name, an IPv4 or an IPv6 address otherwise. Port 0 lets the kernel
    /// choose.
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

/// Every setting, grouped by consumer; each with its default where nothing was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// A reload takes their certificates; where they are bound only a restart changes.
    pub listeners: Vec<Listener>,
    pub instance: Instance,
    pub supervise: Supervise,
    pub harakiri: Harakiri,
    pub recycle: Recycle,
    pub watch: Watch,
    pub procnames: ProcNames,
    pub worker: Worker,
    pub apps: Apps,
    pub python: Python,
    pub requests: Requests,
    pub http: Http,
    pub statics: Statics,
    pub tls: Tls,
    pub log: Log,
    pub metrics: Metrics,
    pub alarms: Alarms,
    pub stats: Stats,
    pub tracing: Tracing,
    /// The `[uwsgi]` view of the configuration for `show-config` and `uwsgi.opt`: name, value, origin, in order.
    pub written: Vec<Written>,
}

/// One option as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub name: String,
    /// `None`: the option stood there without a value.
    pub value: Option<String>,
    pub origin: Origin,
}

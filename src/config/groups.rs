//! The settings that a reload can change, in groups by consumer.

use std::path::PathBuf;
use std::time::Duration;

use super::App;

/// How the master runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervise {
    /// Longest time from fork to the first `ready`; `None`: no limit.
    pub boot_timeout: Option<Duration>,
    pub worker_reload_mercy: Duration,
    pub reload_mercy: Duration,
    /// Socket and pid files are removed at the end.
    pub vacuum: bool,
}

impl Default for Supervise {
    fn default() -> Supervise {
        Supervise {
            boot_timeout: Some(Duration::from_secs(300)),
            worker_reload_mercy: Duration::from_secs(60),
            reload_mercy: Duration::from_secs(3),
            vacuum: false,
        }
    }
}

/// How long a request may take: the worker publishes its deadline on the scoreboard, the master kills.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Harakiri {
    pub timeout: Option<Duration>,
    pub verbose: bool,
    pub graceful_timeout: Option<Duration>,
}

/// When a worker is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recycle {
    /// Requests; 0: never.
    pub max_requests: u64,
    /// Added for each further worker.
    pub max_requests_delta: u64,
    /// Bytes of address space and of resident memory, looked at behind each request; 0: never.
    pub address_space: u64,
    pub resident: u64,
    /// The same, looked at by the master, which kills without mercy.
    pub evil_address_space: u64,
    pub evil_resident: u64,
    pub max_lifetime: Option<Duration>,
    /// Added for each further worker.
    pub max_lifetime_delta: Duration,
    /// A worker is not replaced before. `None`: 10 s where its memory is the reason, not at all otherwise.
    pub min_lifetime: Option<Duration>,
    /// The server ends instead of reloading.
    pub exit_on_reload: bool,
    /// Any exception of the application.
    pub on_exception: bool,
    /// Names of types, texts, and `repr` of exceptions.
    pub on_exception_type: Vec<String>,
    pub on_exception_value: Vec<String>,
    pub on_exception_repr: Vec<String>,
}

impl Default for Recycle {
    fn default() -> Recycle {
        Recycle {
            max_requests: 0,
            max_requests_delta: 0,
            address_space: 0,
            resident: 0,
            evil_address_space: 0,
            evil_resident: 0,
            max_lifetime: None,
            max_lifetime_delta: Duration::ZERO,
            min_lifetime: None,
            exit_on_reload: false,
            on_exception: false,
            on_exception_type: Vec::new(),
            on_exception_value: Vec::new(),
            on_exception_repr: Vec::new(),
        }
    }
}

/// Files and modules whose change reloads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Seconds between two looks at the modules that were imported.
    pub python: Option<Duration>,
    /// Names of modules that are not looked at.
    pub python_ignore: Vec<String>,
    /// Each reloads everything, the workers, or one worker after the other.
    pub reload: Vec<PathBuf>,
    pub reload_workers: Vec<PathBuf>,
    pub reload_chain: Vec<PathBuf>,
    /// Each opens the log anew.
    pub reopen_log: Vec<PathBuf>,
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

/// What a worker asks of the system for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Worker {
    /// Processors of each worker; 0: all of them.
    pub cpu_affinity: u32,
    /// Bytes of the stack of each thread.
    pub thread_stack: Option<usize>,
}

/// The applications and which of them answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apps {
    /// In load order. Empty: none was named.
    pub mounts: Vec<App>,
    pub need_app: bool,
    /// Load code named by request variables (UWSGI_FILE and the like).
    pub dynamic_apps: bool,
    pub manage_script_name: bool,
    /// Paths that no mount answers to get 404 instead of the default application.
    pub no_default_app: bool,
}

impl Default for Apps {
    fn default() -> Apps {
        Apps {
            mounts: Vec::new(),
            need_app: true,
            dynamic_apps: false,
            manage_script_name: false,
            no_default_app: false,
        }
    }
}

/// How the application's Python runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Python {
    pub pythonpath: Vec<PathBuf>,
    pub virtualenv: Option<PathBuf>,
    /// `(name, value)` in the order written.
    pub env: Vec<(String, String)>,
    /// `sys.argv` after its first entry, separated by blanks.
    pub pyargv: Option<String>,
    /// Variables that are removed from the environment.
    pub unenv: Vec<String>,
    /// Directory to change to once the application has been loaded.
    pub chdir2: Option<PathBuf>,
    /// `-O`, `-OO`.
    pub optimize: u8,
    /// Imported in each worker.
    pub imports: Vec<String>,
    /// Imported in the master, before the fork.
    pub shared_imports: Vec<String>,
    /// An exception of the application is sent to the client.
    pub catch_exceptions: bool,
    pub no_file_wrapper: bool,
}

/// What a worker takes in and gives out, over uwsgi and HTTP alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requests {
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
    /// `(name, value)` that each answer gets.
    pub add_headers: Vec<(String, String)>,
    /// The longest wait for the peer in one blocking step.
    pub socket_timeout: Duration,
    /// The same for a peer that is sent to, if it differs.
    pub send_timeout: Option<Duration>,
    /// The application gets no exception from `write()` when its client has gone.
    pub disable_write_exception: bool,
}

impl Default for Requests {
    fn default() -> Requests {
        Requests {
            buffer_size: 65535,
            max_vars: 1000,
            post_buffering: 0,
            post_buffering_limit: 1 << 30,
            limit_post: 0,
            response_headers_limit: 64 * 1024,
            add_headers: Vec::new(),
            socket_timeout: Duration::from_secs(4),
            send_timeout: None,
            disable_write_exception: false,
        }
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `false` (`disable-logging`): no line a request.
    pub requests: bool,
    /// Requests are timed in microseconds.
    pub micros: bool,
    /// Lines name the address in X-Forwarded-For.
    pub x_forwarded_for: bool,
    /// `Some`: a date in front of each line, by this strftime format, or by the standard one when it is empty.
    pub date: Option<String>,
    /// The file is opened anew on a reload.
    pub reopen: bool,
    /// Bytes after which the file is moved to `backup`, or to its own name with the time behind it; 0: never.
    pub max_size: u64,
    pub backup: Option<PathBuf>,
    /// Requests that are logged though `disable-logging` is set.
    pub always: Logged,
    /// The stack of a request that runs longer is logged.
    pub slow_stack: Option<Duration>,
}

impl Default for Log {
    fn default() -> Log {
        Log {
            requests: true,
            micros: false,
            x_forwarded_for: false,
            date: None,
            reopen: false,
            max_size: 0,
            backup: None,
            always: Logged::default(),
            slow_stack: None,
        }
    }
}

/// Requests that are worth a line, whatever else is logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logged {
    /// By the first digit of their status.
    pub status_4xx: bool,
    pub status_5xx: bool,
    /// Those without a body.
    pub empty: bool,
    pub slower_than: Option<Duration>,
    /// By the bytes of their body.
    pub larger_than: Option<u64>,
}

/// What is done with an id that requests come with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdPolicy {
    /// It is the application's alone.
    #[default]
    Untouched,
    /// A request without a sane one gets one.
    TakenOver,
    /// Each request gets a new one.
    New,
}

impl IdPolicy {
    /// Does every request have one?
    pub fn is_on(self) -> bool {
        self != IdPolicy::Untouched
    }
}

/// The ids by which requests are known beyond this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracing {
    pub request_id: IdPolicy,
    /// Answers carry it.
    pub in_response: bool,
    pub trace_context: IdPolicy,
    /// Of 100 traces that begin here so many are marked as sampled.
    pub trace_sample: u8,
}

impl Default for Tracing {
    fn default() -> Tracing {
        Tracing {
            request_id: IdPolicy::Untouched,
            in_response: true,
            trace_context: IdPolicy::Untouched,
            trace_sample: 100,
        }
    }
}

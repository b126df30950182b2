//! Settings that belong together, each group a part of `Settings`.

use std::path::PathBuf;
use std::time::Duration;

/// What is asked of the kernel for each socket (`so-…`, `tcp-…`, …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    pub keepalive: bool,
    pub nodelay: bool,
    pub send_timeout: Option<Duration>,
    /// Bytes of the kernel's buffers.
    pub send_buffer: Option<usize>,
    pub receive_buffer: Option<usize>,
    pub reuse_port: bool,
    /// Bind addresses that the machine does not have yet.
    pub free_bind: bool,
    /// Programs that the application starts do not get the sockets.
    pub close_on_exec: bool,
    /// A connection is accepted when its first bytes are there.
    pub defer_accept: bool,
    /// Connections that may send data with their first packet.
    pub fast_open: Option<u32>,
}

impl Default for SocketOptions {
    fn default() -> SocketOptions {
        SocketOptions {
            keepalive: false,
            nodelay: false,
            send_timeout: None,
            send_buffer: None,
            receive_buffer: None,
            reuse_port: false,
            free_bind: false,
            close_on_exec: false,
            defer_accept: true,
            fast_open: None,
        }
    }
}

/// What the kernel may give to a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of address space.
    pub address_space: Option<u64>,
    pub processes: Option<u64>,
    /// Open descriptors.
    pub descriptors: Option<u64>,
    /// Processors of each worker; 0: all of them.
    pub cpu_affinity: u32,
    /// Bytes of the stack of each thread.
    pub thread_stack: Option<usize>,
}

/// When a worker is replaced, beside `max-requests`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recycle {
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

/// What happens when a client goes away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientErrors {
    pub ignore_sigpipe: bool,
    pub ignore_write_errors: bool,
    /// The application gets no exception from `write()`.
    pub disable_write_exception: bool,
    /// It gets only the exception, and nothing is logged.
    pub exception_only: bool,
    /// Errors of one request that are tolerated.
    pub tolerance: u64,
}

/// How the application's Python runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Python {
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
    /// A fresh `environ` for each request, instead of one that is used again.
    pub fresh_environ: bool,
    /// An exception of the application is sent to the client.
    pub catch_exceptions: bool,
    pub no_file_wrapper: bool,
    /// `(name, value)` that each answer gets.
    pub add_headers: Vec<(String, String)>,
}

/// How the log is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// `Some`: a date in front of each line, by this strftime format, or by the standard one when it is empty.
    pub date: Option<String>,
    /// The file is emptied at the start.
    pub truncate: bool,
    /// The file is opened anew on a reload.
    pub reopen: bool,
    /// As `logto`, but opened when privileges have been dropped.
    pub to2: Option<PathBuf>,
    /// Bytes after which the file is moved to `backup`, or to its own name with the time behind it; 0: never.
    pub max_size: u64,
    pub backup: Option<PathBuf>,
    /// Requests that are logged though `disable-logging` is set.
    pub always: Logged,
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

/// Further files with the master's pid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PidFiles {
    /// Written when privileges have been dropped.
    pub second: Option<PathBuf>,
    /// Written when the server is ready.
    pub safe: Option<PathBuf>,
    pub safe_second: Option<PathBuf>,
}

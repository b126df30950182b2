//! What the master does once, when it starts: only a restart changes it.

use super::StatsSocket;
use super::metrics::DEFAULT_BUCKETS;
use super::uwsgi_metrics::MetricTable;
use std::path::PathBuf;

/// A reload compares this with the new reading and puts it back whole (reload.rs).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub processes: u32,
    pub threads: u32,
    pub lazy_apps: bool,
    pub chdir: Option<PathBuf>,
    pub umask: Option<u32>,
    pub uid: Option<String>,
    pub gid: Option<String>,
    /// The master keeps its privileges; only the workers drop them.
    pub master_as_root: bool,
    pub limits: Limits,
    /// Backlog; `None` means min(1024, somaxconn).
    pub listen: Option<u32>,
    pub chmod_socket: Option<u32>,
    /// `user` or `user:group`.
    pub chown_socket: Option<String>,
    pub socket_options: SocketOptions,
    pub logto: Option<PathBuf>,
    /// As `logto`, but opened when privileges have been dropped.
    pub logto2: Option<PathBuf>,
    /// The log's file is emptied at the start.
    pub log_truncate: bool,
    /// Go to the background and write the log to this file.
    pub daemonize: Option<PathBuf>,
    pub pidfiles: PidFiles,
    pub metrics: MetricTable,
    pub stats: Vec<StatsSocket>,
    /// All of them speak HTTP.
    pub stats_http: bool,
    /// Where the stacks of each worker can be read: a path or `@name`, to which its number is added.
    pub tracebacker: Option<String>,
    /// Bounds of the histogram of latencies, in microseconds; what a process counts belongs to the same ones always.
    pub metrics_buckets: Vec<u64>,
    pub show_config: bool,
    /// Start everything but the workers, and exit.
    pub no_server: bool,
}

impl Default for Instance {
    fn default() -> Instance {
        Instance {
            processes: 1,
            threads: 1,
            lazy_apps: false,
            chdir: None,
            umask: None,
            uid: None,
            gid: None,
            master_as_root: false,
            limits: Limits::default(),
            listen: None,
            chmod_socket: None,
            chown_socket: None,
            socket_options: SocketOptions::default(),
            logto: None,
            logto2: None,
            log_truncate: false,
            daemonize: None,
            pidfiles: PidFiles::default(),
            metrics: MetricTable::default(),
            stats: Vec::new(),
            stats_http: false,
            tracebacker: None,
            metrics_buckets: DEFAULT_BUCKETS.to_vec(),
            show_config: false,
            no_server: false,
        }
    }
}

/// What is asked of the kernel for each socket (`so-…`, `tcp-…`, …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    pub keepalive: bool,
    /// Bytes of the kernel's buffers.
    pub send_buffer: Option<usize>,
    pub receive_buffer: Option<usize>,
    pub reuse_port: bool,
    /// Bind addresses that the machine does not have yet.
    pub free_bind: bool,
    /// A connection is accepted when its first bytes are there.
    pub defer_accept: bool,
    /// Connections that may send data with their first packet.
    pub fast_open: Option<u32>,
}

impl Default for SocketOptions {
    fn default() -> SocketOptions {
        SocketOptions {
            keepalive: false,
            send_buffer: None,
            receive_buffer: None,
            reuse_port: false,
            free_bind: false,
            defer_accept: true,
            fast_open: None,
        }
    }
}

/// What the kernel may give to each process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of address space.
    pub address_space: Option<u64>,
    pub processes: Option<u64>,
    /// Open descriptors.
    pub descriptors: Option<u64>,
}

/// Files with the master's pid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PidFiles {
    pub first: Option<PathBuf>,
    /// Written when privileges have been dropped.
    pub second: Option<PathBuf>,
    /// Written when the server is ready.
    pub safe: Option<PathBuf>,
    pub safe_second: Option<PathBuf>,
}

//! The dispositions of signals in processes that load the application.

use crate::sys::signal;

/// Signals whose handlers an application may replace with its own.
pub const REPLACEABLE: [i32; 6] =
    [signal::SIGHUP, signal::SIGINT, signal::SIGQUIT, signal::SIGTERM, signal::SIGUSR1, signal::SIGUSR2];

/// Variables of the environment by which a service manager speaks to the server (sd_listen_fds(3), sd_notify(3)): nothing that
/// the server starts may take the descriptors for its own, or speak for it.
pub const SERVICE_MANAGER: [&str; 4] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET"];

/// Set before the application is loaded, so that its own handlers replace them. TERM and HUP retire this worker; the
/// others belong to the master, which gets Ctrl-C, too.
pub fn set() -> std::io::Result<()> {
    signal::note_and_wake(&[signal::SIGTERM, signal::SIGHUP])?;
    for disregarded in [signal::SIGINT, signal::SIGQUIT, signal::SIGUSR1, signal::SIGUSR2, signal::SIGTSTP] {
        signal::disregard(disregarded)?;
    }
    signal::ignore(signal::SIGPIPE)?;
    // Python starts its children with the default of what Python itself knows; ours must not be inherited as ignored.
    signal::reset(signal::SIGCHLD)?;
    signal::arm_wake()
}

//! The dispositions of signals in processes that load the application.

use crate::sys::signal;

/// Signals whose handlers an application may replace with its own.
pub const REPLACEABLE: [i32; 6] =
    [signal::SIGHUP, signal::SIGINT, signal::SIGQUIT, signal::SIGTERM, signal::SIGUSR1, signal::SIGUSR2];

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

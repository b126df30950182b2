//! Reserved exit statuses: they tell a failed boot from a crash.

/// A worker retired on command.
pub const EXIT_DONE: i32 = 0;
/// uWSGI's code for an application that cannot be loaded.
pub const EXIT_NO_APP: i32 = 22;
/// A process could not ready itself for a reason of the system's.
pub const EXIT_BROKEN: i32 = 71;

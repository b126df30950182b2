//! What is known of the log beside its text.

/// How well the log takes what is written, since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogHealth {
    /// Lines that were dropped.
    pub dropped_lines: u64,
    /// Time in writes that have come back.
    pub write_us: u64,
    /// The age of the oldest write that has not.
    pub stalled_us: u64,
}

impl LogHealth {
    #[must_use]
    pub fn with(self, other: LogHealth) -> LogHealth {
        LogHealth {
            dropped_lines: self.dropped_lines + other.dropped_lines,
            write_us: self.write_us + other.write_us,
            stalled_us: self.stalled_us.max(other.stalled_us),
        }
    }
}

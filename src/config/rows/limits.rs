//! How long a request may take.

use super::Table;
use crate::config::row::{Arg::*, Row};
use crate::config::value::{flag, put, timeout};

pub const TABLE: Table = Table {
    theme: "Time limits",
    rows: &[
        Row::works(
            "harakiri",
            Seconds,
            |d, v, _| put(&mut d.settings.harakiri.timeout, timeout(v)),
            "seconds that a request may take before its worker is killed; 0: no limit",
        )
        .short('t')
        .default("0"),
        Row::accepted(
            "harakiri-verbose",
            Flag,
            "log more about a request that took too long",
            "the stacks of all threads are in the log always",
        )
        .setter(|d, v, _| put(&mut d.settings.harakiri.verbose, flag(v))),
        Row::works(
            "harakiri-graceful-timeout",
            Seconds,
            |d, v, _| put(&mut d.settings.harakiri.graceful_timeout, timeout(v)),
            "seconds between an exception in the request and the kill; 0: kill at once",
        )
        .default("0"),
    ],
};

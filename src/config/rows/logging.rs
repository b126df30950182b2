//! What is logged, and where to.

use std::path::PathBuf;

use super::Table;
use crate::config::row::{Arg::*, Row};
use crate::config::value::{flag, inverse, put, text};
use crate::config::{Draft, Origin, ValueError};

pub const TABLE: Table = Table {
    theme: "Logging",
    rows: &[
        Row::works(
            "disable-logging",
            Flag,
            |d, v, _| put(&mut d.settings.log_requests, inverse(v)),
            "no line a request in the log",
        )
        .short('L')
        .default("false"),
        Row::works("logto", Required, logto, "append the log to this file"),
        Row::works(
            "log-x-forwarded-for",
            Flag,
            |d, v, _| put(&mut d.settings.log_x_forwarded_for, flag(v)),
            "log the address in X-Forwarded-For instead of the peer's",
        )
        .default("false"),
        Row::works(
            "log-micros",
            Flag,
            |d, v, _| put(&mut d.settings.log_micros, flag(v)),
            "log times in microseconds instead of milliseconds",
        )
        .default("false"),
    ],
};

fn logto(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    draft.settings.logto = Some(log_file(value)?);
    Ok(())
}

/// uWSGI takes `host:port` for a log server that listens for datagrams.
pub fn log_file(value: Option<&str>) -> Result<PathBuf, ValueError> {
    let text = text(value)?;
    let port = text.rsplit_once(':').map(|(_, port)| port);
    if !text.starts_with(['/', '.'])
        && port.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
    {
        let fault = format!("logging to \"{text}\" over UDP is not supported yet");
        return Err(ValueError::new(fault, "write the path of a file"));
    }
    Ok(text.into())
}

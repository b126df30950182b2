//! What is logged, and where to.

use std::path::PathBuf;
use std::time::Duration;

use super::Table;
use crate::config::row::{Arg, Arg::*, Row, Setter};
use crate::config::value::{flag, inverse, is_flag, number, paths, put, size, some, text};
use crate::config::{Draft, Origin, ValueError};

pub const TABLE: Table = Table {
    theme: "Logging",
    rows: &[
        Row::works(
            "disable-logging",
            Flag,
            |d, v, _| put(&mut d.settings.log.requests, inverse(v)),
            "no line a request in the log",
        )
        .short('L')
        .default("false"),
        Row::works("logto", Required, logto, "append the log to this file").restart(),
        Row::works(
            "logto2",
            Required,
            |d, v, _| put(&mut d.settings.instance.logto2, log_file(v).map(Some)),
            "as logto, once privileges have been dropped",
        )
        .restart(),
        Row::works(
            "log-date",
            Optional,
            log_date,
            "put a date in front of each line, by this strftime format",
        )
        .alias(&["logdate"]),
        Row::works(
            "log-truncate",
            Flag,
            |d, v, _| put(&mut d.settings.instance.log_truncate, flag(v)),
            "empty the log at the start",
        )
        .restart(),
        Row::works(
            "log-reopen",
            Flag,
            |d, v, _| put(&mut d.settings.log.reopen, flag(v)),
            "open the log anew on a reload",
        ),
        Row::works(
            "touch-logreopen",
            Required,
            |d, v, _| paths(&mut d.settings.watch.reopen_log, v),
            "open the log anew when this file is touched",
        )
        .many(),
        Row::works(
            "log-maxsize",
            Size,
            |d, v, _| put(&mut d.settings.log.max_size, size(v)),
            "bytes after which the log is moved away; 0: never",
        )
        .default("0")
        .soon("the log grows; rotate it with logrotate and touch-logreopen"),
        Row::works(
            "log-backupname",
            Required,
            |d, v, _| put(&mut d.settings.log.backup, some(v)),
            "where log-maxsize moves the log to",
        )
        .soon("the log grows; rotate it with logrotate and touch-logreopen"),
        line(
            "log-4xx",
            Flag,
            |d, v, _| put(&mut d.settings.log.always.status_4xx, flag(v)),
            "log requests with a status 4xx, whatever else is logged",
        ),
        line(
            "log-5xx",
            Flag,
            |d, v, _| put(&mut d.settings.log.always.status_5xx, flag(v)),
            "log requests with a status 5xx, whatever else is logged",
        ),
        line(
            "log-zero",
            Flag,
            |d, v, _| put(&mut d.settings.log.always.empty, flag(v)),
            "log answers without a body, whatever else is logged",
        ),
        line(
            "log-slow",
            Number,
            |d, v, _| put(&mut d.settings.log.always.slower_than, milliseconds(v)),
            "log requests that take more milliseconds, whatever else is logged",
        ),
        Row::works(
            "log-slow-stack",
            Number,
            log_slow_stack,
            "log the Python stack of a request that has run for so many milliseconds, once, while it runs; 0: never",
        )
        .default("0"),
        line(
            "log-big",
            Size,
            |d, v, _| put(&mut d.settings.log.always.larger_than, size(v).map(Some)),
            "log answers of more bytes, whatever else is logged",
        ),
        Row::works(
            "log-x-forwarded-for",
            Flag,
            |d, v, _| put(&mut d.settings.log.x_forwarded_for, flag(v)),
            "log the address in X-Forwarded-For instead of the peer's",
        )
        .default("false"),
        Row::works(
            "log-micros",
            Flag,
            |d, v, _| put(&mut d.settings.log.micros, flag(v)),
            "log times in microseconds instead of milliseconds",
        )
        .default("false"),
    ],
};

const fn line(name: &'static str, arg: Arg, set: Setter, help: &'static str) -> Row {
    Row::works(name, arg, set, help).soon("what is logged depends on disable-logging alone")
}

fn milliseconds(value: Option<&str>) -> Result<Option<Duration>, ValueError> {
    number(value).map(|count| Some(Duration::from_millis(count)))
}

fn log_slow_stack(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    draft.settings.log.slow_stack = milliseconds(value)?.filter(|limit| !limit.is_zero());
    Ok(())
}

/// A flag turns it on; any other text is the format.
fn log_date(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let value = value.unwrap_or_default();
    draft.settings.log.date = match is_flag(value) {
        true => Some(String::new()).filter(|_| flag(Some(value)) == Ok(true)),
        false => Some(value.to_owned()),
    };
    Ok(())
}

fn logto(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    draft.settings.instance.logto = Some(log_file(value)?);
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

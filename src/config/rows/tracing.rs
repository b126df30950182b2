//! The ids by which requests are known beyond this server.

use super::Table;
use crate::config::row::{Arg::*, Row};
use crate::config::value::{flag, is_flag, number, put};
use crate::config::{IdPolicy, ValueError};

pub const TABLE: Table = Table {
    theme: "Tracing",
    rows: &[
        Row::works(
            "request-id",
            Optional,
            |d, v, _| put(&mut d.settings.tracing.request_id, policy(v)),
            "give each request an X-Request-ID, the one that it comes with or a new one; new: always a new one",
        )
        .default("false"),
        Row::works(
            "request-id-response",
            Flag,
            |d, v, _| put(&mut d.settings.tracing.in_response, flag(v)),
            "with request-id, put it into the answer, too",
        )
        .default("true"),
        Row::works(
            "trace-context",
            Optional,
            |d, v, _| put(&mut d.settings.tracing.trace_context, policy(v)),
            "give each request a traceparent, the one that it comes with or a new one; new: always a new one",
        )
        .default("false"),
        Row::works(
            "trace-sample",
            Number,
            |d, v, _| put(&mut d.settings.tracing.trace_sample, percent(v)),
            "percent of the traces that begin here that are marked as sampled",
        )
        .default("100"),
    ],
};

fn policy(value: Option<&str>) -> Result<IdPolicy, ValueError> {
    match value.unwrap_or_default() {
        "new" => Ok(IdPolicy::New),
        word if is_flag(word) => Ok(if flag(value)? { IdPolicy::TakenOver } else { IdPolicy::Untouched }),
        other => {
            Err(ValueError::new(format!("\"{other}\" is neither true nor false"), "write true, false or new"))
        }
    }
}

fn percent(value: Option<&str>) -> Result<u8, ValueError> {
    match number(value)? {
        share @ 0..=100 => Ok(share),
        _ => Err(ValueError::new("more than all of them", "write a number from 0 to 100")),
    }
}

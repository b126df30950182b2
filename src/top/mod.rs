//! Layer 5: `rwsgi top`, a view of what a server does. A process of its own that reads what a stats server writes: rwsgi's
//! or uWSGI's.
#![forbid(unsafe_code)]

mod address;
mod app;
mod arguments;
mod client;
pub mod commands;
mod document;
mod http;
mod keys;
mod latency;
mod lenient;
mod lines;
mod live;
mod plain;
mod reader;
mod rows;
mod samples;
mod stacks;
mod terminal;
mod text;
mod units;
mod view;

use crate::sys::signal;
use arguments::{Parsed, USAGE, parse};
use std::io::{IsTerminal, Write, stderr, stdout};

/// Runs `rwsgi top` with what stands behind these words; the exit status.
pub fn run(arguments: &[String]) -> i32 {
    let arguments = match parse(arguments) {
        Parsed::Run(arguments) => arguments,
        Parsed::Help => return i32::from(stdout().write_all(USAGE.as_bytes()).is_err()),
        Parsed::Wrong(why) => {
            complain(&why);
            let _ = stderr().write_all(USAGE.as_bytes());
            return 2;
        }
    };
    // Python has a handler that only notes the signal.
    let _ = signal::reset(signal::SIGINT);
    let is_live = stdout().is_terminal() && !arguments.once && !arguments.json;
    let outcome = if is_live { live::run(&arguments) } else { plain::run(&arguments) };
    outcome.unwrap_or_else(|why| {
        complain(&why);
        1
    })
}

fn complain(why: &str) {
    let _ = writeln!(stderr(), "rwsgi top: {}", text::escaped(why));
}

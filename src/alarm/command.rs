//! `cmd:`: a command of the shell that reads the message from its input, as in uWSGI.

use super::Delivery;
use crate::base::reason::reason;
use crate::log;
use crate::process::exit::EXIT_BROKEN;
use crate::process::signals::SERVICE_MANAGER;
use crate::sys::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// A variable of the environment that is longer keeps the kernel from running anything (MAX_ARG_STRLEN, execve(2)).
const MAX_JSON: usize = 120 * 1024;

/// Becomes the command; returns only if it cannot.
pub fn run(command: &str, delivery: &Delivery) -> i32 {
    let input = match io::memory_file(delivery.message.as_bytes()) {
        Ok(input) => input,
        Err(error) => return cannot(delivery, &reason(error)),
    };
    io::close_on_exec_from(3);
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).stdin(Stdio::from(input));
    for name in SERVICE_MANAGER {
        shell.env_remove(name);
    }
    shell
        .env("ALARM_NAME", &delivery.alarm)
        .env("ALARM_EVENT", delivery.event)
        .env("ALARM_JSON", if delivery.json.len() > MAX_JSON { "" } else { &delivery.json });
    cannot(delivery, &reason(shell.exec()))
}

fn cannot(delivery: &Delivery, why: &str) -> i32 {
    log::say(&format!("[uwsgi-alarm] {}: cannot run its command: {why}", delivery.alarm));
    EXIT_BROKEN
}

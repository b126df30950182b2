//! `rwsgi stacks` and `rwsgi profile`: documents of a stats server, for people and for other tools.

mod arguments;
mod flame;
mod folded;
mod profile;
mod speedscope;
mod stacks;

use super::text::escaped;
use crate::sys::signal;
use std::io::{Write, stderr, stdout};

/// What a command has done.
enum Outcome {
    /// For the standard output.
    Text(String),
    /// A file is written; for the standard error.
    Written(String),
}

/// Why it has not.
enum Failure {
    /// The words behind the command.
    Arguments(String),
    Other(String),
}

impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure::Other(why)
    }
}

/// Runs the command with this name; the exit status. `None`: it is none of these.
pub fn run(name: &str, words: &[String]) -> Option<i32> {
    let (command, usage): (fn(&[String]) -> Result<Outcome, Failure>, &str) = match name {
        "stacks" => (stacks::run, stacks::USAGE),
        "profile" => (profile::run, profile::USAGE),
        _ => return None,
    };
    if words.iter().any(|word| word == "--help" || word == "-h") {
        return Some(print(usage));
    }
    // Python has a handler that only notes the signal.
    let _ = signal::reset(signal::SIGINT);
    Some(match command(words) {
        Ok(Outcome::Text(text)) => print(&text),
        Ok(Outcome::Written(text)) => {
            let _ = write!(stderr(), "{text}");
            0
        }
        Err(Failure::Other(why)) => complain(name, &why, "", 1),
        Err(Failure::Arguments(why)) => complain(name, &why, usage, 2),
    })
}

fn print(text: &str) -> i32 {
    let mut output = stdout();
    // A closed pipe behind it is no error.
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    0
}

fn complain(name: &str, why: &str, usage: &str, status: i32) -> i32 {
    let _ = write!(stderr(), "rwsgi {name}: {}\n{usage}", escaped(why));
    status
}

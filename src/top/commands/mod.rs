//! `rwsgi stacks` and `rwsgi profile`: documents of a stats server, for people and for other tools.

mod arguments;
mod flame;
mod folded;
mod outcome;
mod profile;
mod speedscope;
mod stacks;

use super::text::escaped;
use crate::sys::signal;
use outcome::{Failure, Outcome};
use std::io::{Write, stderr, stdout};

struct Command {
    run: fn(&[String]) -> Result<Outcome, Failure>,
    usage: &'static str,
}

fn find(name: &str) -> Option<Command> {
    Some(match name {
        "stacks" => Command { run: stacks::run, usage: stacks::USAGE },
        "profile" => Command { run: profile::run, usage: profile::USAGE },
        _ => return None,
    })
}

/// Runs the command with this name; the exit status. `None`: it is none of these.
pub fn run(name: &str, words: &[String]) -> Option<i32> {
    let Command { run, usage } = find(name)?;
    if words.iter().any(|word| word == "--help" || word == "-h") {
        return Some(print(usage));
    }
    // Python has a handler that only notes the signal.
    let _ = signal::reset(signal::SIGINT);
    Some(match run(words) {
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

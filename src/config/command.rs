//! `rwsgi check`, `rwsgi init`, `rwsgi completion`, `rwsgi man`: words in front of the options that start no server.
//! `rwsgi top` is one more, which src/top/ has.

use crate::base::reason::reason;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::check::{Python, check, check_and_load};
use super::{Shell, Sources, completion, init, man};

/// What a command has to say, and what it wants to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// For the standard output.
    pub output: String,
    /// For the standard error.
    pub errors: String,
    pub status: u8,
    /// Files to write, with their content; none of them may exist unless `replace` is set.
    pub files: Vec<(PathBuf, String)>,
    pub replace: bool,
}

impl Outcome {
    /// Writes the files: all of them, or none when one is there already.
    pub fn write(&self) -> Result<(), String> {
        let there = self.files.iter().find(|(path, _)| path.symlink_metadata().is_ok());
        if let Some((path, _)) = there.filter(|_| !self.replace) {
            return Err(format!("{} exists already; --force overwrites it", path.display()));
        }
        for (path, text) in &self.files {
            self.write_one(path, text).map_err(|error| format!("{}: {}", path.display(), reason(error)))?;
        }
        Ok(())
    }

    /// Always a new file: one that was there may be another user's symlink to any file.
    fn write_one(&self, path: &Path, text: &str) -> std::io::Result<()> {
        if self.replace && path.symlink_metadata().is_ok() {
            std::fs::remove_file(path)?;
        }
        std::fs::File::create_new(path)?.write_all(text.as_bytes())
    }
}

const CHECK_USAGE: &str = "\
Usage: rwsgi check [--strict] [--import] [--output text|json] [options] FILE…

Reads a configuration as the server would and says all there is to say about it. Nothing is started, but for the
commands that the configuration reads from (exec://); with --import the application is imported, to prove that it can be.
Exit status: 0, 1 with --strict where there are warnings, 2 where the server would not start.
";

const COMPLETION_USAGE: &str = "Usage: rwsgi completion bash|zsh|fish\n";

/// `None`: the arguments are those of a server.
pub fn command(sources: &Sources, colour: bool, python: Option<&Python>) -> Option<Outcome> {
    let (name, arguments) = sources.arguments.split_first()?;
    Some(match name.as_str() {
        "check" => run_check(sources, arguments, colour, python),
        "init" => init::command(arguments),
        "completion" => run_completion(arguments),
        "man" => printed(man()),
        _ => return None,
    })
}

fn run_check(sources: &Sources, arguments: &[String], colour: bool, python: Option<&Python>) -> Outcome {
    let mut strict = false;
    let mut import = false;
    let mut json = false;
    let mut rest = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--strict" => strict = true,
            "--import" => import = true,
            "--output=json" => json = true,
            "--output=text" => json = false,
            "--output" => match arguments.next().map(String::as_str) {
                Some("json") => json = true,
                Some("text") => json = false,
                _ => return misused(CHECK_USAGE),
            },
            "--help" | "-h" => return printed(CHECK_USAGE.to_owned()),
            _ => rest.push(argument.clone()),
        }
    }
    if rest.is_empty()
        && sources
            .environment
            .iter()
            .all(|(name, _)| !name.starts_with("UWSGI_") && !name.starts_with("RWSGI_"))
    {
        return misused(CHECK_USAGE);
    }
    let sources = Sources { arguments: rest, ..sources.clone() };
    let report = match python {
        Some(python) if import => check_and_load(&sources, python),
        _ => check(&sources, python),
    };
    let output = if json { report.json() } else { report.text(colour) };
    Outcome { output, status: report.status(strict), ..Outcome::default() }
}

fn run_completion(arguments: &[String]) -> Outcome {
    match arguments {
        [shell] if shell == "bash" => printed(completion(Shell::Bash)),
        [shell] if shell == "zsh" => printed(completion(Shell::Zsh)),
        [shell] if shell == "fish" => printed(completion(Shell::Fish)),
        _ => misused(COMPLETION_USAGE),
    }
}

pub fn printed(output: String) -> Outcome {
    Outcome { output, ..Outcome::default() }
}

pub fn misused(usage: &str) -> Outcome {
    Outcome { errors: usage.to_owned(), status: 2, ..Outcome::default() }
}

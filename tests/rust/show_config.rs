//! Prints what `show-config` shows of the arguments, for the comparison with uWSGI. Built as an example, it runs
//! without Python: `cargo run --no-default-features --example show_config -- --ini site.ini`. With `check`, `init`,
//! `completion` or `man` in front it does what those commands do, but for writing files.

use std::io::IsTerminal;
use std::process::ExitCode;

use rwsgi::config::{Action, Sources, command, load, show};

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).collect();
    let sources = Sources { environment: std::env::vars().collect(), arguments, ..Sources::default() };
    if let Some(outcome) = command(&sources, std::io::stdout().is_terminal(), None) {
        print!("{}", outcome.output);
        eprint!("{}", outcome.errors);
        return ExitCode::from(outcome.status);
    }
    match load(&sources) {
        Err(error) => {
            eprintln!("rwsgi: {error}");
            ExitCode::FAILURE
        }
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
            match loaded.action {
                Action::Exit(status) => ExitCode::from(status),
                _ => {
                    print!("{}", show(&loaded.settings));
                    ExitCode::SUCCESS
                }
            }
        }
    }
}

//! The option tables and what a configuration means: https://github.com/rwsgi/rwsgi/issues/2, part 2.

#[path = "../files.rs"]
mod files;
mod mistakes;
mod reload;
mod settings;
mod sources;
mod tables;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use files::Files;
use rwsgi::config::*;

/// Every option of uWSGI 2.0.31, one a line.
const UWSGI_OPTIONS: &str = include_str!("../../fixtures/uwsgi-options.txt");

fn command_line(line: &str) -> Sources {
    Sources { arguments: line.split_whitespace().map(str::to_owned).collect(), ..Sources::default() }
}

fn ok(sources: &Sources) -> Loaded {
    load(sources).unwrap_or_else(|e| panic!("{e}"))
}

fn cli(line: &str) -> Settings {
    ok(&command_line(line)).settings
}

/// Settings, warnings and error of an ini file; `FILE` stands for its path in the texts.
fn ini(test: &str, text: &str) -> Result<(Settings, Vec<String>), String> {
    let files = Files::new(test);
    let path = files.write("site.ini", text);
    let short = |text: String| text.replace(&path, "FILE");
    let loaded = load(&command_line(&format!("--ini {path}"))).map_err(|e| short(e.to_string()))?;
    Ok((loaded.settings, loaded.warnings.iter().map(|w| short(w.to_string())).collect()))
}

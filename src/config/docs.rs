//! What is generated from the rows: `--help`, docs/options.md; and the configuration as `show-config` shows it.

use std::fmt::Write;

use super::registry;
use super::row::{Arg, Reload, Row, Status};
use super::{Settings, Written};

const HELP_HEAD: &str = "\
Usage: rwsgi [options] [FILE.ini | FILE.py | MODULE:CALLABLE]
       rwsgi check FILE…      look through a configuration, without starting anything
       rwsgi init [--help]    write a configuration, and those of nginx, systemd or supervisor
       rwsgi top ADDR         show live what a server does
       rwsgi stacks ADDR      show what every thread of a server's workers does now
       rwsgi profile ADDR     show where the time of its workers goes, as a flame graph
       rwsgi completion SHELL, rwsgi man

Serve a WSGI application. The options are those of uWSGI; each can stand on the command line, in a file (ini, XML,
YAML, JSON or TOML, without dashes), in the environment (UWSGI_MAX_REQUESTS or RWSGI_MAX_REQUESTS) and in
rwsgi.serve(max_requests=…).
";

/// Column at which the help of an option starts.
const COLUMN: usize = 36;

/// The options that do something, by theme.
pub fn help() -> String {
    let mut out = HELP_HEAD.to_owned();
    for (theme, rows) in themes() {
        let known: Vec<&Row> = rows.into_iter().filter(|row| is_built(row)).collect();
        if known.is_empty() {
            continue;
        }
        let _ = write!(out, "\n{theme}:\n");
        for row in known {
            let _ = writeln!(out, "{}", help_line(row));
        }
    }
    let others = registry::all().iter().filter(|row| !is_built(row)).count();
    let _ = write!(
        out,
        "\n{others} further options of uWSGI are known and answered with a warning: see docs/options.md.\n"
    );
    out
}

fn help_line(row: &Row) -> String {
    let mut names: Vec<String> = row.short.iter().map(|letter| format!("-{letter}")).collect();
    names.extend(row.spellings().map(|name| format!("--{name}")));
    let left = format!("  {}{}", names.join(", "), placeholder(row));
    let default = match row.default {
        "" | "false" => String::new(),
        default => format!(" [{default}]"),
    };
    let note =
        if let Status::Accepted(why) = row.status { format!(" (no effect: {why})") } else { String::new() };
    if left.len() + 1 < COLUMN {
        format!("{left:COLUMN$}{}{default}{note}", row.help)
    } else {
        format!("{left}\n{:COLUMN$}{}{default}{note}", "", row.help)
    }
}

pub fn placeholder(row: &Row) -> String {
    match row.arg {
        Arg::Flag => String::new(),
        Arg::Optional => "[=VALUE]".to_owned(),
        arg => format!(" {}", arg.noun().to_uppercase()),
    }
}

/// docs/options.md.
pub fn options_md() -> String {
    let mut out = "<!-- Generated from the option tables in src/config/rows; do not edit. -->\n# Options\n\n\
        Every option of uWSGI is known. *Works*: it does what it says. *Accepted*: there is nothing to do, and why.\n\
        *Not yet*: it warns and says what will not happen. *Refused*: it warns and says what to use instead.\n\n\
        A reload takes new values of all options but those with the mark *Restart*: these keep the old one until the\n\
        server is started anew, and the log names them.\n"
        .to_owned();
    for (theme, rows) in themes() {
        let _ = write!(out, "\n## {theme}\n");
        let (built, others): (Vec<&Row>, Vec<&Row>) = rows.into_iter().partition(|row| is_built(row));
        if !built.is_empty() {
            out.push_str("\n| option | value | default | meaning |\n|---|---|---|---|\n");
            built.iter().for_each(|row| out.push_str(&table_line(row)));
        }
        for (status, names) in by_status(&others) {
            let _ = write!(out, "\n{status}:\n{}.\n", names.join(", "));
        }
    }
    out
}

fn table_line(row: &Row) -> String {
    let value = match row.arg {
        Arg::Required => "required",
        Arg::Optional => "optional",
        arg => arg.noun(),
    };
    let repeats = if row.repeats { ", repeats" } else { "" };
    let default = if row.default.is_empty() { String::new() } else { format!("`{}`", row.default) };
    let meaning = match row.status {
        Status::Accepted(why) => format!("*Accepted*: {why}."),
        _ => row.help.replace('|', "\\|"),
    };
    let reload = match row.reload {
        Reload::Live => String::new(),
        Reload::Restart => ". *Restart*.".to_owned(),
        Reload::RestartFor(part) => format!(". *Restart* for {part}."),
    };
    format!("| {} | {value}{repeats} | {default} | {meaning}{reload} |\n", spellings_md(row))
}

fn spellings_md(row: &Row) -> String {
    let short = row.short.map(|letter| format!(", `-{letter}`")).unwrap_or_default();
    let names: Vec<String> = row.spellings().map(|name| format!("`{name}`")).collect();
    names.join(", ") + &short
}

/// Rows that share a status, in the order of the table.
fn by_status(rows: &[&Row]) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for row in rows {
        let status = match row.status {
            Status::Planned(missing) => format!("*Not yet* ({missing})"),
            Status::Refused(instead) => format!("*Refused* ({instead})"),
            Status::Works | Status::Accepted(_) => continue,
        };
        match groups.iter_mut().find(|(known, _)| *known == status) {
            Some((_, names)) => names.push(spellings_md(row)),
            None => groups.push((status, vec![spellings_md(row)])),
        }
    }
    groups
}

pub fn is_built(row: &Row) -> bool {
    matches!(row.status, Status::Works | Status::Accepted(_))
}

/// Rows by theme, in the order in which the themes appear first.
pub fn themes() -> Vec<(&'static str, Vec<&'static Row>)> {
    let mut themes: Vec<(&str, Vec<&Row>)> = Vec::new();
    for row in registry::all() {
        match themes.iter_mut().find(|(theme, _)| *theme == row.theme) {
            Some((_, rows)) => rows.push(row),
            None => themes.push((row.theme, vec![row])),
        }
    }
    themes
}

/// The configuration as uWSGI's `show-config` writes it.
pub fn show(settings: &Settings) -> String {
    let line = |w: &Written| format!("{} = {}\n", w.name, w.value.as_deref().unwrap_or("true"));
    let lines: String = settings.written.iter().map(line).collect();
    format!("\n;uWSGI instance configuration\n[uwsgi]\n{lines};end of configuration\n\n")
}

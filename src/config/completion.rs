//! Completion of options in shells, generated from the rows.

use super::row::{Arg, Row, Status};
use super::{Format, registry};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub const COMMANDS: &str = "check init completion man top stacks profile";

/// The name of an option, has it a value, what it does.
type Described = (&'static str, bool, &'static str);

/// Options of the commands that read a stats server.
const OF_COMMANDS: [(&str, &[Described]); 3] = [
    (
        "top",
        &[
            ("once", false, "one sample as text, and the end"),
            ("json", false, "a line of JSON for each sample"),
            ("interval", true, "seconds between samples"),
        ],
    ),
    ("stacks", &[("worker", true, "this worker alone"), ("json", false, "the document as it is")]),
    (
        "profile",
        &[
            ("seconds", true, "how long"),
            ("hz", true, "samples a second"),
            ("worker", true, "this worker alone"),
            ("output", true, "FILE.svg, FILE.json for speedscope, or any other file"),
        ],
    ),
];

/// The script that a shell reads.
pub fn completion(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(),
        Shell::Zsh => zsh(),
        Shell::Fish => fish(),
    }
}

/// Options that do something; the others are not offered.
fn offered() -> impl Iterator<Item = &'static Row> {
    registry::all().iter().filter(|row| matches!(row.status, Status::Works | Status::Accepted(_)))
}

fn bash() -> String {
    let names: Vec<String> = offered().flat_map(Row::spellings).map(|name| format!("--{name}")).collect();
    format!(
        "# Completion for bash: source it, or put it where bash-completion looks.\n\
         _rwsgi() {{\n    \
             local word=${{COMP_WORDS[COMP_CWORD]}}\n    \
             COMPREPLY=()\n    \
             case ${{COMP_WORDS[1]}}:$word in\n        \
                 {}\
                 *:-*) COMPREPLY=($(compgen -W \"{}\" -- \"$word\")) ;;\n        \
                 *)\n            \
                     COMPREPLY=($(compgen -f -- \"$word\"))\n            \
                     [ \"$COMP_CWORD\" -gt 1 ] || COMPREPLY+=($(compgen -W \"{COMMANDS}\" -- \"$word\"))\n            \
                     ;;\n    \
             esac\n\
         }}\n\
         complete -o filenames -F _rwsgi rwsgi\n",
        OF_COMMANDS.map(bash_case).concat(),
        names.join(" ")
    )
}

fn bash_case((command, options): (&str, &[Described])) -> String {
    let names: Vec<String> = options.iter().map(|(name, ..)| format!("--{name}")).collect();
    format!("{command}:-*) COMPREPLY=($(compgen -W \"{}\" -- \"$word\")) ;;\n        ", names.join(" "))
}

fn zsh() -> String {
    let mut out = "#compdef rwsgi\n# Completion for zsh: put it into a directory of $fpath as _rwsgi.\n_arguments -s \\\n".to_owned();
    for row in offered() {
        for name in row.spellings() {
            let sign = if row.arg == Arg::Flag { "" } else { "=" };
            let many = if row.repeats { "*" } else { "" };
            out += &format!("    '{many}--{name}{sign}[{}]{}' \\\n", zsh_text(row.help), zsh_value(row));
        }
    }
    out + "    '*:file:_files'\n"
}

fn zsh_text(help: &str) -> String {
    help.replace('\\', "\\\\")
        .replace('\'', "'\\''")
        .replace('[', "\\[")
        .replace(']', "\\]")
        .replace(':', "\\:")
}

fn zsh_value(row: &Row) -> String {
    match row.arg {
        Arg::Flag => String::new(),
        Arg::Required if is_path(row) => ":file:_files".to_owned(),
        Arg::Optional => "::value:".to_owned(),
        arg => format!(":{}:", arg.noun()),
    }
}

fn fish() -> String {
    let mut out = "# Completion for fish: put it into ~/.config/fish/completions as rwsgi.fish.\n".to_owned();
    out += &format!("complete -c rwsgi -n __fish_use_subcommand -a '{COMMANDS}'\n");
    for (command, options) in OF_COMMANDS {
        for (name, has_value, help) in options {
            let value = if *has_value { " -x" } else { "" };
            let seen = format!("__fish_seen_subcommand_from {command}");
            out += &format!("complete -c rwsgi -n '{seen}' -l {name}{value} -d '{help}'\n");
        }
    }
    for row in offered() {
        let short = row.short.map(|letter| format!(" -s {letter}")).unwrap_or_default();
        let value = match row.arg {
            Arg::Required if is_path(row) => " -rF",
            arg if arg.needs_value() => " -x",
            _ => "",
        };
        let help = row.help.replace('\\', "\\\\").replace('\'', "\\'");
        for (i, name) in row.spellings().enumerate() {
            let short = if i == 0 { short.as_str() } else { "" };
            out += &format!("complete -c rwsgi{short} -l {name}{value} -d '{help}'\n");
        }
    }
    out
}

/// Options whose value is a file or a directory.
fn is_path(row: &Row) -> bool {
    const PATHS: &[&str] = &[
        "wsgi-file",
        "chdir",
        "pythonpath",
        "virtualenv",
        "pidfile",
        "logto",
        "daemonize",
        "include",
        "inherit",
        "config",
    ];
    Format::of_option(row.name).is_some() || PATHS.contains(&row.name)
}

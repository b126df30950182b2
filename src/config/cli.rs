//! The command line, as getopt_long reads it: options first, then the files and applications between them.

use super::draft::{is_file, is_module_name};
use super::format::Format;
use super::low::{Low, needs_value, unknown};
use super::registry::{self, Match};
use super::row::{Arg, Row};
use super::{ConfigError, Origin, completion, files};
use crate::base::nearest::nearest;

const COMMAND_LINE: &Origin = &Origin::CommandLine;
/// Of an ambiguous prefix, so many candidates are shown.
const MAX_SHOWN: usize = 8;

/// `arguments` is argv without the program's name.
pub fn read(low: &mut Low<'_>, arguments: &[String]) -> Result<(), ConfigError> {
    let mut positional = Vec::new();
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(argument) = rest.next() {
        if argument == "--" {
            positional.extend(rest.by_ref());
        } else if let Some(long) = argument.strip_prefix("--") {
            read_long(low, long, &mut rest)?;
        } else if let Some(letters) = argument.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            read_short(low, letters, &mut rest)?;
        } else {
            positional.push(argument);
        }
        if low.action.is_some() {
            return Ok(());
        }
    }
    positional.into_iter().try_for_each(|argument| {
        let option = option_before(arguments, argument);
        read_positional(low, argument, option)
    })
}

/// The option in front of an argument whose value is optional, and so is not taken from the next word.
fn option_before<'a>(arguments: &'a [String], argument: &str) -> Option<&'a str> {
    let before = arguments.windows(2).find(|pair| pair[1] == argument)?[0].as_str();
    let row = registry::find(before.strip_prefix("--")?)?;
    (row.arg == Arg::Optional).then_some(before)
}

fn read_long<'a>(
    low: &mut Low<'_>,
    argument: &'a str,
    rest: &mut impl Iterator<Item = &'a str>,
) -> Result<(), ConfigError> {
    let (name, value) = match argument.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (argument, None),
    };
    let row = long_option(name)?;
    // Of several spellings, what was written in full is kept for show-config.
    let name = row.spellings().find(|spelling| *spelling == name).unwrap_or(row.name);
    push(low, row, name, value, rest)
}

fn long_option(name: &str) -> Result<&'static Row, ConfigError> {
    match registry::find_prefix(name) {
        Match::One(row) if !name.is_empty() => Ok(row),
        Match::Several(names) if !name.is_empty() => {
            let shown: Vec<String> = names.iter().take(MAX_SHOWN).map(|name| format!("--{name}")).collect();
            let dots = if names.len() > MAX_SHOWN { " …" } else { "" };
            let message = format!("\"--{name}\" could be {}{dots}", shown.join(", "));
            Err(ConfigError::new(COMMAND_LINE, message, "write the whole name"))
        }
        _ => Err(unknown_option(&format!("--{name}"), name)),
    }
}

/// `-p4`, `-p 4`, or flags in one word: `-ML`.
fn read_short<'a>(
    low: &mut Low<'_>,
    letters: &'a str,
    rest: &mut impl Iterator<Item = &'a str>,
) -> Result<(), ConfigError> {
    if let Some(row) = mistaken_for_short(letters) {
        low.warn(
            COMMAND_LINE,
            format!("\"-{letters}\" is read as \"--{letters}\"; long names have two dashes"),
        );
        return push(low, row, row.name, None, rest);
    }
    for (i, letter) in letters.char_indices() {
        let row =
            registry::find_short(letter).ok_or_else(|| unknown_option(&format!("-{letter}"), letters))?;
        let behind = &letters[i + letter.len_utf8()..];
        if row.arg == Arg::Flag {
            push(low, row, row.name, None, rest)?;
        } else {
            return push(low, row, row.name, Some(behind).filter(|text| !text.is_empty()), rest);
        }
    }
    Ok(())
}

/// `-ini FILE`: a long name with one dash, whose letters make no sense as short options.
fn mistaken_for_short(letters: &str) -> Option<&'static Row> {
    let row = registry::find(letters).filter(|_| letters.len() > 1)?;
    for letter in letters.chars() {
        match registry::find_short(letter) {
            None => return Some(row),
            Some(short) if short.arg != Arg::Flag => return None,
            Some(_) => {}
        }
    }
    None
}

fn push<'a>(
    low: &mut Low<'_>,
    row: &Row,
    name: &str,
    value: Option<&'a str>,
    rest: &mut impl Iterator<Item = &'a str>,
) -> Result<(), ConfigError> {
    let value = match value {
        None if row.arg.needs_value() => {
            Some(rest.next().ok_or_else(|| needs_value(COMMAND_LINE, name, row.help))?)
        }
        value => value,
    };
    low.push(name, value, COMMAND_LINE)
}

fn read_positional(low: &mut Low<'_>, argument: &str, option: Option<&str>) -> Result<(), ConfigError> {
    let path = argument.rsplit_once(':').map_or(argument, |(path, _)| path);
    if argument.starts_with('[') {
        // How an emperor names the process.
        Ok(())
    } else if let Some(format) = Format::of_path(path) {
        files::read(low, format, argument, COMMAND_LINE)
    } else if is_file(path) && !(path.ends_with(".wsgi") && is_module(argument)) {
        low.push("wsgi-file", Some(argument), COMMAND_LINE)
    } else if argument.contains(':') || is_module(argument) {
        low.push("module", Some(argument), COMMAND_LINE)
    } else {
        let remedy = match registry::find(argument) {
            _ if let Some(option) = option => format!("write {option}={argument}"),
            Some(row) => format!("write --{}", row.name),
            None if argument.bytes().all(|byte| byte.is_ascii_digit()) => format!("write --http :{argument}"),
            None => nearest(argument, completion::COMMANDS.split(' ')).map_or_else(
                || "name a file that ends in .ini or .py, or a module:callable".to_owned(),
                |command| format!("did you mean rwsgi {command}?"),
            ),
        };
        Err(ConfigError::new(
            COMMAND_LINE,
            format!("\"{argument}\" is neither an option nor a configuration"),
            remedy,
        ))
    }
}

/// `mysite.wsgi`: the dotted name of a module, where no such file exists.
fn is_module(argument: &str) -> bool {
    let module = argument.split(':').next().unwrap_or(argument);
    is_module_name(module) && std::fs::metadata(module).is_err()
}

fn unknown_option(written: &str, name: &str) -> ConfigError {
    let (_, remedy) = unknown(name);
    ConfigError::new(COMMAND_LINE, format!("unknown option \"{written}\""), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Vec<String>, String> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let mut low = Low::new(&[]);
        read(&mut low, &arguments).map_err(|e| e.to_string())?;
        let show = |value: Option<String>| value.map(|v| format!("={v}")).unwrap_or_default();
        Ok(low.written.into_iter().map(|w| w.name + &show(w.value)).collect())
    }

    #[test]
    fn every_way_to_write_an_option() {
        for (line, expected) in [
            ("--processes 4", vec!["processes=4"]),
            ("--workers=4", vec!["workers=4"]),
            ("-p 4", vec!["processes=4"]),
            ("-p4", vec!["processes=4"]),
            ("-MLp4", vec!["master", "disable-logging", "processes=4"]),
            ("-C -M", vec!["chmod-socket", "master"]),
            ("-C664", vec!["chmod-socket=664"]),
            ("--chmod-socket=664", vec!["chmod-socket=664"]),
            ("--wsgi-f a.py", vec!["wsgi-file=a.py"]),
            ("--master=false", vec!["master=false"]),
            ("a.py -M b.c:d -- --x.py", vec!["master", "wsgi-file=a.py", "module=b.c:d", "wsgi-file=--x.py"]),
            ("mysite.wsgi", vec!["module=mysite.wsgi"]),
            ("mysite.wsgi:app [emperor]", vec!["module=mysite.wsgi:app"]),
            ("./mysite.wsgi", vec!["wsgi-file=./mysite.wsgi"]),
            ("--version --nonsense", vec!["version"]),
        ] {
            assert_eq!(parse(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn mistakes_are_explained() {
        for (line, message) in [
            ("--procesess 4", "command line: unknown option \"--procesess\"; did you mean \"processes\"?"),
            (
                "--harakiri",
                "command line: option \"harakiri\" needs a value; write --harakiri VALUE (seconds that",
            ),
            (
                "--max-req 4",
                "command line: \"--max-req\" could be --max-requests, --max-requests-delta; write",
            ),
            ("-?", "command line: unknown option \"-?\"; see the list of options"),
            (
                "topp",
                "command line: \"topp\" is neither an option nor a configuration; did you mean rwsgi top?",
            ),
            ("nonsense", "command line: \"nonsense\" is neither an option nor a configuration; name a file"),
            (
                "show-config",
                "command line: \"show-config\" is neither an option nor a configuration; write --show-config",
            ),
            (
                "--http-livez /livez",
                "command line: \"/livez\" is neither an option nor a configuration; write --http-livez=/livez",
            ),
            ("8000", "command line: \"8000\" is neither an option nor a configuration; write --http :8000"),
            ("x.yaml", "command line: cannot read \"x.yaml\": No such file"),
            ("--ini /no/such.ini", "command line: cannot read \"/no/such.ini\": No such file"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.starts_with(message), "{line}: {error}");
        }
    }
}

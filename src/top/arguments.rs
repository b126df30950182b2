//! The words behind `rwsgi top`.

use super::address::Address;
use std::time::Duration;

pub const USAGE: &str = "\
Usage: rwsgi top [--once] [--json] [--interval SECONDS] ADDR

Shows live what a server does. ADDR is its stats server, of rwsgi or of uWSGI: HOST:PORT, http://HOST:PORT/, /PATH of a
unix socket, or @NAME of an abstract one.

  --once              one sample as text, and the end; so it is where the output is no terminal. With --interval two
                      samples, that far apart, and the rates between them
  --json              a line of JSON for each sample, with --once for one
  --interval SECONDS  between samples, 0.1 to 3600 (default: 1)
  --help              this text

Keys: ? says what they do, q quits.
Exit status: 0, 1 where the stats server cannot be read, 2 where the arguments are wrong.
";

#[derive(Clone, Debug, PartialEq)]
pub struct Arguments {
    pub address: Address,
    pub once: bool,
    pub json: bool,
    /// Where it is given.
    pub interval: Option<Duration>,
}

#[derive(Debug, PartialEq)]
pub enum Parsed {
    Run(Arguments),
    Help,
    Wrong(String),
}

pub fn parse(words: &[String]) -> Parsed {
    if words.iter().any(|word| word == "--help" || word == "-h") {
        return Parsed::Help;
    }
    match arguments(words) {
        Ok(arguments) => Parsed::Run(arguments),
        Err(why) => Parsed::Wrong(why),
    }
}

fn arguments(words: &[String]) -> Result<Arguments, String> {
    let (mut once, mut json, mut interval, mut address) = (false, false, None, None);
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value))) {
            ("--once", None) => once = true,
            ("--json", None) => json = true,
            ("--interval", value) => interval = Some(seconds(value.or_else(|| words.next()))?),
            _ if word.starts_with('-') => return Err(format!("unknown option {word}")),
            _ if address.is_some() => {
                return Err(format!("one address is shown, and {word} would be another"));
            }
            _ => address = Some(Address::parse(word)?),
        }
    }
    let address = address.ok_or("the address of a stats server is missing")?;
    Ok(Arguments { address, once, json, interval })
}

fn seconds(value: Option<&str>) -> Result<Duration, String> {
    let value = value.ok_or("--interval wants a number of seconds")?;
    match value.parse::<f64>() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("--interval {value}: a number from 0.1 to 3600 is wanted")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Parsed {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_stand_anywhere() {
        let Parsed::Run(arguments) = parsed("--once /run/stats --interval=0.5 --json") else { panic!() };
        assert!(arguments.once && arguments.json);
        assert_eq!(arguments.interval, Some(Duration::from_millis(500)));
        assert_eq!(arguments.address, Address::Unix("/run/stats".into()));
        assert_eq!(parsed("x --help"), Parsed::Help);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, why) in [
            ("", "missing"),
            ("/a /b", "/b"),
            ("--often /a", "--often"),
            ("--once=1 /a", "--once=1"),
            ("/a --interval", "--interval"),
            ("/a --interval 0", "0.1 to 3600"),
            ("/a --interval NaN", "NaN"),
            ("https://h/", "http://"),
        ] {
            let Parsed::Wrong(said) = parsed(line) else { panic!("{line}") };
            assert!(said.contains(why), "{line}: {said}");
        }
    }
}

//! The words behind a command: one address, and options with a value or without.

use super::outcome::Failure;
use crate::top::address::Address;

pub struct Arguments {
    pub address: Address,
    /// Name and value of each option, in their order; of those without a value it is empty.
    options: Vec<(String, String)>,
}

impl Arguments {
    /// `valued` are the options with a value, `flags` those without.
    pub fn parse(words: &[String], valued: &[&str], flags: &[&str]) -> Result<Arguments, Failure> {
        let (mut options, mut address) = (Vec::new(), None);
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let (name, value) =
                word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            if flags.contains(&word) {
                options.push((word.to_owned(), String::new()));
            } else if valued.contains(&name) {
                let value = value.or_else(|| words.next());
                let value = value.ok_or_else(|| wrong(format!("{name} needs a value")))?;
                options.push((name.to_owned(), value.to_owned()));
            } else if word.starts_with('-') {
                return Err(wrong(format!("unknown option {word}")));
            } else if address.is_some() {
                return Err(wrong(format!("one address is asked, and {word} would be another")));
            } else {
                address = Some(Address::parse(word).map_err(wrong)?);
            }
        }
        let address = address.ok_or_else(|| wrong("which stats server is meant?".to_owned()))?;
        Ok(Arguments { address, options })
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// A number within bounds.
    pub fn number(&self, name: &str, (least, most): (f64, f64)) -> Result<Option<f64>, Failure> {
        let Some(text) = self.value(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        let why = || wrong(format!("{name}: \"{text}\" is no number from {least} to {most}"));
        number.map(Some).ok_or_else(why)
    }

    /// What `--worker` adds to a query.
    pub fn worker(&self) -> Result<Option<String>, Failure> {
        let worker = self.number("--worker", (1.0, 1e6))?;
        Ok(worker.map(|number| format!("worker={}", number as u32)))
    }
}

fn wrong(why: String) -> Failure {
    Failure::Arguments(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
        Arguments::parse(&words, &["--worker"], &["--json"]).map_err(|failure| match failure {
            Failure::Arguments(why) | Failure::Other(why) => why,
        })
    }

    #[test]
    fn options_stand_anywhere() {
        let arguments = parse(&["--worker", "2", "127.0.0.1:1", "--json"]).ok().unwrap();
        assert_eq!((arguments.value("--worker"), arguments.has("--json")), (Some("2"), true));
        assert_eq!(arguments.worker().ok().unwrap().as_deref(), Some("worker=2"));
        assert!(parse(&["/s", "--worker=0"]).ok().unwrap().worker().is_err());
        assert!(!parse(&["@s"]).ok().unwrap().has("--json"));
        for (words, why) in [
            (&["--worker"][..], "--worker needs a value"),
            (&["--jsn", "/s"], "unknown option --jsn"),
            (&["/s", "/t"], "one address is asked, and /t would be another"),
            (&[], "which stats server is meant?"),
        ] {
            assert_eq!(parse(words).err().as_deref(), Some(why));
        }
    }
}

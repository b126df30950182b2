//! Values such as `key=cpu,value=3,msg="too much, now"`: names and values, separated by commas.

use super::ValueError;

/// Pairs in the order in which they are written; a value in double quotes may have commas.
pub struct Pairs<'a> {
    pairs: Vec<(&'a str, String)>,
}

impl<'a> Pairs<'a> {
    /// # Errors
    /// There is a part without `=`, or a name that is none of `known`.
    pub fn read(text: &'a str, known: &[&str]) -> Result<Pairs<'a>, ValueError> {
        let parts = split(text).into_iter().filter(|part| !part.trim().is_empty());
        let pairs = parts.map(|part| pair(part, known)).collect::<Result<_, _>>()?;
        Ok(Pairs { pairs })
    }

    /// The last one counts.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    pub fn required(&self, name: &str) -> Result<&str, ValueError> {
        let missing =
            || ValueError::new(format!("there is no {name}="), format!("write {name}=… among the others"));
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(missing)
    }

    /// A whole number that may be negative.
    pub fn number(&self, name: &str) -> Result<Option<i64>, ValueError> {
        let read = |text: &str| {
            let wrong = || {
                ValueError::new(format!("{name}={text} is no whole number"), "write one such as 100 or -1")
            };
            text.trim().parse().map_err(|_| wrong())
        };
        self.get(name).map(read).transpose()
    }
}

/// At the commas that stand in no quotes.
fn split(text: &str) -> Vec<&str> {
    let mut is_quoted = false;
    text.split(|c| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    })
    .collect()
}

fn pair<'a>(part: &'a str, known: &[&str]) -> Result<(&'a str, String), ValueError> {
    let remedy = || format!("write NAME=VALUE,NAME=VALUE with names among {}", known.join(", "));
    let (name, value) =
        part.split_once('=').ok_or_else(|| ValueError::new(format!("\"{part}\" has no value"), remedy()))?;
    let name = name.trim();
    if !known.contains(&name) {
        return Err(ValueError::new(format!("\"{name}\" is not known here"), remedy()));
    }
    let value = value.trim();
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    Ok((name, inner.unwrap_or(value).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_quotes_separate_nothing() {
        let pairs = Pairs::read("a=1,b=\"x, y=z\",,a=2", &["a", "b"]).unwrap();
        assert_eq!((pairs.get("a"), pairs.get("b"), pairs.get("c")), (Some("2"), Some("x, y=z"), None));
        assert_eq!(pairs.number("a"), Ok(Some(2)));
        assert!(pairs.number("b").is_err() && pairs.required("c").is_err());
        assert!(Pairs::read("a", &["a"]).is_err() && Pairs::read("c=1", &["a"]).is_err());
    }
}

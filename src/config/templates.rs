//! Options that a configuration makes itself: `declare-option = name=first=$1;second=$2`.

use std::rc::Rc;

use super::low::{Later, Low};
use super::{ConfigError, Origin, actions};

pub struct Template {
    /// Names and values of what it stands for.
    parts: Vec<(String, String)>,
    /// `declare-option2`: they come behind everything else.
    late: bool,
}

/// `name=template;template`.
pub fn declare(low: &mut Low<'_>, option: &str, value: &str, origin: &Origin) -> Result<(), ConfigError> {
    let Some((name, text)) = value.split_once('=').map(|(name, text)| (name.trim(), text)) else {
        let message = format!("option \"{option}\" declares nothing");
        return Err(ConfigError::new(origin, message, "write NAME=OPTION=VALUE with $1 for the first word"));
    };
    let part = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (name.trim().to_owned(), value.trim().to_owned())
    };
    let parts = text.split(';').filter(|part| !part.trim().is_empty()).map(part).collect();
    low.declared.insert(name.to_owned(), Rc::new(Template { parts, late: option == "declare-option2" }));
    low.placeholders.insert(name.to_owned());
    Ok(())
}

/// The options that a declared option stands for.
pub fn apply(
    low: &mut Low<'_>,
    template: &Template,
    value: &str,
    origin: &Origin,
) -> Result<(), ConfigError> {
    let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
    low.nested(origin, |low| {
        for (name, pattern) in &template.parts {
            let value = fill(pattern, &words);
            if template.late {
                low.later.push(Later::Option(name.clone(), value, origin.clone()));
            } else {
                stand_for(low, name, &value, origin)?;
            }
        }
        Ok(())
    })
}

/// As in uWSGI, `set` itself is not listed then, only what it sets.
pub fn stand_for(low: &mut Low<'_>, name: &str, value: &str, origin: &Origin) -> Result<(), ConfigError> {
    if name == "set" {
        actions::act(low, name, Some(value), origin)
    } else {
        low.push(name, Some(value), origin)
    }
}

/// `$1` to `$9` are the words; the last ones first, as uWSGI has only as many as there are words.
fn fill(pattern: &str, words: &[&str]) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek().and_then(|next| next.to_digit(10)) {
            Some(digit) if c == '$' && digit > 0 => {
                chars.next();
                out.push_str(words.get(digit as usize - 1).copied().unwrap_or_default());
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_filled_in() {
        assert_eq!(fill("a=$1 $2$3 $$1 $x $0", &["x", "y"]), "a=x y $x $x $0");
    }
}

//! Errors of a configuration for its author: what is wrong, where, and what to do.

use std::fmt;

use super::Origin;

/// What is wrong with one value. It does not name the option: the caller of the setter does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError {
    pub text: String,
    /// What to write instead; may be empty.
    pub remedy: String,
}

impl ValueError {
    pub fn new(text: impl Into<String>, remedy: impl Into<String>) -> ValueError {
        ValueError { text: text.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

/// The configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub origin: Origin,
    pub message: String,
    /// What to do about it; may be empty.
    pub remedy: String,
}

impl ConfigError {
    pub fn new(origin: &Origin, message: impl Into<String>, remedy: impl Into<String>) -> ConfigError {
        ConfigError { origin: origin.clone(), message: message.into(), remedy: remedy.into() }
    }

    /// `error` belongs to the value of option `name`.
    pub fn of_value(origin: &Origin, name: &str, error: ValueError) -> ConfigError {
        ConfigError::new(origin, format!("option \"{name}\": {}", error.text), error.remedy)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// The configuration can be used, but not all of it means what its writer may think.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub origin: Origin,
    pub text: String,
}

impl Warning {
    pub fn new(origin: &Origin, text: impl Into<String>) -> Warning {
        Warning { origin: origin.clone(), text: text.into() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.text)
    }
}

//! One row of the option tables.

use super::{Draft, Origin, ValueError};

/// Validates a value and stores it in the draft; never acts. `None`: the option stood there without a value.
pub type Setter = fn(&mut Draft, Option<&str>, &Origin) -> Result<(), ValueError>;

/// Whether an option takes a value, and of which kind. In files every option may have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    /// On when named; `= false` turns it off.
    Flag,
    /// Any text.
    Required,
    Optional,
    Number,
    /// Seconds where no unit says otherwise.
    Seconds,
    /// Bytes where no unit says otherwise.
    Size,
    Megabytes,
}

impl Arg {
    pub fn needs_value(self) -> bool {
        !matches!(self, Arg::Flag | Arg::Optional)
    }

    /// What the value is, in a word.
    pub fn noun(self) -> &'static str {
        match self {
            Arg::Flag => "",
            Arg::Required | Arg::Optional => "value",
            Arg::Number => "number",
            Arg::Seconds => "seconds",
            Arg::Size => "bytes",
            Arg::Megabytes => "megabytes",
        }
    }
}

/// What rwsgi does with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Works,
    /// Nothing to do, and why.
    Accepted(&'static str),
    /// Not built yet: what will not happen.
    Planned(&'static str),
    /// Cannot be offered: what to use instead.
    Refused(&'static str),
}

/// Whether a reload takes the option's new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    Live,
    /// The old value stays until the server is started anew.
    Restart,
    /// Only this part of the old value stays.
    RestartFor(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub name: &'static str,
    /// Other spellings, as uWSGI has them.
    pub aliases: &'static [&'static str],
    pub short: Option<char>,
    pub arg: Arg,
    /// As it would be written; empty: there is none.
    pub default: &'static str,
    /// One line, with the unit where there is one.
    pub help: &'static str,
    pub theme: &'static str,
    pub status: Status,
    /// Each further value is added to the ones before instead of replacing them.
    pub repeats: bool,
    pub reload: Reload,
    pub set: Setter,
}

impl Row {
    pub const fn works(name: &'static str, arg: Arg, set: Setter, help: &'static str) -> Row {
        Row {
            name,
            aliases: &[],
            short: None,
            arg,
            default: "",
            help,
            theme: "",
            status: Status::Works,
            repeats: false,
            reload: Reload::Live,
            set,
        }
    }

    pub const fn accepted(name: &'static str, arg: Arg, help: &'static str, why: &'static str) -> Row {
        Row { status: Status::Accepted(why), ..Row::works(name, arg, store_nothing, help) }
    }

    pub const fn alias(self, aliases: &'static [&'static str]) -> Row {
        Row { aliases, ..self }
    }

    pub const fn short(self, letter: char) -> Row {
        Row { short: Some(letter), ..self }
    }

    pub const fn default(self, default: &'static str) -> Row {
        Row { default, ..self }
    }

    pub const fn many(self) -> Row {
        Row { repeats: true, ..self }
    }

    pub const fn restart(self) -> Row {
        Row { reload: Reload::Restart, ..self }
    }

    pub const fn restart_for(self, part: &'static str) -> Row {
        Row { reload: Reload::RestartFor(part), ..self }
    }

    pub const fn setter(self, set: Setter) -> Row {
        Row { set, ..self }
    }

    /// The setting is stored, but nothing reads it yet: what will not happen.
    pub const fn soon(self, missing: &'static str) -> Row {
        Row { status: Status::Planned(missing), ..self }
    }

    pub fn spellings(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// The setter of options that are accepted, planned or refused, and of those that acted while being read.
pub fn store_nothing(_: &mut Draft, _: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    Ok(())
}

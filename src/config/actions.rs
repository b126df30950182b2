//! Options that act while the configuration is being read.

use crate::base::reason::reason;
use std::net::ToSocketAddrs;
use std::rc::Rc;

use super::format::Format;
use super::low::{Later, Low, SEALED};
use super::{Action, ConfigError, Origin, files, logic, registry, rows, templates};

/// What `blacklist` and `whitelist` say about the options behind them.
#[derive(Default)]
pub struct Context {
    blacklist: Option<Vec<String>>,
    whitelist: Option<Vec<String>>,
}

impl Context {
    /// Whether an option may stand here.
    pub fn check(&self, name: &str, origin: &Origin) -> Result<(), ConfigError> {
        let is_in = |list: &[String]| list.iter().any(|forbidden| forbidden == name);
        let list = if self.blacklist.as_deref().is_some_and(is_in) {
            "blacklist"
        } else if self.whitelist.as_deref().is_some_and(|list| !is_in(list)) && name != "end-whitelist" {
            "whitelist"
        } else {
            return Ok(());
        };
        Err(ConfigError::new(origin, format!("option \"{name}\" is forbidden by a {list}"), ""))
    }
}

/// Whether an option acts while it is read: its value has been used by then and is shown as it was written.
pub fn acts(name: &str) -> bool {
    const READING: &[&str] = &[
        "ini",
        "xml",
        "yaml",
        "json",
        "toml",
        "include",
        "config",
        "inherit",
        "inject-before",
        "inject-after",
        "fallback-config",
        "set",
        "set-placeholder",
        "declare-option",
        "declare-option2",
        "iprint",
        "resolve",
        "blacklist",
        "whitelist",
    ];
    registry::find(name).is_some_and(|row| row.theme == rows::BLOCKS || READING.contains(&row.name))
}

/// Most options do nothing here.
pub fn act(low: &mut Low<'_>, name: &str, value: Option<&str>, origin: &Origin) -> Result<(), ConfigError> {
    let Some(row) = registry::find(name) else {
        let Some(template) = low.declared.get(name).map(Rc::clone) else { return Ok(()) };
        return templates::apply(low, &template, value.unwrap_or_default(), origin);
    };
    let needed = || match value {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(super::low::needs_value(origin, name, row.help)),
    };
    match row.name {
        "help" => low.action = Some(Action::Help),
        "version" => low.action = Some(Action::Version),
        "exit" => low.action = Some(Action::Exit(exit_code(value))),
        "ini" | "xml" | "yaml" | "json" | "toml" => {
            let format = Format::of_option(row.name).unwrap_or(Format::Ini);
            files::read(low, format, needed()?, origin)?;
        }
        "include" | "config" => {
            let file = low.resolve(needed()?, origin)?;
            files::include(low, &file, origin)?;
        }
        "inherit" => {
            let file = low.resolve(needed()?, origin)?;
            low.later.push(Later::Inherit(file, origin.clone()));
        }
        "inject-before" => low.files.before.push((needed()?.to_owned(), origin.clone())),
        "inject-after" => low.files.after.push((needed()?.to_owned(), origin.clone())),
        "fallback-config" => low.fallback = Some(low.resolve(needed()?, origin)?),
        "set" | "set-placeholder" => set(low, name, value, origin)?,
        "declare-option" | "declare-option2" => templates::declare(low, row.name, needed()?, origin)?,
        "iprint" => {
            let text = low.resolve(value.unwrap_or_default(), origin)?;
            low.messages.push(text);
        }
        "resolve" => resolve(low, needed()?, origin)?,
        "blacklist" => low.context.blacklist = Some(words(needed()?)),
        "whitelist" => low.context.whitelist = Some(words(needed()?)),
        "end-blacklist" => low.context.blacklist = None,
        "end-whitelist" => low.context.whitelist = None,
        logic if logic.starts_with("if-") || logic == "for" || logic.starts_with("for-") => {
            // A loop over nothing is a loop, but a condition needs what it is about.
            let value = if logic.starts_with("for") || logic.ends_with("reload") {
                value.unwrap_or_default()
            } else {
                needed()?
            };
            let block = logic::block(low, logic, value, origin)?;
            low.open(block)?;
        }
        _ => {}
    }
    Ok(())
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// As uWSGI: 1 without a value, and a text counts as 0.
fn exit_code(value: Option<&str>) -> u8 {
    match value {
        None | Some("") => 1,
        // A status has eight bits.
        Some(text) => text.trim().parse::<u32>().map_or(0, |code| (code & 0xff) as u8),
    }
}

fn set(low: &mut Low<'_>, name: &str, value: Option<&str>, origin: &Origin) -> Result<(), ConfigError> {
    let pair = value.and_then(|text| text.split_once('='));
    let Some((key, value)) = pair.map(|(key, value)| (key.trim(), value.trim())) else {
        return Err(ConfigError::new(origin, format!("option \"{name}\" sets nothing"), "write NAME=VALUE"));
    };
    if name != "set" && name != "S" && registry::find(key).is_some() {
        let remedy = format!("write set = {key}={value}");
        let message = format!("placeholder \"{key}\" is the name of an option");
        return Err(ConfigError::new(origin, message, remedy));
    }
    low.placeholders.insert(key.to_owned());
    low.nested(origin, |low| low.push(key, Some(value), origin))
}

/// `name=host`: the name stands for the host's address.
fn resolve(low: &mut Low<'_>, value: &str, origin: &Origin) -> Result<(), ConfigError> {
    let wrong =
        |text: String, remedy: &str| ConfigError::new(origin, format!("option \"resolve\": {text}"), remedy);
    let value = low.resolve(value, origin)?;
    let (name, host) = value
        .split_once('=')
        .ok_or_else(|| wrong(format!("\"{value}\" names no host"), "write NAME=HOST"))?;
    if low.sealed {
        return Err(wrong(SEALED.to_owned(), ""));
    }
    let mut addresses =
        (host.trim(), 0).to_socket_addrs().map_err(|e| wrong(format!("\"{host}\": {}", reason(e)), ""))?;
    let address = addresses.next().ok_or_else(|| wrong(format!("\"{host}\" has no address"), ""))?;
    low.placeholders.insert(name.trim().to_owned());
    low.push(name.trim(), Some(&address.ip().to_string()), origin)
}

//! What `ps` shows of a process: as it was started, unless the configuration names processes.

use crate::config::ProcNames;
use crate::sys::proctitle;

/// `name`: that of the configuration for this process, if it has one; `role`: what `auto-procname` calls it.
pub fn of(names: &ProcNames, name: Option<&String>, role: &str) -> Option<String> {
    let base = match name {
        Some(name) => name.clone(),
        None if names.auto => format!("rwsgi {role}"),
        None if names.prefix.is_empty() && names.append.is_empty() => return None,
        None => proctitle::command_line().to_owned(),
    };
    Some(format!("{}{base}{}", names.prefix, names.append))
}

pub fn set(names: &ProcNames, name: Option<&String>, role: &str) {
    if let Some(title) = of(names, name, role) {
        proctitle::set(&title);
    }
}

//! A reload takes the new configuration, except for what the master does once, when it starts: that is put back.

use super::row::Reload;
use super::{Address, Draft, Listener, Protocol, Row, Settings, Written, registry};

impl Listener {
    /// What cannot change once the socket is bound. Its certificates can.
    fn place(&self) -> (&Address, Protocol, Option<u16>, bool) {
        (&self.address, self.protocol, self.to_https, self.tls.is_some())
    }
}

impl Settings {
    /// Puts back what only a restart changes. Returns the names of the options that were to change it.
    pub fn keep_fixed(&mut self, old: &Settings) -> Vec<&'static str> {
        if self.is_fixed_as(old) {
            return Vec::new();
        }
        let changed: Vec<&Row> =
            fixed_rows().filter(|row| row.changes_fixed(&old.written, &self.written)).collect();
        self.instance.clone_from(&old.instance);
        self.keep_listeners(&old.listeners);
        for row in &changed {
            self.written.retain(|option| !row.is_of(option));
            self.written.extend(old.written.iter().filter(|option| row.is_of(option)).cloned());
        }
        match changed.is_empty() {
            true => vec!["the order of the sockets"],
            false => changed.iter().map(|row| row.name).collect(),
        }
    }

    fn is_fixed_as(&self, old: &Settings) -> bool {
        self.instance == old.instance
            && self.listeners.iter().map(Listener::place).eq(old.listeners.iter().map(Listener::place))
    }

    /// The sockets stay. Those that the new configuration still has get its certificates.
    fn keep_listeners(&mut self, old: &[Listener]) {
        let new = std::mem::replace(&mut self.listeners, old.to_vec());
        for kept in &mut self.listeners {
            if let Some(same) = new.iter().find(|listener| listener.place() == kept.place()) {
                kept.clone_from(same);
            }
        }
    }
}

fn fixed_rows() -> impl Iterator<Item = &'static Row> {
    registry::all().iter().filter(|row| row.reload != Reload::Live)
}

impl Row {
    fn is_of(&self, option: &Written) -> bool {
        registry::find(&option.name).is_some_and(|row| row.name == self.name)
    }

    /// Would this option alone, with its new values in place of the old ones, change what is fixed?
    fn changes_fixed(&self, old: &[Written], new: &[Written]) -> bool {
        let (own, others): (Vec<_>, Vec<_>) = old.iter().partition(|option| self.is_of(option));
        let replaced = new.iter().filter(|option| self.is_of(option));
        let before = fixed_by(others.iter().copied().chain(own));
        !fixed_by(others.iter().copied().chain(replaced)).is_fixed_as(&before)
    }
}

/// The settings as the options that need a restart make them by themselves.
fn fixed_by<'a>(options: impl Iterator<Item = &'a Written>) -> Settings {
    let mut draft = Draft::default();
    for option in options {
        let row = registry::find(&option.name).filter(|row| row.reload != Reload::Live);
        // A value that is wrong was refused when it was read.
        let _ = row.map(|row| (row.set)(&mut draft, option.value.as_deref(), &option.origin));
    }
    // One socket that was handed over: it speaks what the option `protocol` says.
    draft.finish(0..1).0
}

//! Sockets that the service manager opened and handed over (sd_listen_fds(3)): `LISTEN_FDS` descriptors from number 3 on,
//! for the process that `LISTEN_PID` names.

use super::{Address, Listener, Origin, Protocol};
use std::ops::Range;

const FIRST: i32 = 3;

/// The numbers of the descriptors that are handed to this process.
pub fn descriptors(environment: &[(String, String)], pid: u32) -> Range<i32> {
    let number = |name: &str| {
        let found = environment.iter().find(|(variable, _)| variable == name);
        found.and_then(|(_, value)| value.parse::<u32>().ok())
    };
    let count = match number("LISTEN_PID") {
        Some(meant) if meant == pid => number("LISTEN_FDS").unwrap_or(0),
        _ => 0,
    };
    FIRST..FIRST.saturating_add_unsigned(count)
}

/// As uWSGI does, each is served without being named.
pub fn listener(descriptor: i32, protocol: Protocol) -> Listener {
    Listener {
        address: Address::Inherited(descriptor),
        protocol,
        tls: None,
        to_https: None,
        text: format!("fd://{descriptor}"),
        origin: Origin::Environment("LISTEN_FDS".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pid: &str, count: &str) -> Range<i32> {
        let environment = [("LISTEN_PID", pid), ("LISTEN_FDS", count)];
        descriptors(&environment.map(|(name, value)| (name.to_owned(), value.to_owned())), 42)
    }

    #[test]
    fn only_what_is_meant_for_this_process() {
        assert_eq!(found("42", "2"), 3..5);
        assert!(found("41", "2").is_empty());
        assert!(found("42", "none").is_empty());
        assert!(found("42", "-1").is_empty());
        assert!(descriptors(&[], 42).is_empty());
    }
}

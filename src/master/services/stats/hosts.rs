//! The names by which a browser may ask. A page of another site can point its own name at the address of this server
//! (DNS rebinding), so names are answered only if they are known; with an address in their place that cannot be done.

use std::net::{Ipv4Addr, Ipv6Addr};

pub struct Hosts<'a> {
    /// Names in `stats-host`.
    pub named: &'a [String],
    /// What the socket is bound to, as it was written.
    pub bound: &'a str,
}

impl Hosts<'_> {
    /// `host`: the value of a Host header.
    pub fn has(&self, host: &str) -> bool {
        let name = without_port(host);
        let is_address = |name: &str| {
            let v6 = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
            name.parse::<Ipv4Addr>().is_ok() || v6.is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok())
        };
        let is = |other: &str| without_port(other).eq_ignore_ascii_case(name);
        is_address(name)
            || is("localhost")
            || (!self.bound.is_empty() && is(self.bound))
            || self.named.iter().any(|named| is(named))
    }
}

/// RFC 9110 §7.2: a port may stand behind a colon. A name may end in a dot (RFC 1034 §3.1).
fn without_port(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_or_they_are_not() {
        let named = ["stats.example.com".to_owned(), "other:9191".to_owned()];
        let hosts = Hosts { named: &named, bound: "myhost" };
        for host in [
            "127.0.0.1",
            "127.0.0.1:9191",
            "10.1.2.3:80",
            "[::1]",
            "[::1]:9191",
            "localhost:9191",
            "LocalHost.",
            "Stats.Example.Com:1",
            "other",
            "myhost:9191",
        ] {
            assert!(hosts.has(host), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:9191", "[x]", ":80"]
        {
            assert!(!hosts.has(host), "{host}");
        }
        assert!(!Hosts { named: &[], bound: "" }.has(""));
    }
}

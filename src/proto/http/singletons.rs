//! The request fields that come at most once: the one place that knows them.
//!
//! A recipient may join repeated fields into a list only where the field's definition is a list (RFC 9110 §5.3). Of these
//! the definition is a single value. Two servers that read two of them differently are how requests pass for others, so a
//! request that repeats one is refused, the same value or not. Every other repeated field is joined ([`super::environ`]).

use super::Reject;
use super::names::id_of;

struct Singleton {
    /// A set with the one bit of the name's number.
    bit: u64,
    reject: Reject,
}

macro_rules! singletons {
    ($($name:literal $clause:literal,)*) => {
        static SINGLETONS: &[Singleton] = &[$(Singleton {
            bit: 1 << id_of($name),
            reject: Reject::bad(concat!("more than one ", $name), $clause),
        },)*];
        const ALL: u64 = $(1 << id_of($name))|*;
        /// Each name with the clause that has it a single value.
        pub const NAMES: &[(&str, &str)] = &[$(($name, $clause),)*];
    };
}

singletons! {
    "host" "RFC 9112 §3.2",
    "content-length" "RFC 9112 §6.3",
    "content-type" "RFC 9110 §8.3",
    "content-location" "RFC 9110 §8.7",
    "content-range" "RFC 9110 §14.4",
    "authorization" "RFC 9110 §11.6.2",
    "proxy-authorization" "RFC 9110 §11.7.2",
    "referer" "RFC 9110 §10.1.3",
    "user-agent" "RFC 9110 §10.1.5",
    "from" "RFC 9110 §10.1.2",
    "max-forwards" "RFC 9110 §7.6.2",
    "date" "RFC 9110 §6.6.1",
    "if-modified-since" "RFC 9110 §13.1.3",
    "if-unmodified-since" "RFC 9110 §13.1.4",
    "if-range" "RFC 9110 §13.1.5",
    "range" "RFC 9110 §14.2",
    "origin" "RFC 6454 §7.3",
    "sec-websocket-key" "RFC 6455 §11.3.1",
    "sec-websocket-version" "RFC 6455 §11.3.5",
}

/// Refuses a request that repeats one, given the set of the known names that came more than once.
#[inline]
pub(super) fn check(repeated: u64) -> Result<(), Reject> {
    if repeated & ALL == 0 { Ok(()) } else { Err(reject(repeated)) }
}

#[cold]
fn reject(repeated: u64) -> Reject {
    let found = SINGLETONS.iter().find(|one| one.bit & repeated != 0);
    found.map_or(Reject::bad("a field came more than once", "RFC 9110 §5.3"), |one| one.reject)
}

#[cfg(test)]
mod tests {
    use super::super::{Head, Limits, Progress, Request, framing, head};
    use super::*;

    fn decide(lines: &str) -> Result<(), Reject> {
        let buf = format!("POST / HTTP/1.1\r\n{lines}\r\n");
        let mut head = Head::default();
        head::parse(buf.as_bytes(), &Limits::default(), &mut Progress::default(), &mut head)
            .unwrap()
            .unwrap();
        framing::decide(&Request::new(buf.as_bytes(), &head)).map(drop)
    }

    #[test]
    fn each_may_come_once() {
        for (name, clause) in NAMES {
            let host = if *name == "host" { "" } else { "Host: h\r\n" };
            let one = format!("{name}: 1\r\n");
            assert_eq!(decide(&format!("{host}{one}")), Ok(()), "{name}");
            for again in [one.clone(), one.to_uppercase(), format!("{name}:\r\n")] {
                let found = decide(&format!("{host}{one}X-Between: 1\r\n{again}")).unwrap_err();
                assert_eq!((found.status, found.reason), (400, &*format!("more than one {name}")));
                assert_eq!(found.clause, *clause);
            }
        }
    }

    #[test]
    fn lists_may_come_again() {
        for name in [
            "Accept",
            "Cookie",
            "Expect",
            "Connection",
            "TE",
            "Via",
            "X-Forwarded-For",
            "If-None-Match",
            "X-Y",
        ] {
            let line = format!("{name}: 100-continue\r\n");
            assert_eq!(decide(&format!("Host: h\r\n{line}{line}")), Ok(()), "{name}");
        }
    }
}

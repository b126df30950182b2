//! Forwarded headers of a trusted peer: five lines, of which the last lists the proxies by the parity of their addresses.
//! What the client wrote in front of the list never changes what the nearest proxy said.
#![no_main]

use rwsgi::proto::http::forwarded::{Fields, origin};
use std::net::IpAddr;

fn is_proxy(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[3] % 2 == 0,
        IpAddr::V6(address) => address.octets()[15] % 2 == 0,
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|&byte| byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let fields = Fields { forwarded: next(), addresses: next(), proto: next(), host: next() };
    let found = origin(&fields, is_proxy);
    assert!(found.scheme.is_none_or(|scheme| scheme == b"http" || scheme == b"https"));
    assert!(found.host.is_none_or(|host| !host.iter().any(|byte| byte.is_ascii_control())));
    assert!(found.port.is_none() || found.address.is_some());
    if found.address.is_some_and(|address| !is_proxy(address)) && fields.forwarded.is_empty() {
        let longer = [b"203.0.113.9, ", fields.addresses].concat();
        let again = origin(&Fields { addresses: &longer, ..fields }, is_proxy);
        assert_eq!((again.address, again.port), (found.address, found.port));
    }
});

//! Forwarded headers of a trusted peer. What the client wrote in front of the list never changes what the proxies said.
#![no_main]

#[allow(dead_code)]
#[path = "../drive.rs"]
mod drive;

use rwsgi::proto::http::forwarded::{Fields, origin};
use std::net::IpAddr;

/// Every other address.
fn is_proxy(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[3] % 2 == 0,
        IpAddr::V6(address) => address.octets()[15] % 2 == 0,
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let fields = drive::forwarded(data);
    let found = origin(&fields, is_proxy);
    assert!(found.scheme.is_none_or(|scheme| scheme == b"http" || scheme == b"https"));
    assert!(found.host.is_none_or(|host| !host.iter().any(|byte| byte.is_ascii_control())));
    assert!(found.port.is_none() || found.address.is_some());
    if found.address.is_some_and(|address| !is_proxy(address)) && fields.forwarded.is_empty() {
        let longer = [b"203.0.113.9, ", fields.addresses].concat();
        let again = origin(&Fields { addresses: &longer, ..fields }, is_proxy);
        assert_eq!((again.address, again.port), (found.address, found.port));
    }
    if !fields.addresses.is_empty() {
        assert_eq!(found, origin(&Fields { forwarded: b"", ..fields }, is_proxy));
    }
});

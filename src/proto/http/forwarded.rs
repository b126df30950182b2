//! The client that a proxy speaks for: `X-Forwarded-For`, `-Proto`, `-Ssl` and `-Host`, or `Forwarded` (RFC 7239). Only
//! a caller that trusts the peer may use what is found here.

use std::net::{IpAddr, SocketAddr};

use super::target;
use crate::base::bytes::trim_ows;

/// The values of the headers, joined with commas where they came more than once; empty where they did not come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    pub forwarded: &'a [u8],
    pub addresses: &'a [u8],
    pub proto: &'a [u8],
    pub ssl: &'a [u8],
    pub host: &'a [u8],
}

/// What they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin<'a> {
    pub address: Option<IpAddr>,
    pub port: Option<u16>,
    /// `http` or `https`; nothing else becomes the scheme of a request.
    pub scheme: Option<&'static [u8]>,
    pub host: Option<&'a [u8]>,
}

/// Reads the headers. Each proxy appends the address of its own peer, so the list is read from its end: the first
/// address that `is_proxy` does not know is the client's; what stands before it may be forged.
pub fn origin<'a>(fields: &Fields<'a>, is_proxy: impl Fn(IpAddr) -> bool) -> Origin<'a> {
    // Most proxies write these, and pass on what a client sends as Forwarded: it must not overrule them.
    let is_told = [fields.addresses, fields.proto, fields.ssl].iter().any(|value| !value.is_empty());
    if is_told || fields.forwarded.is_empty() {
        by_custom(fields, is_proxy)
    } else {
        standard(fields.forwarded, is_proxy)
    }
}

fn by_custom<'a>(fields: &Fields<'a>, is_proxy: impl Fn(IpAddr) -> bool) -> Origin<'a> {
    let by_ssl = fields.ssl.eq_ignore_ascii_case(b"on").then_some(&b"https"[..]);
    let mut origin = Origin {
        scheme: common(fields.proto, scheme).or(by_ssl),
        host: common(fields.host, host),
        ..Origin::default()
    };
    for item in fields.addresses.rsplit(|&byte| byte == b',').map(trim_ows) {
        let Some((address, port)) = node(item) else { break };
        (origin.address, origin.port) = (Some(address), port);
        if !is_proxy(address) {
            break;
        }
    }
    origin
}

/// RFC 7239 §4: elements with commas between, pairs with semicolons; nothing of a malformed one counts.
fn standard(value: &[u8], is_proxy: impl Fn(IpAddr) -> bool) -> Origin<'_> {
    let mut origin = Origin::default();
    for element in split_unquoted(value, b',').into_iter().rev() {
        let Some(found) = pairs(element) else { break };
        let address = found.address;
        origin = found;
        if !address.is_some_and(&is_proxy) {
            break;
        }
    }
    origin
}

fn pairs(element: &[u8]) -> Option<Origin<'_>> {
    let mut origin = Origin::default();
    for pair in split_unquoted(element, b';') {
        let at = pair.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (trim_ows(&pair[..at]), unquoted(trim_ows(&pair[at + 1..]))?);
        if name.eq_ignore_ascii_case(b"for") {
            // `unknown` and `_hidden` are no addresses (§6.2, §6.3).
            (origin.address, origin.port) =
                node(value).map_or((None, None), |(address, port)| (Some(address), port));
        } else if name.eq_ignore_ascii_case(b"proto") {
            origin.scheme = scheme(value);
        } else if name.eq_ignore_ascii_case(b"host") {
            origin.host = host(value);
        }
    }
    Some(origin)
}

fn split_unquoted(value: &[u8], separator: u8) -> Vec<&[u8]> {
    let mut quoted = false;
    let is_end = |&byte: &u8| {
        quoted ^= byte == b'"';
        byte == separator && !quoted
    };
    value.split(is_end).map(trim_ows).collect()
}

/// A quoted string without its quotes; one with escapes is no address, scheme or host.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    let inner = match value {
        [b'"', inner @ .., b'"'] => inner,
        plain => plain,
    };
    (!inner.contains(&b'"') && !inner.contains(&b'\\')).then_some(inner)
}

/// What every item of a list says alike: where proxies disagree, none is believed.
fn common<'a, T: PartialEq>(list: &'a [u8], read: impl Fn(&'a [u8]) -> Option<T>) -> Option<T> {
    let mut items = list.split(|&byte| byte == b',').map(|item| read(trim_ows(item)));
    let first = items.next()??;
    items.all(|item| item.as_ref() == Some(&first)).then_some(first)
}

fn scheme(value: &[u8]) -> Option<&'static [u8]> {
    [&b"http"[..], b"https"].into_iter().find(|scheme| scheme.eq_ignore_ascii_case(value))
}

fn host(value: &[u8]) -> Option<&[u8]> {
    (!value.is_empty() && target::is_host_port(value)).then_some(value)
}

/// `192.0.2.7`, `192.0.2.7:80`, `2001:db8::7`, `[2001:db8::7]`, `[2001:db8::7]:80`.
fn node(value: &[u8]) -> Option<(IpAddr, Option<u16>)> {
    let text = std::str::from_utf8(value).ok()?;
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some((address.ip().to_canonical(), Some(address.port())));
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    Some((bare.parse::<IpAddr>().ok()?.to_canonical(), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_proxy(address: IpAddr) -> bool {
        address.is_loopback() || address.to_string().starts_with("10.")
    }

    fn addresses(value: &str) -> Option<String> {
        let fields = Fields { addresses: value.as_bytes(), ..Fields::default() };
        origin(&fields, is_proxy).address.map(|address| address.to_string())
    }

    #[test]
    fn the_client_is_the_last_that_is_no_proxy() {
        for (value, expected) in [
            ("192.0.2.7", Some("192.0.2.7")),
            ("6.6.6.6, 192.0.2.7", Some("192.0.2.7")),
            ("6.6.6.6, 192.0.2.7, 10.0.0.1", Some("192.0.2.7")),
            ("10.0.0.2,10.0.0.1", Some("10.0.0.2")),
            ("unknown, 10.0.0.1", Some("10.0.0.1")),
            ("192.0.2.7:4711", Some("192.0.2.7")),
            ("[2001:db8::7]:4711", Some("2001:db8::7")),
            ("2001:db8::7", Some("2001:db8::7")),
            ("::ffff:192.0.2.7", Some("192.0.2.7")),
            ("", None),
            ("evil\u{7f}", None),
            ("192.0.2.7,", None),
        ] {
            assert_eq!(addresses(value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn proxies_that_disagree_are_not_believed() {
        for (value, expected) in [
            ("https", Some(&b"https"[..])),
            ("HTTPS", Some(b"https")),
            ("https, https", Some(b"https")),
            ("https, http", None),
            ("ftp", None),
            ("", None),
        ] {
            let fields = Fields { proto: value.as_bytes(), ..Fields::default() };
            assert_eq!(origin(&fields, is_proxy).scheme, expected, "{value}");
        }
        let fields = Fields { host: b"shop.example:8080", ..Fields::default() };
        assert_eq!(origin(&fields, is_proxy).host, Some(&b"shop.example:8080"[..]));
        let fields = Fields { host: b"evil/path", ..Fields::default() };
        assert_eq!(origin(&fields, is_proxy).host, None);
    }

    #[test]
    fn the_standard_header() {
        let read = |value: &'static str| {
            let fields = Fields { forwarded: value.as_bytes(), ..Fields::default() };
            origin(&fields, is_proxy)
        };
        let found = read(
            "for=6.6.6.6;proto=http, For=\"[2001:db8:cafe::17]:4711\"; Proto=https;host=a.example, for=10.0.0.1",
        );
        // The last proxy's element names another proxy, so the one before it counts.
        assert_eq!(found.address.unwrap().to_string(), "2001:db8:cafe::17");
        assert_eq!((found.port, found.scheme), (Some(4711), Some(&b"https"[..])));
        assert_eq!(found.host, Some(&b"a.example"[..]));
        assert_eq!(read("for=unknown;proto=https").address, None);
        assert_eq!(read("for=unknown;proto=https").scheme, Some(&b"https"[..]));
        assert_eq!(read("nonsense"), Origin::default());
        assert_eq!(read("for=\"1.2.3.4"), Origin::default());
        assert_eq!(read("for=\"a,b;c\"").address, None);
    }

    #[test]
    fn what_a_proxy_passes_on_does_not_overrule_what_it_writes() {
        let forged = b"for=6.6.6.6;proto=https;host=evil.example";
        let fields = Fields { forwarded: forged, addresses: b"192.0.2.2", ..Fields::default() };
        let found = origin(&fields, is_proxy);
        assert_eq!(found.address.unwrap().to_string(), "192.0.2.2");
        assert_eq!((found.scheme, found.host), (None, None));
        for written in
            [Fields { proto: b"http", ..Fields::default() }, Fields { ssl: b"off", ..Fields::default() }]
        {
            let found = origin(&Fields { forwarded: forged, ..written }, is_proxy);
            assert_eq!((found.address, found.scheme == Some(b"https")), (None, false));
        }
        // Many proxies pass this one on, too: it does not show which of them wrote the others.
        let fields = Fields { forwarded: b"for=192.0.2.1", host: b"evil.example", ..Fields::default() };
        assert_eq!(origin(&fields, is_proxy).address.unwrap().to_string(), "192.0.2.1");
    }
}

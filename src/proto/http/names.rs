//! The header names that are worth knowing by number: to recognise them without comparing text, and to name them for CGI
//! without building a name.

/// A known header, as an index into [`KNOWN`]. There are at most 64, so that a `u64` can hold a set of them.
pub type Id = u8;

pub const HOST: Id = 0;
pub const CONTENT_LENGTH: Id = 1;
pub const TRANSFER_ENCODING: Id = 2;
pub const CONNECTION: Id = 3;
pub const EXPECT: Id = 4;
pub const CONTENT_TYPE: Id = 5;
pub const COOKIE: Id = 6;
pub const DATE: Id = 7;
pub const SERVER: Id = 8;
pub const UPGRADE: Id = 9;
pub const KEEP_ALIVE: Id = id_of("keep-alive");
pub const TE: Id = id_of("te");
pub const TRAILER: Id = id_of("trailer");
pub const X_REQUEST_ID: Id = id_of("x-request-id");

/// Any other name.
pub const OTHER: Id = 0xFE;
/// A name with an underscore: `X_Forwarded_For` and `X-Forwarded-For` are one name to CGI.
pub const UNDERSCORED: Id = 0xFF;

struct Known {
    name: &'static str,
    cgi: &'static str,
}

macro_rules! known {
    ($($name:literal $cgi:literal,)*) => {
        static KNOWN: [Known; COUNT] = [$(Known { name: $name, cgi: $cgi },)*];
        const COUNT: usize = [$($name),*].len();
        const NAMES: [&str; COUNT] = [$($name),*];
    };
}

known! {
    "host" "HTTP_HOST",
    "content-length" "CONTENT_LENGTH",
    "transfer-encoding" "HTTP_TRANSFER_ENCODING",
    "connection" "HTTP_CONNECTION",
    "expect" "HTTP_EXPECT",
    "content-type" "CONTENT_TYPE",
    "cookie" "HTTP_COOKIE",
    "date" "HTTP_DATE",
    "server" "HTTP_SERVER",
    "upgrade" "HTTP_UPGRADE",
    "user-agent" "HTTP_USER_AGENT",
    "accept" "HTTP_ACCEPT",
    "accept-encoding" "HTTP_ACCEPT_ENCODING",
    "accept-language" "HTTP_ACCEPT_LANGUAGE",
    "content-location" "HTTP_CONTENT_LOCATION",
    "authorization" "HTTP_AUTHORIZATION",
    "cache-control" "HTTP_CACHE_CONTROL",
    "pragma" "HTTP_PRAGMA",
    "referer" "HTTP_REFERER",
    "origin" "HTTP_ORIGIN",
    "te" "HTTP_TE",
    "trailer" "HTTP_TRAILER",
    "if-none-match" "HTTP_IF_NONE_MATCH",
    "if-modified-since" "HTTP_IF_MODIFIED_SINCE",
    "if-match" "HTTP_IF_MATCH",
    "if-unmodified-since" "HTTP_IF_UNMODIFIED_SINCE",
    "if-range" "HTTP_IF_RANGE",
    "range" "HTTP_RANGE",
    "keep-alive" "HTTP_KEEP_ALIVE",
    "x-forwarded-for" "HTTP_X_FORWARDED_FOR",
    "x-forwarded-proto" "HTTP_X_FORWARDED_PROTO",
    "x-forwarded-host" "HTTP_X_FORWARDED_HOST",
    "x-forwarded-port" "HTTP_X_FORWARDED_PORT",
    "x-forwarded-ssl" "HTTP_X_FORWARDED_SSL",
    "x-real-ip" "HTTP_X_REAL_IP",
    "x-request-id" "HTTP_X_REQUEST_ID",
    "forwarded" "HTTP_FORWARDED",
    "via" "HTTP_VIA",
    "x-requested-with" "HTTP_X_REQUESTED_WITH",
    "x-csrftoken" "HTTP_X_CSRFTOKEN",
    "x-http-method-override" "HTTP_X_HTTP_METHOD_OVERRIDE",
    "upgrade-insecure-requests" "HTTP_UPGRADE_INSECURE_REQUESTS",
    "dnt" "HTTP_DNT",
    "priority" "HTTP_PRIORITY",
    "sec-fetch-site" "HTTP_SEC_FETCH_SITE",
    "sec-fetch-mode" "HTTP_SEC_FETCH_MODE",
    "sec-fetch-dest" "HTTP_SEC_FETCH_DEST",
    "sec-fetch-user" "HTTP_SEC_FETCH_USER",
    "sec-ch-ua" "HTTP_SEC_CH_UA",
    "sec-ch-ua-mobile" "HTTP_SEC_CH_UA_MOBILE",
    "sec-ch-ua-platform" "HTTP_SEC_CH_UA_PLATFORM",
    "sec-websocket-key" "HTTP_SEC_WEBSOCKET_KEY",
    "sec-websocket-version" "HTTP_SEC_WEBSOCKET_VERSION",
    "sec-websocket-protocol" "HTTP_SEC_WEBSOCKET_PROTOCOL",
    "sec-websocket-extensions" "HTTP_SEC_WEBSOCKET_EXTENSIONS",
    "traceparent" "HTTP_TRACEPARENT",
    "tracestate" "HTTP_TRACESTATE",
    "proxy-connection" "HTTP_PROXY_CONNECTION",
    "proxy-authorization" "HTTP_PROXY_AUTHORIZATION",
    "from" "HTTP_FROM",
    "max-forwards" "HTTP_MAX_FORWARDS",
    "content-encoding" "HTTP_CONTENT_ENCODING",
    "content-range" "HTTP_CONTENT_RANGE",
    "last-event-id" "HTTP_LAST_EVENT_ID",
}

const EMPTY: u8 = 0xFF;
static SLOTS: [u8; 256] = slots();

/// Places each name. A collision fails the build: then other multipliers in [`hash`] are due.
const fn slots() -> [u8; 256] {
    const { assert!(COUNT <= 64) };
    let mut table = [EMPTY; 256];
    let mut id = 0;
    while id < COUNT {
        let slot = hash(NAMES[id].as_bytes()) as usize;
        assert!(table[slot] == EMPTY, "two header names share a slot");
        table[slot] = id as u8;
        id += 1;
    }
    table
}

/// Mixes the length and four bytes of a name that is not empty, blind to case.
#[inline]
const fn hash(name: &[u8]) -> u8 {
    let len = name.len();
    let mix = (len as u32) * 38
        + lower(name[0])
        + lower(name[len / 2]) * 141
        + lower(name[len * 3 / 4]) * 120
        + lower(name[len - 1]);
    mix as u8
}

#[inline]
const fn lower(byte: u8) -> u32 {
    (byte | 0x20) as u32
}

/// The number of a name that stands above in this form; the build fails with any other.
pub const fn id_of(name: &str) -> Id {
    let mut id = 0;
    while id < COUNT {
        if NAMES[id].len() == name.len() && same_bytes(name.as_bytes(), NAMES[id].as_bytes()) {
            return id as Id;
        }
        id += 1;
    }
    panic!("not a known header name")
}

/// The number of a header name that is a token, and a small hash of it.
#[inline]
pub fn lookup(name: &[u8]) -> (Id, u8) {
    if name.is_empty() {
        return (OTHER, 0);
    }
    let hash = hash(name);
    match KNOWN.get(SLOTS[hash as usize] as usize) {
        Some(known) if same(name, known.name.as_bytes()) => (SLOTS[hash as usize], hash),
        _ => (OTHER, hash),
    }
}

/// Equal but for case. `|0x20` maps no two token bytes onto a letter or hyphen but the two cases of a letter.
#[inline]
fn same(token: &[u8], known: &[u8]) -> bool {
    if token.len() != known.len() {
        return false;
    }
    // The first and the last bytes, which together are all of a name that is short enough.
    match token.len() {
        0..4 => same_bytes(token, known),
        4..8 => u32_ends(token).map(|(a, b)| (a | LOWER as u32, b | LOWER as u32)) == u32_ends(known),
        8..=16 => u64_ends(token).map(|(a, b)| (a | LOWER, b | LOWER)) == u64_ends(known),
        _ => same_bytes(token, known),
    }
}

const LOWER: u64 = u64::from_ne_bytes([0x20; 8]);

#[inline]
fn u32_ends(bytes: &[u8]) -> Option<(u32, u32)> {
    Some((u32::from_ne_bytes(*bytes.first_chunk()?), u32::from_ne_bytes(*bytes.last_chunk()?)))
}

#[inline]
fn u64_ends(bytes: &[u8]) -> Option<(u64, u64)> {
    Some((u64::from_ne_bytes(*bytes.first_chunk()?), u64::from_ne_bytes(*bytes.last_chunk()?)))
}

/// Of equal length.
#[inline]
const fn same_bytes(token: &[u8], known: &[u8]) -> bool {
    let (mut at, mut differ) = (0, 0);
    while at < token.len() && at < known.len() {
        differ |= (token[at] | 0x20) ^ known[at];
        at += 1;
    }
    differ == 0
}

/// The CGI name of a known header.
#[inline]
pub fn cgi_name(id: Id) -> Option<&'static [u8]> {
    KNOWN.get(id as usize).map(|known| known.cgi.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::chars::{cgi_byte, is_token};
    use super::*;

    #[test]
    fn each_name_finds_itself_in_any_case() {
        for (id, known) in KNOWN.iter().enumerate() {
            assert_eq!(lookup(known.name.as_bytes()).0 as usize, id);
            assert_eq!(lookup(known.name.to_uppercase().as_bytes()).0 as usize, id);
            assert_eq!(lookup(format!("{}x", known.name).as_bytes()).0, OTHER);
            assert!(is_token(known.name.as_bytes()));
        }
    }

    #[test]
    fn each_cgi_name_is_what_the_rule_makes_of_it() {
        for (id, known) in KNOWN.iter().enumerate() {
            let bare: Vec<u8> = known.name.bytes().map(cgi_byte).collect();
            let prefix: &[u8] =
                if [CONTENT_LENGTH, CONTENT_TYPE].contains(&(id as u8)) { b"" } else { b"HTTP_" };
            assert_eq!(known.cgi.as_bytes(), [prefix, &bare].concat());
        }
    }

    #[test]
    fn the_named_numbers_are_the_rows() {
        for (id, name) in [
            (HOST, "host"),
            (CONTENT_LENGTH, "content-length"),
            (TRANSFER_ENCODING, "transfer-encoding"),
            (CONNECTION, "connection"),
            (EXPECT, "expect"),
            (CONTENT_TYPE, "content-type"),
            (COOKIE, "cookie"),
            (DATE, "date"),
            (SERVER, "server"),
        ] {
            assert_eq!(KNOWN[id as usize].name, name);
        }
    }
}

//! The character classes of HTTP and of URIs, as tables.

/// A byte of a token (RFC 9110 §5.6.2).
pub const TOKEN: u8 = 1;
/// The underscore: a token byte that CGI cannot tell from a hyphen.
pub const UNDERSCORE: u8 = 2;
/// A byte of the path of a request target.
pub const PATH: u8 = 4;
/// A byte of its query.
pub const QUERY: u8 = 8;
/// The percent sign.
pub const PERCENT: u8 = 16;
/// A byte of a host name or an IPv4 address (RFC 3986 §3.2.2).
pub const HOST: u8 = 32;
/// A byte of an IPv6 address between brackets, which may end in an IPv4 address.
pub const IPV6: u8 = 64;
/// A decimal digit.
pub const DIGIT: u8 = 128;

static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = class(byte as u8);
        byte += 1;
    }
    table
}

const fn class(byte: u8) -> u8 {
    let mut class = 0;
    if byte.is_ascii_alphanumeric() || one_of(byte, b"!#$%&'*+-.^_`|~") {
        class |= TOKEN;
    }
    // RFC 3986 allows fewer bytes, but browsers send `|`, `[`, `{`, `^` raw (WHATWG URL) and older clients raw UTF-8.
    // None of them delimits anything here. A fragment has no place in a target (RFC 9112 §3.2).
    if byte > b' ' && byte != 0x7F && byte != b'#' {
        class |= QUERY | if byte == b'?' { 0 } else { PATH };
    }
    if byte.is_ascii_alphanumeric() || one_of(byte, b"-._~!$&'()*+;=") {
        class |= HOST;
    }
    if byte.is_ascii_hexdigit() || one_of(byte, b":.") {
        class |= IPV6;
    }
    match byte {
        b'0'..=b'9' => class | DIGIT,
        b'_' => class | UNDERSCORE,
        b'%' => class | PERCENT,
        _ => class,
    }
}

const fn one_of(byte: u8, set: &[u8]) -> bool {
    let mut i = 0;
    while i < set.len() {
        if set[i] == byte {
            return true;
        }
        i += 1;
    }
    false
}

#[inline]
pub fn class_of(byte: u8) -> u8 {
    CLASS[byte as usize]
}

#[inline]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && span_of_class(bytes, 0, TOKEN).0 == bytes.len()
}

/// Walks bytes of one `class` from `from`. Returns where it stopped, and all classes seen on the way.
#[inline]
pub fn span_of_class(bytes: &[u8], from: usize, class: u8) -> (usize, u8) {
    let (mut at, mut seen) = (from, 0);
    while let Some(&byte) = bytes.get(at) {
        let found = class_of(byte);
        if found & class == 0 {
            break;
        }
        seen |= found;
        at += 1;
    }
    (at, seen)
}

/// A header name's byte as CGI writes it: upper case, the hyphen an underscore (RFC 3875 §4.1.18).
#[inline]
pub fn cgi_byte(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() }
}

/// The value of a hexadecimal digit.
#[inline]
pub fn hex_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

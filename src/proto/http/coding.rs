//! Which content coding an `Accept-Encoding` header asks for (RFC 9110 §12.5.3).

use crate::base::bytes::trim_ows;

/// The weight of a coding in thousandths; 0: it is not acceptable. What is not named and has no `*` is not wanted: an
/// encoded answer is sent only to clients that accept the coding.
pub fn weight(header: &[u8], coding: &[u8]) -> u16 {
    let mut any = 0;
    for element in header.split(|&byte| byte == b',') {
        let mut parts = element.split(|&byte| byte == b';').map(trim_ows);
        let name = parts.next().unwrap_or_default();
        let quality = parts.find_map(quality_of).unwrap_or(1000);
        if name.eq_ignore_ascii_case(coding) {
            return quality;
        }
        if name == b"*" {
            any = quality;
        }
    }
    any
}

/// `q=0.5` as 500; what is malformed counts as 0. `None`: another parameter.
fn quality_of(parameter: &[u8]) -> Option<u16> {
    let (name, value) = parameter.split_at_checked(2)?;
    if !name.eq_ignore_ascii_case(b"q=") {
        return None;
    }
    let (whole, decimals) = match value {
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        [whole] => (whole, &[][..]),
        _ => return Some(0),
    };
    if !decimals.iter().all(u8::is_ascii_digit) {
        return Some(0);
    }
    let digits = decimals.iter().chain(b"000").take(3);
    let fraction = digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    Some(match whole {
        b'0' => fraction,
        b'1' => 1000,
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights() {
        for (header, expected) in [
            ("gzip", 1000),
            ("GZip", 1000),
            ("deflate, gzip;q=0.5", 500),
            ("gzip ; q=0.05", 50),
            ("gzip;Q=1.000", 1000),
            ("gzip;q=0", 0),
            ("gzip;q=0.000", 0),
            ("gzip;q=0, *", 0),
            ("*;q=0.3", 300),
            ("br, *;q=0", 0),
            ("br", 0),
            ("", 0),
            ("identity", 0),
            ("gzipped", 0),
            ("x-gzip", 0),
            ("gzip;q=", 0),
            ("gzip;q=x", 0),
            ("gzip;q=0.5555", 0),
            ("gzip;q=2", 0),
            ("gzip;level=9;q=0.7", 700),
        ] {
            assert_eq!(weight(header.as_bytes(), b"gzip"), expected, "{header}");
        }
    }
}

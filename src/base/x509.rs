//! What a certificate says of itself (RFC 5280 §4.1): for how long it is valid, of whom it is, and its public key. Nothing is
//! verified here; old certificates of version 1 are read, too.

use super::bytes::parse_decimal;
use super::date::days;
use std::fmt::Write;

/// The parts of a certificate that people ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// Seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
    /// The Name inside its SEQUENCE.
    subject: &'a [u8],
    /// SubjectPublicKeyInfo, as a whole.
    pub public_key: &'a [u8],
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// [0], constructed: the version, which version 1 leaves out.
const VERSION: u8 = 0xa0;

/// Values of DER (X.690), one behind the other.
#[derive(Clone, Copy)]
struct Values<'a>(&'a [u8]);

struct Value<'a> {
    tag: u8,
    content: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let all = self.0;
        let (&[tag, first], rest) = all.split_first_chunk::<2>()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Value { tag, content, whole: &all[..all.len() - rest.len()] })
    }
}

impl<'a> Values<'a> {
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|value| value.tag == tag).map(|value| value.content)
    }
}

impl<'a> Certificate<'a> {
    pub fn parse(der: &'a [u8]) -> Option<Certificate<'a>> {
        let signed = Values(der).expect(SEQUENCE)?;
        let mut fields = Values(Values(signed).expect(SEQUENCE)?);
        // The serial number comes first where there is no version.
        if fields.next()?.tag == VERSION {
            fields.next()?;
        }
        let _algorithm = fields.expect(SEQUENCE)?;
        let _issuer = fields.expect(SEQUENCE)?;
        let mut validity = Values(fields.expect(SEQUENCE)?);
        let (not_before, not_after) = (time(&validity.next()?)?, time(&validity.next()?)?);
        let subject = fields.expect(SEQUENCE)?;
        let public_key = fields.next().filter(|value| value.tag == SEQUENCE)?.whole;
        Some(Certificate { not_before, not_after, subject, public_key })
    }

    /// The subject in one line, as OpenSSL's X509_NAME_oneline has it: `/C=DE/O=Example/CN=example.org`.
    pub fn subject_line(&self) -> String {
        let mut line = String::new();
        for set in Values(self.subject).filter(|set| set.tag == SET) {
            for attribute in Values(set.content).filter(|value| value.tag == SEQUENCE) {
                let mut parts = Values(attribute.content);
                if let (Some(kind), Some(value)) = (parts.expect(OBJECT_IDENTIFIER), parts.next()) {
                    push_attribute(&mut line, kind, value.content);
                }
            }
        }
        line
    }
}

fn push_attribute(line: &mut String, kind: &[u8], value: &[u8]) {
    line.push('/');
    match NAMES.iter().find(|(id, _)| *id == kind) {
        Some((_, name)) => line.push_str(name),
        None => push_dotted(line, kind),
    }
    line.push('=');
    for &byte in value {
        match byte {
            b' '..=b'~' => line.push(char::from(byte)),
            _ => {
                let _ = write!(line, "\\x{byte:02X}");
            }
        }
    }
}

/// Attribute types by the bytes of their identifiers, and OpenSSL's names for them.
const NAMES: &[(&[u8], &str)] = &[
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 4], "SN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "street"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 12], "title"),
    (&[0x55, 4, 42], "GN"),
    (&[0x55, 4, 43], "initials"),
    (&[0x55, 4, 46], "dnQualifier"),
    (&[0x55, 4, 65], "pseudonym"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", "emailAddress"),
    (b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01", "UID"),
    (b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", "DC"),
];

/// `2.5.4.3`: X.690 §8.19.
fn push_dotted(line: &mut String, id: &[u8]) {
    let (mut number, mut is_first) = (0u64, true);
    for &byte in id {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        let _ = if is_first {
            let root = (number / 40).min(2);
            write!(line, "{root}.{}", number - 40 * root)
        } else {
            write!(line, ".{number}")
        };
        (number, is_first) = (0, false);
    }
}

/// Seconds since 1970 of a UTCTime or GeneralizedTime, which end in seconds and Z (RFC 5280 §4.1.2.5).
fn time(value: &Value<'_>) -> Option<i64> {
    let digits = value.content.strip_suffix(b"Z")?;
    let (year, rest) = match (value.tag, digits.len()) {
        (UTC_TIME, 12) => match parse_decimal(&digits[..2])? {
            short @ 0..50 => (2000 + short, &digits[2..]),
            short => (1900 + short, &digits[2..]),
        },
        (GENERALIZED_TIME, 14) => (parse_decimal(&digits[..4])?, &digits[4..]),
        _ => return None,
    };
    let mut pairs = rest.chunks_exact(2).map(parse_decimal);
    let mut next = || pairs.next().flatten();
    let [month, day, hour, minute, second] = [next()?, next()?, next()?, next()?, next()?];
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day);
    let of_day = hour * 3600 + minute * 60 + second;
    is_date.then(|| days(year, month - 1, day) * 86_400 + of_day as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let mut out = vec![tag, 0x82, (length >> 8) as u8, length as u8];
        out.extend_from_slice(content);
        out
    }

    fn attribute(id: &[u8], value: &[u8]) -> Vec<u8> {
        der(SET, &der(SEQUENCE, &[der(OBJECT_IDENTIFIER, id), der(12, value)].concat()))
    }

    fn certificate(version: &[u8], subject: &[u8]) -> Vec<u8> {
        let validity = [der(UTC_TIME, b"491231235959Z"), der(GENERALIZED_TIME, b"21000301000000Z")].concat();
        let (serial, empty) = (der(2, &[7]), der(SEQUENCE, &[]));
        let parts: [&[u8]; 7] = [
            version,
            &serial,
            &empty,
            &empty,
            &der(SEQUENCE, &validity),
            &der(SEQUENCE, subject),
            &der(SEQUENCE, b"key"),
        ];
        der(SEQUENCE, &der(SEQUENCE, &parts.concat()))
    }

    #[test]
    fn versions_1_and_3_are_read() {
        for version in [Vec::new(), der(VERSION, &der(2, &[2]))] {
            let bytes = certificate(&version, &[]);
            let found = Certificate::parse(&bytes).unwrap();
            assert_eq!((found.not_before, found.not_after), (2_524_607_999, 4_107_542_400));
            assert_eq!(found.public_key, der(SEQUENCE, b"key"));
            assert_eq!(found.subject_line(), "");
        }
    }

    #[test]
    fn a_subject_is_one_line() {
        let subject = [
            attribute(&[0x55, 4, 6], b"DE"),
            attribute(&[0x55, 4, 3], "Jürgen/x".as_bytes()),
            attribute(&[0x2a, 0x86, 0x48, 0x01], b"?"),
        ];
        let bytes = certificate(&[], &subject.concat());
        let line = Certificate::parse(&bytes).unwrap().subject_line();
        assert_eq!(line, r"/C=DE/CN=J\xC3\xBCrgen/x/1.2.840.1=?");
    }

    #[test]
    fn what_is_cut_short_is_none() {
        let bytes = certificate(&[], &attribute(&[0x55, 4, 3], b"a"));
        for length in 0..bytes.len() {
            assert_eq!(Certificate::parse(&bytes[..length]), None, "{length}");
        }
        assert_eq!(Certificate::parse(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}

//! Certificates as they are, and as an attacker makes them: what cannot be read is none, and nothing panics.

use super::*;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const BIT_STRING: u8 = 0x03;
const UTF8: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;

const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const UNTIL_2049: &[u8] = b"491231235959Z";

/// The shortest form of a length (X.690 §10.1).
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = length.iter().position(|&byte| byte != 0).unwrap_or(7);
    let length = &length[significant..];
    let head = match content.len() {
        0..0x80 => vec![tag, length[0]],
        _ => [&[tag, 0x80 | length.len() as u8], length].concat(),
    };
    [head, content.to_vec()].concat()
}

fn attribute(id: &[u8], value: &[u8]) -> Vec<u8> {
    der(SEQUENCE, &[der(OBJECT_IDENTIFIER, id), der(UTF8, value)].concat())
}

/// One attribute in a set of its own.
fn rdn(id: &[u8], value: &[u8]) -> Vec<u8> {
    der(SET, &attribute(id, value))
}

/// ecPublicKey on P-256; no point of it is looked at.
fn public_key() -> Vec<u8> {
    let algorithm = der(
        SEQUENCE,
        &[
            der(OBJECT_IDENTIFIER, b"\x2a\x86\x48\xce\x3d\x02\x01"),
            der(OBJECT_IDENTIFIER, b"\x2a\x86\x48\xce\x3d\x03\x01\x07"),
        ]
        .concat(),
    );
    der(SEQUENCE, &[algorithm, der(BIT_STRING, &[0, 4, 1, 2, 3])].concat())
}

/// The parts of a certificate, each of which a test may put something else in place of.
struct Parts {
    version: Vec<u8>,
    serial: Vec<u8>,
    validity: Vec<u8>,
    subject: Vec<u8>,
    more: Vec<u8>,
}

impl Default for Parts {
    fn default() -> Parts {
        Parts {
            version: der(VERSION, &der(2, &[2])),
            serial: der(2, &[7]),
            validity: [der(UTC_TIME, UNTIL_2049), der(GENERALIZED_TIME, b"21000301000000Z")].concat(),
            subject: rdn(COMMON_NAME, b"a"),
            more: Vec::new(),
        }
    }
}

impl Parts {
    fn with_subject(subject: Vec<u8>) -> Parts {
        Parts { subject, ..Parts::default() }
    }

    fn with_validity(first: Vec<u8>, second: Vec<u8>) -> Parts {
        Parts { validity: [first, second].concat(), ..Parts::default() }
    }

    fn build(&self) -> Vec<u8> {
        let algorithm = der(SEQUENCE, &der(OBJECT_IDENTIFIER, b"\x2a\x86\x48\xce\x3d\x04\x03\x02"));
        let signed = [
            &self.version[..],
            &self.serial,
            &algorithm,
            &der(SEQUENCE, &[]),
            &der(SEQUENCE, &self.validity),
            &der(SEQUENCE, &self.subject),
            &public_key(),
            &self.more,
        ];
        let parts = [der(SEQUENCE, &signed.concat()), algorithm, der(BIT_STRING, &[0, 1, 2, 3])];
        der(SEQUENCE, &parts.concat())
    }

    fn parse(&self) -> Option<Certificate> {
        Certificate::parse(&self.build())
    }

    fn line(&self) -> Option<String> {
        self.parse().map(|read| read.subject_line())
    }
}

#[test]
fn versions_1_and_3_are_read() {
    for version in [Vec::new(), der(VERSION, &der(2, &[2]))] {
        let found = Parts { version, subject: Vec::new(), ..Parts::default() }.parse().unwrap();
        assert_eq!((found.not_before(), found.not_after()), (2_524_607_999, 4_107_542_400));
        assert_eq!(found.public_key().unwrap(), public_key());
        assert_eq!(found.subject_line(), "");
    }
}

#[test]
fn a_subject_is_one_line() {
    let subject = [
        rdn(&[0x55, 4, 6], b"DE"),
        rdn(COMMON_NAME, "Jürgen/x".as_bytes()),
        rdn(&[0x2a, 0x86, 0x48, 0x01], b"?"),
        der(SET, &[attribute(&[0x55, 4, 11], b"a"), attribute(&[0x55, 4, 11], b"b")].concat()),
    ];
    let line = Parts::with_subject(subject.concat()).line().unwrap();
    assert_eq!(line, r"/C=DE/CN=J\xC3\xBCrgen\/x/1.2.840.1=?/OU=a+OU=b");
}

#[test]
fn a_value_does_not_look_like_another_attribute() {
    let line = Parts::with_subject(rdn(&[0x55, 4, 10], b"x/CN=admin+CN=root\\")).line().unwrap();
    assert_eq!(line, r"/O=x\/CN=admin\+CN=root\");
}

/// Whatever is in a value, nothing of it ends the variable or a line of the log.
#[test]
fn a_value_stays_in_its_place() {
    let all: Vec<u8> = (0..=255).collect();
    for tag in [4, UTF8, 19, 20, 22, 28, 30] {
        let value = [der(OBJECT_IDENTIFIER, COMMON_NAME), der(tag, &all)].concat();
        let Some(line) = Parts::with_subject(der(SET, &der(SEQUENCE, &value))).line() else { continue };
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
        assert!(line.starts_with(r"/CN=\x00\x01") && line.ends_with(r"\xFE\xFF"), "{line}");
    }
}

#[test]
fn long_and_negative_serial_numbers_are_read() {
    for serial in [vec![0x80; 20], vec![1; 64], vec![0]] {
        assert_eq!(Parts { serial: der(2, &serial), ..Parts::default() }.line().unwrap(), "/CN=a");
    }
}

#[test]
fn a_large_subject_is_read() {
    let many = |count: u32| (0..count).rev().map(|at| attribute(COMMON_NAME, &at.to_be_bytes()));
    let one_set = der(SET, &many(4000).flatten().collect::<Vec<u8>>());
    let sets = many(4000).flat_map(|one| der(SET, &one)).collect();
    for subject in [one_set, sets, rdn(COMMON_NAME, &[b'a'; 60_000])] {
        assert!(Parts::with_subject(subject).line().unwrap().len() > 16_000);
    }
}

/// Every one ends with "none": no panic, no loop, no reading beyond the end.
#[test]
fn subjects_that_are_none() {
    let list: &[(&str, Vec<u8>)] = &[
        ("an attribute without its set", attribute(COMMON_NAME, b"a")),
        ("a set with something else", der(SET, &der(2, &[1]))),
        ("no value", der(SET, &der(SEQUENCE, &der(OBJECT_IDENTIFIER, COMMON_NAME)))),
        ("no type", der(SET, &der(SEQUENCE, &der(UTF8, b"a")))),
        ("two values", {
            let parts = [der(OBJECT_IDENTIFIER, COMMON_NAME), der(UTF8, b"a"), der(UTF8, b"b")];
            der(SET, &der(SEQUENCE, &parts.concat()))
        }),
        ("a type without bytes", rdn(&[], b"a")),
        ("a type that is cut short", rdn(&[0x55, 0x84], b"a")),
        ("a type with a number beyond all", rdn(&[&[0x55][..], &[0xff; 30], &[0x7f]].concat(), b"a")),
        ("a type beyond all length", rdn(&[0x55; 200], b"a")),
        ("a length without end", vec![SET, 0x80, 0, 0]),
        ("a length of 2^32 - 1", vec![SET, 0x84, 0xff, 0xff, 0xff, 0xff]),
        ("a length of 2^64 - 1", [&[SET, 0x88][..], &[0xff; 8]].concat()),
        (
            "a length that is not the shortest",
            [&[SET, 0x81, 0x0c][..], &attribute(COMMON_NAME, b"a")].concat(),
        ),
        ("sets in sets", (0..5000).fold(Vec::new(), |inner, _| der(SET, &inner))),
        ("sequences in sequences", (0..5000).fold(Vec::new(), |inner, _| der(SEQUENCE, &inner))),
    ];
    for (what, subject) in list {
        assert_eq!(Parts::with_subject(subject.clone()).line(), None, "{what}");
    }
}

#[test]
fn times_that_are_none() {
    let end = || der(UTC_TIME, UNTIL_2049);
    for text in [
        "",
        "Z",
        "491231235959",
        "4912312359Z",
        "491331235959Z",
        "490231235959Z",
        "490001235959Z",
        "491232235959Z",
        "491231245959Z",
        "491231236059Z",
        "491231235961Z",
        "491231235959+0100",
        "49-231235959Z",
        "4912312359 9Z",
        "\u{ff}91231235959Z",
    ] {
        assert_eq!(Parts::with_validity(der(UTC_TIME, text.as_bytes()), end()).line(), None, "{text}");
        assert_eq!(Parts::with_validity(end(), der(UTC_TIME, text.as_bytes())).line(), None, "{text}");
        let long = format!("20{text}");
        assert_eq!(
            Parts::with_validity(end(), der(GENERALIZED_TIME, long.as_bytes())).line(),
            None,
            "{text}"
        );
    }
    for text in ["21000301000000.5Z", "21000229000000Z", "99999999999999Z", "+2100301000000Z"] {
        assert_eq!(
            Parts::with_validity(end(), der(GENERALIZED_TIME, text.as_bytes())).line(),
            None,
            "{text}"
        );
    }
    assert_eq!(Parts::with_validity(end(), der(2, &[1])).line(), None);
    assert_eq!(Parts::with_validity(end(), Vec::new()).line(), None);
    let forever = Parts::with_validity(end(), der(GENERALIZED_TIME, b"99991231235959Z")).parse().unwrap();
    assert_eq!(forever.not_after(), 253_402_300_799);
}

#[test]
fn structures_that_are_none() {
    let sound = Parts::default().build();
    let list: &[(&str, Vec<u8>)] = &[
        ("nothing", Vec::new()),
        ("text", b"-----BEGIN CERTIFICATE-----".to_vec()),
        ("something behind it", [&sound[..], &[0]].concat()),
        ("two of them", [&sound[..], &sound].concat()),
        ("a version beyond 3", Parts { version: der(VERSION, &der(2, &[9])), ..Parts::default() }.build()),
        ("no serial number", Parts { serial: Vec::new(), ..Parts::default() }.build()),
        ("an empty serial number", Parts { serial: der(2, &[]), ..Parts::default() }.build()),
        ("extensions that are none", Parts { more: der(0xa3, &[1, 2, 3]), ..Parts::default() }.build()),
        ("an unknown part", Parts { more: der(0xa9, &[]), ..Parts::default() }.build()),
        ("nothing but heads", [SEQUENCE, 0x82, 0xff, 0xff].repeat(1000)),
        ("a high tag number", [&[0x3f, 0xff, 0xff, 0xff, 0xff, 0x7f][..], &sound].concat()),
    ];
    for (what, bytes) in list {
        assert_eq!(Certificate::parse(bytes), None, "{what}");
    }
}

#[test]
fn what_is_cut_short_is_none() {
    let bytes = Parts::default().build();
    for length in 0..bytes.len() {
        assert_eq!(Certificate::parse(&bytes[..length]), None, "{length}");
    }
}

/// Every byte of a certificate with every other value in its place.
#[test]
fn no_changed_byte_is_a_harm() {
    let sound = Parts::default().build();
    let (mut read, mut refused) = (0u32, 0u32);
    for at in 0..sound.len() {
        for other in 0..=255 {
            let mut bytes = sound.clone();
            bytes[at] = other;
            let Some(found) = Certificate::parse(&bytes) else {
                refused += 1;
                continue;
            };
            read += 1;
            assert!(found.subject_line().len() <= 4 * bytes.len());
            assert!(found.not_before() <= 253_402_300_799 && found.public_key().is_some());
        }
    }
    assert!(read > 1000 && refused > 1000, "{read} {refused}");
}

#[test]
fn pem_has_64_characters_a_line() {
    let body = |der: &[u8]| {
        let text = to_pem(der).unwrap();
        assert!(
            text.starts_with("-----BEGIN CERTIFICATE-----\n")
                && text.ends_with("\n-----END CERTIFICATE-----\n")
        );
        text.lines().filter(|line| !line.starts_with('-')).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(body(b"f"), ["Zg=="]);
    assert_eq!(body(b"fo"), ["Zm8="]);
    assert_eq!(body(b"foobar"), ["Zm9vYmFy"]);
    assert_eq!(body(&[255; 48]).iter().map(String::len).collect::<Vec<_>>(), [64]);
    assert_eq!(body(&[255; 49]).iter().map(String::len).collect::<Vec<_>>(), [64, 4]);
}

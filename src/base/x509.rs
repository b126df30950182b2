//! What a certificate says of itself: for how long it is valid, whose it is, and its public key. The x509-cert crate reads
//! it, by the rules of DER. Nothing is verified here; old certificates of version 1 are read, too.

use std::fmt::Write;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::certificate::{CertificateInner, Profile};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::pem::{self, LineEnding};
use x509_cert::der::{Decode, Encode};
use x509_cert::serial_number::SerialNumber;

/// RFC 5280 §4.1.2.2 ends serial numbers at 20 bytes; authorities that people run for themselves do not always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct AnySerial;

impl Profile for AnySerial {
    fn check_serial_number(_: &SerialNumber<AnySerial>) -> x509_cert::der::Result<()> {
        Ok(())
    }
}

/// A certificate that has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate(CertificateInner<AnySerial>);

impl Certificate {
    pub fn parse(der: &[u8]) -> Option<Certificate> {
        CertificateInner::from_der(der).ok().map(Certificate)
    }

    /// Seconds since 1970.
    pub fn not_before(&self) -> u64 {
        self.0.tbs_certificate().validity().not_before.to_unix_duration().as_secs()
    }

    /// Seconds since 1970.
    pub fn not_after(&self) -> u64 {
        self.0.tbs_certificate().validity().not_after.to_unix_duration().as_secs()
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn public_key(&self) -> Option<Vec<u8>> {
        self.0.tbs_certificate().subject_public_key_info().to_der().ok()
    }

    /// The subject in one line, as X509_NAME_oneline of OpenSSL 3 has it: `/C=DE/O=Example/CN=example.org`. Attributes of
    /// one set are joined by `+`.
    pub fn subject_line(&self) -> String {
        let mut line = String::new();
        for set in self.0.tbs_certificate().subject().iter_rdn() {
            for (place, attribute) in set.iter().enumerate() {
                line.push(if place == 0 { '/' } else { '+' });
                push_attribute(&mut line, attribute);
            }
        }
        line
    }
}

fn push_attribute(line: &mut String, attribute: &AttributeTypeAndValue) {
    let _ = match NAMES.iter().find(|(id, _)| *id == attribute.oid) {
        Some((_, name)) => line.write_str(name),
        None => write!(line, "{}", attribute.oid),
    };
    line.push('=');
    for &byte in attribute.value.value() {
        match byte {
            // So that no value looks like another attribute.
            b'/' | b'+' => line.extend(['\\', char::from(byte)]),
            b' '..=b'~' => line.push(char::from(byte)),
            _ => {
                let _ = write!(line, "\\x{byte:02X}");
            }
        }
    }
}

const fn id(dotted: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(dotted)
}

/// Attribute types and OpenSSL's names for them.
const NAMES: &[(ObjectIdentifier, &str)] = &[
    (id("2.5.4.3"), "CN"),
    (id("2.5.4.4"), "SN"),
    (id("2.5.4.5"), "serialNumber"),
    (id("2.5.4.6"), "C"),
    (id("2.5.4.7"), "L"),
    (id("2.5.4.8"), "ST"),
    (id("2.5.4.9"), "street"),
    (id("2.5.4.10"), "O"),
    (id("2.5.4.11"), "OU"),
    (id("2.5.4.12"), "title"),
    (id("2.5.4.13"), "description"),
    (id("2.5.4.15"), "businessCategory"),
    (id("2.5.4.16"), "postalAddress"),
    (id("2.5.4.17"), "postalCode"),
    (id("2.5.4.20"), "telephoneNumber"),
    (id("2.5.4.41"), "name"),
    (id("2.5.4.42"), "GN"),
    (id("2.5.4.43"), "initials"),
    (id("2.5.4.44"), "generationQualifier"),
    (id("2.5.4.45"), "x500UniqueIdentifier"),
    (id("2.5.4.46"), "dnQualifier"),
    (id("2.5.4.65"), "pseudonym"),
    (id("2.5.4.97"), "organizationIdentifier"),
    (id("1.2.840.113549.1.9.1"), "emailAddress"),
    (id("1.2.840.113549.1.9.2"), "unstructuredName"),
    (id("1.2.840.113549.1.9.8"), "unstructuredAddress"),
    (id("1.3.6.1.4.1.311.60.2.1.1"), "jurisdictionL"),
    (id("1.3.6.1.4.1.311.60.2.1.2"), "jurisdictionST"),
    (id("1.3.6.1.4.1.311.60.2.1.3"), "jurisdictionC"),
    (id("1.2.643.3.131.1.1"), "INN"),
    (id("1.2.643.100.1"), "OGRN"),
    (id("1.2.643.100.3"), "SNILS"),
    (id("0.9.2342.19200300.100.1.1"), "UID"),
    (id("0.9.2342.19200300.100.1.25"), "DC"),
];

/// RFC 7468, with 64 characters a line.
pub fn to_pem(der: &[u8]) -> Option<String> {
    pem::encode_string("CERTIFICATE", LineEnding::LF, der).ok()
}

#[cfg(test)]
mod tests;

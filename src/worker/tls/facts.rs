//! What the application is told of a session: uWSGI's variables.

use crate::base::x509::Certificate;

pub type Variables = Vec<(&'static str, Vec<u8>)>;

/// HTTPS, and what the client's certificate says.
pub fn variables(certificate: Option<&[u8]>, exports: bool) -> Variables {
    let mut variables = vec![("HTTPS", b"on".to_vec())];
    let Some(own) = certificate else { return variables };
    variables.push(("HTTPS_CLIENT_CERTIFICATE", own.to_vec()));
    if let Some(parsed) = Certificate::parse(own) {
        variables.push(("HTTPS_DN", parsed.subject_line().into_bytes()));
    }
    if exports {
        variables.push(("HTTPS_CC", pem(own)));
    }
    variables
}

/// RFC 7468: 64 characters a line.
fn pem(der: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = b"-----BEGIN CERTIFICATE-----\n".to_vec();
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            let digit = |at: usize| DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            out.extend((0..4).map(|at| if at <= group.len() { digit(at) } else { b'=' }));
        }
        out.push(b'\n');
    }
    out.extend_from_slice(b"-----END CERTIFICATE-----\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_is_base64_in_lines() {
        let body = |der: &[u8]| {
            let text = String::from_utf8(pem(der)).unwrap();
            text.lines().filter(|line| !line.starts_with('-')).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(body(b"f"), ["Zg=="]);
        assert_eq!(body(b"fo"), ["Zm8="]);
        assert_eq!(body(b"foobar"), ["Zm9vYmFy"]);
        assert_eq!(body(&[255; 49]).iter().map(String::len).collect::<Vec<_>>(), [64, 4]);
    }
}

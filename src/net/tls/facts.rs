//! What the application gets of a session: uWSGI's variables.

use crate::base::x509::{Certificate, to_pem};

pub type Variables = Vec<(&'static str, Vec<u8>)>;

/// HTTPS, and what the client's certificate says.
pub fn variables(certificate: Option<&[u8]>, exports: bool) -> Variables {
    let mut variables = vec![("HTTPS", b"on".to_vec())];
    let Some(own) = certificate else { return variables };
    variables.push(("HTTPS_CLIENT_CERTIFICATE", own.to_vec()));
    if let Some(parsed) = Certificate::parse(own) {
        variables.push(("HTTPS_DN", parsed.subject_line().into_bytes()));
    }
    if exports && let Some(pem) = to_pem(own) {
        variables.push(("HTTPS_CC", pem.into_bytes()));
    }
    variables
}

//! The files of TLS sockets: read while the configuration is, so that the master reads them as the user that it was started
//! as, a wrong one is an error of the configuration, and a reload that cannot use them changes nothing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};

use super::tls::{ClientCa, Identity, Name, NameDir};
use super::{ConfigError, Settings, ValueError, Warning};
use crate::base::date::http_date;
use crate::base::reason::reason;
use crate::base::x509::Certificate;

/// The option whose names are found in a directory.
const DIR: &str = "sni-dir";

/// What rustls needs to be a server.
#[derive(Clone)]
pub struct Context(pub Arc<ServerConfig>);

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Context")
    }
}

impl PartialEq for Context {
    fn eq(&self, other: &Context) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Context {}

/// Reads every file that the TLS sockets name. What can be used, but not for long, is a warning.
pub fn load(settings: &mut Settings) -> Result<Vec<Warning>, ConfigError> {
    let (warnings, errors) = load_all(settings);
    errors.into_iter().next().map_or(Ok(warnings), Err)
}

/// The same with all that is wrong.
pub fn load_all(settings: &mut Settings) -> (Vec<Warning>, Vec<ConfigError>) {
    let (mut warnings, mut errors) = (Vec::new(), Vec::new());
    let tls = &mut settings.tls;
    // As in uWSGI: names first, then patterns, then the directory, which may have been read before.
    tls.names.retain(|(_, identity)| identity.option != DIR);
    tls.names.sort_by_key(|(name, _)| matches!(name, Name::Pattern(_)));
    if let Some(dir) = &tls.dir {
        match names_in(dir, &tls.dir_ciphers) {
            Ok(found) => tls.names.extend(found),
            Err(error) => errors.push(ConfigError::of_value(&dir.origin, DIR, error)),
        }
    }
    let sockets = settings.listeners.iter_mut().filter_map(|listener| listener.tls.as_deref_mut());
    for identity in sockets.chain(tls.names.iter_mut().map(|(_, identity)| identity)) {
        match context(identity, &mut warnings) {
            Ok((context, expires)) => (identity.context, identity.expires) = (Some(context), expires),
            Err(error) => errors.push(ConfigError::of_value(&identity.origin, identity.option, error)),
        }
    }
    (warnings, errors)
}

/// Each NAME.crt of a directory that has a NAME.key beside it.
fn names_in(dir: &NameDir, ciphers: &super::ciphers::Ciphers) -> Result<Vec<(Name, Identity)>, ValueError> {
    let shown = dir.path.display();
    let unreadable =
        |error| ValueError::new(format!("cannot read \"{shown}\": {}", reason(error)), "name a directory");
    let entries = std::fs::read_dir(&dir.path).map_err(unreadable)?;
    let mut certificates: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    certificates.retain(|path| path.extension().is_some_and(|extension| extension == "crt"));
    certificates.retain(|path| path.with_extension("key").exists());
    certificates.sort();
    let identity = |certificate: PathBuf| {
        let name = certificate.file_stem()?.to_str()?.to_owned();
        let ca = certificate.with_extension("ca");
        let identity = Identity {
            key: certificate.with_extension("key"),
            certificate,
            ciphers: ciphers.clone(),
            client_ca: ca.exists().then_some(ClientCa { file: ca, required: false }),
            option: DIR,
            origin: dir.origin.clone(),
            context: None,
            expires: None,
        };
        Some((Name::Exact(name), identity))
    };
    Ok(certificates.into_iter().filter_map(identity).collect())
}

/// The certificate ready to be served, and when it expires.
fn context(identity: &Identity, warnings: &mut Vec<Warning>) -> Result<(Context, Option<u64>), ValueError> {
    let provider = Arc::new(provider(identity));
    let certified = certified(identity, &provider, warnings)?;
    let own = certified.cert.first().and_then(|first| Certificate::parse(first));
    let shown = identity.certificate.display();
    let failed = |error: Error| ValueError::new(format!("\"{shown}\" cannot be served: {error}"), "");
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let builder = match &identity.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => builder.with_client_cert_verifier(verifier(ca, provider)?),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
    config.ignore_client_order = identity.ciphers.are_chosen();
    // Tickets that every worker of the generation can read; a ticket of one context is none of another's.
    config.ticketer = ring::Ticketer::new().map_err(failed)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok((Context(Arc::new(config)), own.map(|own| own.not_after())))
}

/// The certificate with its key, which belong together.
fn certified(
    identity: &Identity,
    provider: &CryptoProvider,
    warnings: &mut Vec<Warning>,
) -> Result<CertifiedKey, ValueError> {
    let chain = certificates(&identity.certificate)?;
    let certified = CertifiedKey::new(chain, private_key(&identity.key, provider)?);
    let (shown, key) = (identity.certificate.display(), identity.key.display());
    let own = certified.cert.first().and_then(|first| Certificate::parse(first));
    match keys_match(&certified, own.as_ref()) {
        None => Err(ValueError::new(
            format!("\"{shown}\" holds no certificate that can be read"),
            "name a PEM file with one",
        ))?,
        Some(false) => Err(ValueError::new(
            format!("the key \"{key}\" is not that of the certificate \"{shown}\""),
            "name the key that it was made with; the server's own certificate comes first",
        ))?,
        Some(true) => {}
    }
    if let Some(text) = own.as_ref().and_then(outside_its_time) {
        let text = format!("option \"{}\": certificate \"{shown}\" {text}", identity.option);
        warnings.push(Warning::new(&identity.origin, text));
    }
    Ok(certified)
}

/// Is the key that of the certificate? `None`: the certificate cannot be read. A kind of key that does not tell its public
/// half is not compared.
fn keys_match(certified: &CertifiedKey, own: Option<&Certificate>) -> Option<bool> {
    if let Some(own) = own {
        let public = certified.key.public_key();
        return Some(public.is_none_or(|public| own.public_key().is_some_and(|own| *public == *own)));
    }
    // rustls reads no old versions, but identifiers of any size.
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Some(true),
        Err(Error::InconsistentKeys(_)) => Some(false),
        Err(_) => None,
    }
}

fn provider(identity: &Identity) -> CryptoProvider {
    let mut provider = ring::default_provider();
    let ciphers = &identity.ciphers;
    provider.cipher_suites.retain(|suite| ciphers.place(suite.suite()).is_some());
    provider.cipher_suites.sort_by_key(|suite| ciphers.place(suite.suite()));
    provider
}

/// The largest file that is read; chains have some kilobytes, lists of authorities some hundred.
const MAX_BYTES: u64 = 16 << 20;

fn read(path: &Path) -> Result<Vec<u8>, ValueError> {
    let shown = path.display();
    let too_large = |meta: std::fs::Metadata| meta.is_dir() || meta.len() > MAX_BYTES;
    if std::fs::metadata(path).is_ok_and(too_large) {
        return Err(ValueError::new(format!("\"{shown}\" is no PEM file"), "name the file itself"));
    }
    std::fs::read(path).map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => "check the path: it counts from where the server is started",
            std::io::ErrorKind::PermissionDenied => {
                "let this user read it; a reload reads it as the user that uid names"
            }
            _ => "check the path",
        };
        ValueError::new(format!("cannot read \"{shown}\": {}", reason(error)), remedy)
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ValueError> {
    let wrong = |what: String| {
        ValueError::new(format!("\"{}\" {what}", path.display()), "name a PEM file with a certificate")
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match found {
        Ok(chain) if chain.is_empty() => Err(wrong("holds no certificate".to_owned())),
        Ok(chain) => Ok(chain),
        Err(error) => Err(wrong(format!("is damaged: {error}"))),
    }
}

fn private_key(path: &Path, provider: &CryptoProvider) -> Result<Arc<dyn SigningKey>, ValueError> {
    let (text, shown) = (read(path)?, path.display());
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let has = |words: &str| text.windows(words.len()).any(|window| window == words.as_bytes());
        match error {
            _ if has("BEGIN ENCRYPTED PRIVATE KEY") || has("Proc-Type: 4,ENCRYPTED") => ValueError::new(
                format!("the key \"{shown}\" is encrypted"),
                "take the passphrase off it: openssl pkey -in FILE -out NEWFILE",
            ),
            PemError::NoItemsFound => {
                ValueError::new(format!("\"{shown}\" holds no private key"), "name the PEM file with the key")
            }
            error => {
                ValueError::new(format!("the key \"{shown}\" is damaged: {error}"), "name another PEM file")
            }
        }
    })?;
    provider.key_provider.load_private_key(key).map_err(|_| {
        let remedy = "make one with RSA (2048 to 8192 bits), ECDSA (P-256 or P-384) or Ed25519";
        ValueError::new(format!("the key \"{shown}\" is of no kind that can be used"), remedy)
    })
}

fn verifier(ca: &ClientCa, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, ValueError> {
    let shown = ca.file.display();
    let mut roots = RootCertStore::empty();
    let (_, unusable) = roots.add_parsable_certificates(certificates(&ca.file)?);
    if roots.is_empty() {
        let text = format!("none of the {unusable} certificates in \"{shown}\" can vouch for clients");
        return Err(ValueError::new(text, "name the authority's own certificate"));
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if ca.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| ValueError::new(format!("\"{shown}\" cannot be used: {error}"), ""))
}

/// What is to be said when the certificate does not count today.
fn outside_its_time(certificate: &Certificate) -> Option<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
    let date = |time: u64| String::from_utf8_lossy(&http_date(time)).into_owned();
    if certificate.not_after() < now {
        return Some(format!("has expired on {}; clients refuse it", date(certificate.not_after())));
    }
    let is_early = certificate.not_before() > now;
    is_early.then(|| {
        format!("counts only from {} on; clients refuse it until then", date(certificate.not_before()))
    })
}

//! TLS sockets and names on them, from text. The files are read by `certificates`.

use std::path::PathBuf;

use super::certificates::Context;
use super::ciphers::Ciphers;
use super::{Origin, ValueError};

/// What a server shows of itself, and asks of its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub ciphers: Ciphers,
    pub client_ca: Option<ClientCa>,
    /// The option that named it, and where.
    pub option: &'static str,
    pub origin: Origin,
    /// Ready to be used, once the files have been read.
    pub context: Option<Context>,
    /// When the certificate expires, in seconds since 1970; `None`: it was not read, or does not tell.
    pub expires: Option<u64>,
}

/// Who has signed the certificates of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCa {
    pub file: PathBuf,
    /// A client without a certificate is turned away.
    pub required: bool,
}

/// What `sni` and `sni-regexp` name.
#[derive(Clone, Debug)]
pub enum Name {
    Exact(String),
    Pattern(regex::Regex),
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        match (self, other) {
            (Name::Exact(one), Name::Exact(other)) => one == other,
            (Name::Pattern(one), Name::Pattern(other)) => one.as_str() == other.as_str(),
            _ => false,
        }
    }
}

impl Name {
    pub fn fits(&self, host: &str) -> bool {
        match self {
            Name::Exact(name) => name.eq_ignore_ascii_case(host),
            Name::Pattern(pattern) => pattern.is_match(host),
        }
    }
}

/// `sni-dir`: NAME.crt, NAME.key and, where clients need a certificate, NAME.ca.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameDir {
    pub path: PathBuf,
    pub origin: Origin,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tls {
    /// Other certificates for names that clients ask for, in the order in which they are looked at.
    pub names: Vec<(Name, Identity)>,
    pub dir: Option<NameDir>,
    pub dir_ciphers: Ciphers,
    /// The application gets the client's certificate as PEM, too.
    pub export_certificate: bool,
    /// Failed handshakes are logged.
    pub verbose: bool,
}

/// What stands behind the address, and what is to be said about it.
pub type Parsed<T> = Result<(T, Option<String>), ValueError>;

impl Identity {
    /// `cert,key[,ciphers[,client_ca]]`.
    pub fn parse(text: &str, option: &'static str, origin: &Origin) -> Parsed<Identity> {
        let mut parts = text.splitn(4, ',').map(str::trim);
        let mut next = || parts.next().unwrap_or_default();
        Identity::of_parts([next(), next(), next(), next()], option, origin)
    }

    fn of_parts(parts: [&str; 4], option: &'static str, origin: &Origin) -> Parsed<Identity> {
        let [certificate, key, ciphers, client_ca] = parts;
        if certificate.is_empty() || key.is_empty() {
            return Err(ValueError::new("certificate or key is missing", syntax(option)));
        }
        let (ciphers, note) = Ciphers::parse(ciphers);
        let identity = Identity {
            certificate: certificate.into(),
            key: key.into(),
            ciphers,
            client_ca: ClientCa::parse(client_ca)?,
            option,
            origin: origin.clone(),
            context: None,
            expires: None,
        };
        Ok((identity, note))
    }
}

impl ClientCa {
    /// A leading `!`: the certificate is required.
    fn parse(text: &str) -> Result<Option<ClientCa>, ValueError> {
        let file = text.strip_prefix('!').unwrap_or(text);
        if file.is_empty() && !text.is_empty() {
            return Err(ValueError::new("\"!\" names no file", "write !ca.pem"));
        }
        let ca = ClientCa { file: file.into(), required: text.starts_with('!') };
        Ok((!text.is_empty()).then_some(ca))
    }
}

fn syntax(option: &str) -> &'static str {
    match option {
        "https2" => {
            "write addr=:8443,cert=site.crt,key=site.key, and ciphers= and client_ca= if they are needed"
        }
        "sni" | "sni-regexp" => "write NAME site.crt,site.key[,CIPHERS[,CLIENT_CA]]",
        _ => "write :8443,site.crt,site.key[,CIPHERS[,CLIENT_CA]]",
    }
}

/// `addr,cert,key[,ciphers[,client_ca]]`: the address, and the rest.
pub fn socket<'a>(text: &'a str, option: &'static str, origin: &Origin) -> Parsed<(&'a str, Identity)> {
    let missing = || ValueError::new("certificate and key are missing", syntax(option));
    let (address, rest) = text.split_once(',').ok_or_else(missing)?;
    let (identity, note) = Identity::parse(rest, option, origin)?;
    Ok(((address.trim(), identity), note))
}

/// `addr=…,cert=…,key=…` in any order.
pub fn keyed_socket<'a>(text: &'a str, origin: &Origin) -> Parsed<(&'a str, Identity)> {
    let (mut address, mut parts) = ("", [""; 4]);
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match key.trim() {
            "addr" => address = value.trim(),
            "cert" | "crt" => parts[0] = value.trim(),
            "key" => parts[1] = value.trim(),
            "ciphers" => parts[2] = value.trim(),
            "clientca" | "client_ca" => parts[3] = value.trim(),
            // Browsers have forgotten it; what they speak instead is in every answer.
            "spdy" => {}
            other => {
                let text = format!("\"{other}\" is none of addr, cert, key, ciphers, client_ca");
                return Err(ValueError::new(text, syntax("https2")));
            }
        }
    }
    if address.is_empty() {
        return Err(ValueError::new("the address is missing", syntax("https2")));
    }
    let (identity, note) = Identity::of_parts(parts, "https2", origin)?;
    Ok(((address, identity), note))
}

/// `NAME cert,key[,ciphers[,client_ca]]`.
pub fn name(text: &str, origin: &Origin) -> Parsed<(Name, Identity)> {
    let (name, rest) = split_name(text, "sni")?;
    let (identity, note) = Identity::parse(rest, "sni", origin)?;
    Ok(((Name::Exact(name.to_owned()), identity), note))
}

/// The same with a regular expression in place of the name.
pub fn pattern(text: &str, origin: &Origin) -> Parsed<(Name, Identity)> {
    let (name, rest) = split_name(text, "sni-regexp")?;
    let pattern = regex::RegexBuilder::new(name).size_limit(1 << 20).build().map_err(|_| {
        ValueError::new(format!("\"{name}\" is no regular expression"), "write such as ^.*\\.example\\.org$")
    })?;
    let (identity, note) = Identity::parse(rest, "sni-regexp", origin)?;
    Ok(((Name::Pattern(pattern), identity), note))
}

fn split_name<'a>(text: &'a str, option: &'static str) -> Result<(&'a str, &'a str), ValueError> {
    let missing = || ValueError::new("a blank stands between name and certificate", syntax(option));
    text.trim().split_once(' ').map(|(name, rest)| (name, rest.trim())).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<(String, Identity), ValueError> {
        socket(text, "https", &Origin::Default).map(|((address, identity), _)| (address.to_owned(), identity))
    }

    #[test]
    fn a_socket_has_up_to_five_parts() {
        let (address, identity) = of(":8443,a.crt,a.key").unwrap();
        assert_eq!((address.as_str(), identity.client_ca), (":8443", None));
        let (_, identity) = of("[::1]:8443, a.crt, a.key, HIGH, !ca.pem").unwrap();
        assert_eq!(identity.client_ca, Some(ClientCa { file: "ca.pem".into(), required: true }));
        let (_, identity) = of(":8443,a.crt,a.key,,ca.pem").unwrap();
        assert_eq!(identity.client_ca, Some(ClientCa { file: "ca.pem".into(), required: false }));
        for wrong in [":8443", ":8443,a.crt", ":8443,,a.key", ":8443,a.crt,a.key,HIGH,!"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn keys_come_in_any_order() {
        let text = "key=a.key,spdy=1,addr=:8443,crt=a.crt,clientca=!ca.pem";
        let ((address, identity), _) = keyed_socket(text, &Origin::Default).unwrap();
        assert_eq!((address, identity.certificate.to_str()), (":8443", Some("a.crt")));
        assert!(identity.client_ca.unwrap().required);
        for wrong in ["cert=a,key=b", "addr=:1,cert=a", "addr=:1,cert=a,key=b,colour=red", ""] {
            assert!(keyed_socket(wrong, &Origin::Default).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_stands_before_its_files() {
        let ((exact, _), _) = name("a.example b.crt,b.key", &Origin::Default).unwrap();
        assert!(exact.fits("A.example") && !exact.fits("b.example"));
        let ((pattern, _), _) = pattern(r"^.*\.example$ b.crt,b.key", &Origin::Default).unwrap();
        assert!(pattern.fits("a.example") && !pattern.fits("a.example.org"));
        assert!(name("a.example", &Origin::Default).is_err());
        assert!(super::pattern("( b.crt,b.key", &Origin::Default).is_err());
    }
}

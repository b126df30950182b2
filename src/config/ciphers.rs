//! Which ciphers a TLS socket offers. What people have written for uWSGI are OpenSSL's words (`HIGH`, `ECDHE+AESGCM`,
//! `ECDHE-RSA-AES128-GCM-SHA256:…`); what they choose among here are the six ciphers of TLS 1.2 that are still good. Those of
//! TLS 1.3 are always offered, as OpenSSL does.

use rustls::CipherSuite;

/// OpenSSL's names, in the order of preference.
const SUITES: [(CipherSuite, &str); 6] = [
    (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305"),
    (CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384"),
    (CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256"),
    (CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305"),
];

/// Those of TLS 1.2 in the order in which they are preferred; empty: nothing was chosen, all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ciphers(Vec<CipherSuite>);

impl Ciphers {
    /// What an OpenSSL cipher string chooses, and what is to be said about it.
    pub fn parse(text: &str) -> (Ciphers, Option<String>) {
        let mut chosen: Vec<usize> = Vec::new();
        let mut banned = [false; SUITES.len()];
        for word in text.split([':', ',', ' ']).filter(|word| !word.is_empty()) {
            let (sign, word) = match word.as_bytes()[0] {
                sign @ (b'!' | b'-' | b'+') => (sign, &word[1..]),
                _ => (b' ', word),
            };
            for at in (0..SUITES.len()).filter(|&at| is_meant(SUITES[at].1, word)) {
                let was_chosen = chosen.contains(&at);
                chosen.retain(|&other| sign == b' ' || other != at);
                banned[at] |= sign == b'!';
                if (sign == b'+' && was_chosen) || (sign == b' ' && !was_chosen && !banned[at]) {
                    chosen.push(at);
                }
            }
        }
        let note = (chosen.is_empty() && !text.is_empty()).then(|| {
            format!("none of the ciphers \"{text}\" is offered; those of TLS 1.3 and six of TLS 1.2 with forward secrecy are")
        });
        (Ciphers(chosen.into_iter().map(|at| SUITES[at].0).collect()), note)
    }

    pub fn are_chosen(&self) -> bool {
        !self.0.is_empty()
    }

    /// Its place in the order; `None`: it is not offered.
    pub fn place(&self, suite: CipherSuite) -> Option<usize> {
        let of_version_3 = u16::from(suite) >> 8 == 0x13;
        match self.0.iter().position(|&one| one == suite) {
            Some(at) => Some(at + 1),
            None => (of_version_3 || self.0.is_empty()).then_some(0),
        }
    }
}

/// A name, or several properties that a cipher must have, with `+` between.
fn is_meant(name: &str, word: &str) -> bool {
    name == word || word.split('+').all(|property| has(name, property))
}

fn has(name: &str, property: &str) -> bool {
    match property {
        "ALL" | "HIGH" | "DEFAULT" | "COMPLEMENTOFALL" | "TLSv1.2" => true,
        "ECDHE" | "EECDH" | "kECDHE" | "kEECDH" => true,
        "ECDSA" | "aECDSA" => name.contains("-ECDSA-"),
        "aRSA" => name.contains("-RSA-"),
        "AES" => name.contains("-AES"),
        "AESGCM" => name.contains("-GCM-"),
        "AES128" | "AES256" | "CHACHA20" | "SHA256" | "SHA384" => {
            name.split('-').any(|part| part == property)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<&'static str> {
        let (ciphers, note) = Ciphers::parse(text);
        assert_eq!(note.is_some(), !text.is_empty() && !ciphers.are_chosen(), "{text}");
        let name = |suite| SUITES.iter().find(|(one, _)| *one == suite).unwrap().1;
        ciphers.0.into_iter().map(name).collect()
    }

    #[test]
    fn words_choose() {
        assert_eq!(names("HIGH").len(), 6);
        assert_eq!(names("HIGH:!aNULL:!MD5:!CAMELLIA").len(), 6);
        assert_eq!(
            names("ECDHE+AESGCM:!ECDSA"),
            ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"]
        );
        assert_eq!(names("EECDH+CHACHA20:EECDH+AES128").len(), 4);
        assert_eq!(
            names("HIGH:!aRSA:!AES128"),
            ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"]
        );
    }

    #[test]
    fn names_are_in_their_order() {
        let two = "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-SHA";
        assert_eq!(names(two), ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"]);
        assert_eq!(
            names(&format!("{two}:+AES128")),
            ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"]
        );
    }

    #[test]
    fn without_a_choice_all_are_offered() {
        for text in ["", "AES256-SHA", "RC4-SHA:3DES", "HIGH:!HIGH"] {
            assert!(names(text).is_empty(), "{text}");
            let (ciphers, _) = Ciphers::parse(text);
            assert_eq!(ciphers.place(SUITES[3].0), Some(0));
        }
    }

    #[test]
    fn version_3_is_always_offered() {
        let (ciphers, _) = Ciphers::parse("ECDHE-RSA-AES128-GCM-SHA256");
        assert_eq!(ciphers.place(CipherSuite::TLS13_AES_128_GCM_SHA256), Some(0));
        assert_eq!(ciphers.place(SUITES[4].0), Some(1));
        assert_eq!(ciphers.place(SUITES[3].0), None);
    }
}

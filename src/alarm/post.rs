//! `url:`: the event as JSON, posted to whoever collects them.

use super::Delivery;
use crate::base::reason::reason;
use crate::log;
use crate::process::exit::{EXIT_BROKEN, EXIT_DONE};
use crate::sys::clock;
use crate::sys::epoll;
use rustls::crypto::ring;
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

/// What one attempt may take, from the name of the host to the status of the answer.
const ATTEMPT: Duration = Duration::from_secs(10);
/// No attempt begins later than this after the first.
const LAST_ATTEMPT_US: u64 = 45_000_000;
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Why an attempt has failed, and whether another one may go better.
struct Failure {
    why: String,
    is_final: bool,
}

/// Posts until it is taken, or has no chance any more.
pub fn run(url: &str, delivery: &Delivery) -> i32 {
    let (agent, begun, mut pause) = (agent(), clock::monotonic_us(), FIRST_PAUSE);
    for attempt in 1.. {
        let Err(failure) = post(&agent, url, &delivery.json) else { return EXIT_DONE };
        let next = clock::monotonic_us() + pause.as_micros() as u64;
        if failure.is_final || next > begun + LAST_ATTEMPT_US {
            log::say(&format!(
                "[uwsgi-alarm] {}: {} did not take the event \"{}\" in {attempt} attempt{}: {}",
                delivery.alarm,
                host_of(url),
                delivery.event,
                if attempt == 1 { "" } else { "s" },
                failure.why
            ));
            return EXIT_BROKEN;
        }
        sleep_until(next);
        pause *= 2;
    }
    EXIT_BROKEN
}

fn agent() -> Agent {
    // Certificates are checked with the authorities that the system trusts.
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()));
    let config = Agent::config_builder()
        .tls_config(tls.build())
        .timeout_global(Some(ATTEMPT))
        .http_status_as_error(false)
        // What a POST is sent on to would get a GET.
        .max_redirects(0)
        .user_agent(concat!("rwsgi/", env!("CARGO_PKG_VERSION")));
    Agent::new_with_config(config.build())
}

fn post(agent: &Agent, url: &str, json: &str) -> Result<(), Failure> {
    let sent = agent.post(url).content_type("application/json").send(json);
    let status = match sent {
        Ok(answer) => answer.status().as_u16(),
        Err(error) => return Err(Failure { is_final: is_final(&error), why: words(error) }),
    };
    match status {
        200..300 => Ok(()),
        408 | 429 | 500.. => Err(Failure { why: format!("status {status}"), is_final: false }),
        _ => Err(Failure { why: format!("status {status}"), is_final: true }),
    }
}

/// Trying again changes neither the address nor the certificate.
fn is_final(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::Rustls(_) => true,
        ureq::Error::Io(error) => error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()),
        _ => false,
    }
}

fn words(error: ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => reason(error),
        error => error.to_string(),
    }
}

/// A URL may have secrets in its path.
fn host_of(url: &str) -> &str {
    let (_, rest) = url.split_once("//").unwrap_or_default();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    rest[..end].rsplit('@').next().unwrap_or_default()
}

fn sleep_until(end: u64) {
    while let Some(left) = end.checked_sub(clock::monotonic_us()).filter(|&left| left > 0) {
        epoll::sleep(Duration::from_micros(left.max(1000)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_host_alone() {
        assert_eq!(host_of("https://user:secret@example.org:8443/secret?x"), "example.org:8443");
        assert_eq!(host_of("http://[::1]:80"), "[::1]:80");
    }
}

//! Certificates that expire soon: looked at when they are read, and once a day.

use crate::base::date::http_date;
use crate::config::{AlarmEvent, Identity, Settings};
use crate::master::incident::Incident;
use crate::sys::clock;
use std::collections::BTreeMap;
use std::path::PathBuf;

const DAY: u64 = 24 * 60 * 60;
/// An authority that renews by itself does so long before.
const SOON: u64 = 14 * DAY;

/// The certificates that are served, and when each expires, in seconds since 1970.
#[derive(Debug, Default)]
pub struct Certificates {
    expiries: BTreeMap<PathBuf, u64>,
    /// In the same seconds: a machine that was suspended looks when it wakes up.
    looked: Option<u64>,
}

impl Certificates {
    /// These have just been read.
    pub fn of(settings: &Settings) -> Certificates {
        let sockets = settings.listeners.iter().filter_map(|listener| listener.tls.as_deref());
        let named = settings.tls.names.iter().map(|(_, identity)| identity);
        let expiry = |identity: &Identity| Some((identity.certificate.clone(), identity.expires?));
        Certificates { expiries: sockets.chain(named).filter_map(expiry).collect(), looked: None }
    }

    pub fn look(&mut self) -> Vec<Incident> {
        let now = clock::wall_secs() as u64;
        if self.looked.is_some_and(|looked| now < looked + DAY) {
            return Vec::new();
        }
        self.looked = Some(now);
        let soon = self.expiries.iter().filter(|&(_, &expires)| expires < now + SOON);
        soon.map(|(path, &expires)| {
            let (shown, date) = (path.display(), String::from_utf8_lossy(&http_date(expires)).into_owned());
            let verb = if expires < now { "has expired" } else { "expires" };
            Incident::of(AlarmEvent::Certificate, format!("certificate \"{shown}\" {verb} on {date}"))
                .with("certificate", shown.to_string())
                .with("expires", expires)
                .with("days", (expires as i64 - now as i64).div_euclid(DAY as i64))
        })
        .collect()
    }
}

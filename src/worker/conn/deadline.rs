//! How long connections may wait.

use crate::config::Settings;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// Nothing came, or went, for as long as it may.
    Silent,
    /// Something did, but too little.
    Trickling,
}

/// How long a connection is read on before it is closed.
pub const LINGER: Duration = Duration::from_secs(2);

/// Are `bytes` in this time less than a rate allows? A rate of 0 allows everything.
pub fn is_below(rate: u64, bytes: u64, time: Duration) -> bool {
    u128::from(bytes) * 1_000_000 < u128::from(rate) * time.as_micros()
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until a uwsgi packet is whole.
    pub packet: Duration,
    /// Until an HTTP head is whole.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For the next byte of a body, or of an answer.
    pub stall: Duration,
    /// Bytes a second, on the average of all time beyond `stall`; 0: any number.
    pub rate: u64,
}

impl Limits {
    pub fn of(settings: &Settings) -> Limits {
        Limits {
            packet: settings.requests.socket_timeout,
            head: settings.http.head_timeout,
            idle: settings.http.idle_timeout.unwrap_or_default(),
            stall: settings.http.timeout,
            rate: settings.http.min_rate,
        }
    }
}

/// A body or an answer that is on its way.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub begun_us: u64,
    pub bytes: u64,
}

/// Why a wait since `since_us`, which may take this long, has taken too long, if it has.
pub fn overdue(
    now_us: u64,
    since_us: u64,
    limit: Duration,
    flow: Option<Flow>,
    limits: &Limits,
) -> Option<Overdue> {
    if now_us.saturating_sub(since_us) >= limit.as_micros() as u64 {
        return Some(Overdue::Silent);
    }
    let Flow { begun_us, bytes } = flow?;
    let time = Duration::from_micros(now_us.saturating_sub(begun_us));
    is_below(limits.rate, bytes, time.saturating_sub(limits.stall)).then_some(Overdue::Trickling)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_rate_is_an_average() {
        let second = Duration::from_secs(1);
        assert!(is_below(100, 99, second) && !is_below(100, 100, second));
        assert!(!is_below(100, 1000, 10 * second) && is_below(100, 1000, 11 * second));
        assert!(!is_below(100, 0, Duration::ZERO) && !is_below(0, 0, 1000 * second));
        assert!(is_below(u64::MAX, u64::MAX / 2, second));
    }

    #[test]
    fn silence_and_trickling_are_told_apart() {
        let second = Duration::from_secs(1);
        let limits = Limits { packet: second, head: second, idle: second, stall: 4 * second, rate: 100 };
        let at = |now_us, bytes| overdue(now_us, 0, 60 * second, Some(Flow { begun_us: 0, bytes }), &limits);
        assert_eq!(overdue(60 * SECOND - 1, 0, 60 * second, None, &limits), None);
        assert_eq!(at(60 * SECOND, u64::MAX), Some(Overdue::Silent));
        // The first four seconds are free.
        assert_eq!((at(4 * SECOND, 0), at(5 * SECOND, 100)), (None, None));
        assert_eq!(at(5 * SECOND, 99), Some(Overdue::Trickling));
    }
}

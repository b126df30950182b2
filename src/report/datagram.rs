//! A metric as it is sent in a datagram.

use super::MetricStatus;
use crate::base::metric::MetricKind;

/// As uWSGI's pusher `socket` sends it: `PREFIX.NAME KIND VALUE`.
pub fn socket(prefix: &str, metric: &MetricStatus) -> String {
    format!("{prefix}.{} {} {}", metric.name, metric.kind as u8, metric.value)
}

/// For statsd. As from uWSGI, all but gauges are counters, whose whole value is sent.
pub fn statsd(prefix: &str, metric: &MetricStatus) -> String {
    let kind = if metric.kind == MetricKind::Gauge { "g" } else { "c" };
    format!("{prefix}.{}:{}|{kind}", metric.name, metric.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let metric = |kind, value| MetricStatus {
            name: "worker.1.requests".into(),
            oid: "3.1.1".into(),
            kind,
            value,
            is_settable: false,
        };
        assert_eq!(socket("uwsgi", &metric(MetricKind::Absolute, 7)), "uwsgi.worker.1.requests 2 7");
        assert_eq!(statsd("a.b", &metric(MetricKind::Gauge, -7)), "a.b.worker.1.requests:-7|g");
        assert_eq!(statsd("a", &metric(MetricKind::Counter, 7)), "a.worker.1.requests:7|c");
        assert_eq!(statsd("a", &metric(MetricKind::Alias, 7)), "a.worker.1.requests:7|c");
    }
}

//! Settings that hurt, contradict each other, or ask for the same address twice.

use std::time::Duration;

use super::{Report, origin_of};
use crate::config::{Address, Listener, Protocol, Settings};

/// What nginx waits for an answer where nothing else is written (uwsgi_read_timeout, proxy_read_timeout).
const NGINX_TIMEOUT: Duration = Duration::from_secs(60);
/// What a process of a small Django site takes.
const WORKER_KIB: u64 = 40 << 10;

pub fn find(report: &mut Report, settings: &Settings) {
    find_clashes(report, &settings.listeners);
    for (name, text) in harms(settings) {
        report.warn(&origin_of(settings, name), text);
    }
    for listener in &settings.listeners {
        if is_public(listener) {
            let text = format!(
                "\"{}\" speaks uwsgi to the whole network, which trusts whoever connects; bind 127.0.0.1 or a unix socket",
                listener.text
            );
            report.warn(&listener.origin, text);
        }
    }
}

/// Each is compared with each.
const MOST_COMPARED: usize = 1000;

fn find_clashes(report: &mut Report, listeners: &[Listener]) {
    for (i, later) in listeners.iter().enumerate().take(MOST_COMPARED) {
        if let Some(earlier) = listeners[..i].iter().find(|earlier| clash(&earlier.address, &later.address)) {
            let text =
                format!("\"{}\" is the address of \"{}\" ({}) too", later.text, earlier.text, earlier.origin);
            report.findings.push(super::Finding {
                severity: super::Severity::Error,
                origin: later.origin.clone(),
                text,
            });
        }
    }
}

fn clash(a: &Address, b: &Address) -> bool {
    match (a, b) {
        (Address::Tcp { port: 0, .. }, _) => false,
        (Address::Tcp { host: a, port: p }, Address::Tcp { host: b, port: q }) => {
            let any = |host: &str| host.is_empty() || host == "0.0.0.0";
            let v6 = |host: &str| host.contains(':');
            p == q && (a == b || (any(a) && !v6(b)) || (any(b) && !v6(a)))
        }
        (a, b) => a == b,
    }
}

fn is_public(listener: &Listener) -> bool {
    let Address::Tcp { host, .. } = &listener.address else { return false };
    listener.protocol == Protocol::Uwsgi && (host.is_empty() || host == "0.0.0.0" || host == "::")
}

/// The option that hurts, and why.
fn harms(s: &Settings) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut harm = |is_so: bool, name: &'static str, text: String| {
        if is_so {
            found.push((name, text));
        }
    };
    if let Some(time) = s.harakiri.filter(|time| *time > NGINX_TIMEOUT) {
        let text = format!(
            "harakiri after {} s, but nginx gives up after {} s unless uwsgi_read_timeout is higher: clients see a 504 while the request goes on",
            time.as_secs(),
            NGINX_TIMEOUT.as_secs()
        );
        harm(true, "harakiri", text);
    }
    harm(
        s.harakiri.is_some_and(|time| time < Duration::from_secs(5)),
        "harakiri",
        "harakiri below 5 s kills workers for a slow database; 30 to 60 s is usual".to_owned(),
    );
    if let (Some(listen), Some(most)) = (s.listen, number_in("/proc/sys/net/core/somaxconn", "")) {
        let text =
            format!("the kernel cuts {listen} to {most}; raise it with sysctl net.core.somaxconn={listen}");
        harm(u64::from(listen) > most, "listen", text);
    }
    if let Some(memory) = number_in("/proc/meminfo", "MemTotal:") {
        let needed = u64::from(s.processes) * WORKER_KIB;
        let text = format!(
            "{} processes take {} MiB and more, this machine has {} MiB",
            s.processes,
            needed >> 10,
            memory >> 10
        );
        harm(needed > memory, "processes", text);
    }
    harm(
        (1..100).contains(&s.max_requests),
        "max-requests",
        format!(
            "workers are replaced after {} requests, and each replacement loads the application; 1000 and more are usual",
            s.max_requests
        ),
    );
    harm(
        s.max_requests > 0 && s.max_requests_delta > s.max_requests.saturating_mul(10),
        "max-requests-delta",
        "the delta is far above max-requests, so most workers are hardly ever replaced".to_owned(),
    );
    harm(
        s.buffer_size < 4096,
        "buffer-size",
        "cookies and long addresses need 4096 bytes and more".to_owned(),
    );
    harm(
        s.limit_post > 0 && s.limit_post < 4096,
        "limit-post",
        format!("bodies above {} bytes are refused; the option counts bytes", s.limit_post),
    );
    harm(
        s.watch.python.is_some() && s.processes > 1,
        "py-autoreload",
        "py-autoreload is for development; in production reload with HUP".to_owned(),
    );
    harm(
        s.python.catch_exceptions,
        "catch-exceptions",
        "catch-exceptions shows tracebacks, with their secrets, to every client".to_owned(),
    );
    harm(
        s.chmod_socket == Some(0o777),
        "chmod-socket",
        "a socket needs no x bit; 666 is as open, 660 is closed to others".to_owned(),
    );
    harm(
        s.daemonize.is_some() && s.logto.is_some(),
        "logto",
        "\"daemonize\" and \"logto\" each name a log; the last one is used".to_owned(),
    );
    harm(
        !s.log_requests && s.log_micros,
        "log-micros",
        "\"log-micros\" has no effect with \"disable-logging\"".to_owned(),
    );
    harm(
        s.recycle.max_lifetime.is_some_and(|max| max < s.recycle.min_lifetime),
        "max-worker-lifetime",
        format!("a worker lives at least {} s (min-worker-lifetime)", s.recycle.min_lifetime.as_secs()),
    );
    harm(
        s.manage_script_name && s.apps.iter().all(|app| app.mountpoint.is_empty()),
        "manage-script-name",
        "\"manage-script-name\" has no effect without \"mount\"".to_owned(),
    );
    harm(
        s.uid.as_deref().is_some_and(|uid| uid == "root" || uid == "0"),
        "uid",
        "the application runs as root: whoever finds a hole in it owns the machine".to_owned(),
    );
    found
}

/// The number behind `field` in a file of the kernel.
fn number_in(path: &str, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(field))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_clash() {
        let tcp = |host: &str, port| Address::Tcp { host: host.into(), port };
        assert!(clash(&tcp("", 80), &tcp("127.0.0.1", 80)));
        assert!(clash(&tcp("127.0.0.1", 80), &tcp("0.0.0.0", 80)));
        assert!(clash(&Address::Unix("a".into()), &Address::Unix("a".into())));
        for (a, b) in [
            (tcp("", 0), tcp("", 0)),
            (tcp("", 80), tcp("::1", 80)),
            (tcp("", 80), tcp("", 81)),
            (tcp("127.0.0.1", 80), tcp("127.0.0.2", 80)),
            (Address::Unix("a".into()), tcp("", 80)),
        ] {
            assert!(!clash(&a, &b), "{a:?} {b:?}");
        }
    }
}

//! Settings that hurt, contradict each other, or ask for the same address twice.

use std::collections::HashMap;
use std::time::Duration;

use super::Report;
use crate::config::{Address, Listener, Origin, Protocol, Settings, Status, Written, registry};

/// What nginx waits for an answer where nothing else is written (uwsgi_read_timeout, proxy_read_timeout).
const NGINX_TIMEOUT: Duration = Duration::from_secs(60);
/// What a process of a small Django site takes.
const WORKER_KIB: u64 = 40 << 10;

pub fn find(report: &mut Report, settings: &Settings) {
    find_clashes(report, &settings.listeners);
    find_replaced(report, settings);
    for (name, text) in harms(settings) {
        report.warn(&settings.origin_of(name), text);
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

/// Two values for one option in the same file: the first counts for nothing.
fn find_replaced(report: &mut Report, settings: &Settings) {
    let mut seen: HashMap<&str, &Written> = HashMap::new();
    for option in &settings.written {
        let row = registry::find(&option.name);
        let Some(row) = row.filter(|row| row.status == Status::Works && !row.repeats) else { continue };
        let Some(former) = seen.insert(row.name, option) else { continue };
        if let (Origin::File { path: a, .. }, Origin::File { path: b, .. }) = (&former.origin, &option.origin)
            && a == b
            && former.value != option.value
        {
            let value = former.value.as_deref().unwrap_or_default();
            let text = format!("\"{}\" replaces the value \"{value}\" of {}", option.name, former.origin);
            report.warn(&option.origin, text);
        }
    }
}

/// Each is compared with each.
const MAX_COMPARED: usize = 1000;

fn find_clashes(report: &mut Report, listeners: &[Listener]) {
    for (i, later) in listeners.iter().enumerate().take(MAX_COMPARED) {
        if let Some(earlier) = listeners[..i].iter().find(|earlier| clash(&earlier.address, &later.address)) {
            let text =
                format!("\"{}\" is the address of \"{}\" ({}) too", later.text, earlier.text, earlier.origin);
            report.fail(&later.origin, text);
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
type Harm = (&'static str, String);

fn harms(settings: &Settings) -> impl Iterator<Item = Harm> {
    [of_time, of_machine, of_recycling, of_requests, of_safety, of_logs]
        .into_iter()
        .flat_map(move |f| f(settings))
}

fn when(is_so: bool, name: &'static str, text: impl Into<String>) -> Option<Harm> {
    is_so.then(|| (name, text.into()))
}

fn of_time(s: &Settings) -> Vec<Harm> {
    let Some(harakiri) = s.harakiri.timeout else { return Vec::new() };
    let above = format!(
        "harakiri after {} s, but nginx gives up after {} s unless uwsgi_read_timeout is higher: clients see a 504 while the request goes on",
        harakiri.as_secs(),
        NGINX_TIMEOUT.as_secs()
    );
    let below = "harakiri below 5 s kills workers for a slow database; 30 to 60 s is usual";
    [
        when(harakiri > NGINX_TIMEOUT, "harakiri", above),
        when(harakiri < Duration::from_secs(5), "harakiri", below),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What the machine does not have.
fn of_machine(s: &Settings) -> Vec<Harm> {
    let backlog =
        s.instance.listen.zip(number_in("/proc/sys/net/core/somaxconn", "")).and_then(|(listen, most)| {
            let text = format!(
                "the kernel cuts {listen} to {most}; raise it with sysctl net.core.somaxconn={listen}"
            );
            when(u64::from(listen) > most, "listen", text)
        });
    let memory = number_in("/proc/meminfo", "MemTotal:").and_then(|kib| {
        let needed = u64::from(s.instance.processes) * WORKER_KIB;
        let text = format!(
            "{} processes take {} MiB and more, this machine has {} MiB",
            s.instance.processes,
            needed >> 10,
            kib >> 10
        );
        when(needed > kib, "processes", text)
    });
    backlog.into_iter().chain(memory).collect()
}

fn of_recycling(s: &Settings) -> Vec<Harm> {
    let often = format!(
        "workers are replaced after {} requests, and each replacement loads the application; 1000 and more are usual",
        s.recycle.max_requests
    );
    let far = s.recycle.max_requests > 0
        && s.recycle.max_requests_delta > s.recycle.max_requests.saturating_mul(10);
    let shortest = s.recycle.min_lifetime.unwrap_or_default();
    let short = s.recycle.max_lifetime.is_some_and(|max| max < shortest);
    let lives = format!("a worker lives at least {} s (min-worker-lifetime)", shortest.as_secs());
    [
        when((1..100).contains(&s.recycle.max_requests), "max-requests", often),
        when(
            far,
            "max-requests-delta",
            "the delta is far above max-requests, so most workers are hardly ever replaced",
        ),
        when(short, "max-worker-lifetime", lives),
        when(
            s.watch.python.is_some() && s.instance.processes > 1,
            "py-autoreload",
            "py-autoreload is for development; in production reload with HUP",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_requests(s: &Settings) -> Vec<Harm> {
    let unmounted = s.apps.manage_script_name && s.apps.mounts.iter().all(|app| app.mountpoint.is_empty());
    let refused =
        format!("bodies above {} bytes are refused; the option counts bytes", s.requests.limit_post);
    [
        when(
            s.requests.buffer_size < 4096,
            "buffer-size",
            "cookies and long addresses need 4096 bytes and more",
        ),
        when((1..4096).contains(&s.requests.limit_post), "limit-post", refused),
        when(unmounted, "manage-script-name", "\"manage-script-name\" has no effect without \"mount\""),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_safety(s: &Settings) -> Vec<Harm> {
    let is_root = s.instance.uid.as_deref().is_some_and(|uid| uid == "root" || uid == "0");
    [
        when(
            s.python.catch_exceptions,
            "catch-exceptions",
            "catch-exceptions shows tracebacks, with their secrets, to every client",
        ),
        when(
            s.instance.chmod_socket == Some(0o777),
            "chmod-socket",
            "a socket needs no x bit; 666 is as open, 660 is closed to others",
        ),
        when(is_root, "uid", "the application runs as root: whoever finds a hole in it owns the machine"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_logs(s: &Settings) -> Vec<Harm> {
    let two = s.instance.daemonize.is_some() && s.instance.logto.is_some();
    let unread = !s.log.requests && s.log.micros;
    [
        when(two, "logto", "\"daemonize\" and \"logto\" each name a log; one of them stays empty"),
        when(unread, "log-micros", "\"log-micros\" has no effect with \"disable-logging\""),
    ]
    .into_iter()
    .flatten()
    .collect()
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

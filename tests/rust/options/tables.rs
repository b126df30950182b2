//! The rows themselves: complete, unique, and those of uWSGI.

use super::*;

#[test]
fn names_and_letters_are_unique() {
    let mut names = HashSet::new();
    let mut letters = HashSet::new();
    for row in registry::all() {
        for name in row.spellings() {
            assert!(names.insert(name), "{name} stands twice");
            assert!(registry::find(name).is_some_and(|found| found.name == row.name), "{name}");
        }
        if let Some(letter) = row.short {
            assert!(letters.insert(letter), "-{letter} stands twice");
        }
    }
}

/// `load_config()` and the lists of options go by the kind.
#[test]
fn rows_name_the_kind_of_their_value() {
    let takes =
        |row: &Row, text: &str| (row.set)(&mut Draft::default(), Some(text), &Origin::Default).is_ok();
    for row in registry::all().iter().filter(|row| row.arg.needs_value() && row.status == Status::Works) {
        let is_number = takes(row, "7") && !takes(row, "word");
        let kinds: &[Arg] = match row.name {
            // Octal, a list, and in kilobytes.
            "umask" | "metrics-buckets" => &[Arg::Required],
            "thread-stack-size" => &[Arg::Number],
            _ if !is_number => &[Arg::Required],
            _ if takes(row, "7h") => &[Arg::Seconds],
            _ if takes(row, "7k") => &[Arg::Size, Arg::Megabytes],
            _ => &[Arg::Number],
        };
        assert!(kinds.contains(&row.arg), "{} is {:?}, but takes {kinds:?}", row.name, row.arg);
    }
}

#[test]
fn rows_are_complete() {
    for row in registry::all() {
        assert!(!row.theme.is_empty() && !row.help.is_empty() && !row.help.contains('\n'), "{}", row.name);
        assert!(!row.help.ends_with('.'), "{}: help is no sentence", row.name);
        let well_spelt = |name: &str| !name.is_empty() && !name.contains([' ', '=', '~', '/', '|']);
        assert!(row.spellings().all(well_spelt), "{}", row.name);
    }
}

#[test]
fn defaults_are_the_defaults() {
    let mut draft = Draft::default();
    for row in registry::all().iter().filter(|row| row.status == Status::Works && !row.default.is_empty()) {
        (row.set)(&mut draft, Some(row.default), &Origin::Default)
            .unwrap_or_else(|e| panic!("{}: {e:?}", row.name));
    }
    assert!(draft.notes.is_empty(), "{:?}", draft.notes);
    let (settings, warnings) = draft.finish(0..0);
    assert!(settings.apps.mounts.is_empty() && warnings.len() <= 1, "{warnings:?}");
    assert_eq!(Settings { listeners: Vec::new(), ..settings }, Settings::default());
}

#[test]
fn every_option_of_uwsgi_has_a_row() {
    let missing: Vec<&str> = UWSGI_OPTIONS.lines().filter(|name| registry::find(name).is_none()).collect();
    assert_eq!(missing, Vec::<&str>::new());
    assert_eq!(UWSGI_OPTIONS.lines().count(), 1261);
}

#[test]
fn no_row_invents_an_option() {
    let known: HashSet<&str> = UWSGI_OPTIONS.lines().collect();
    let own: Vec<&str> = registry::names().filter(|name| !known.contains(name)).collect();
    let http = [
        "http-keepalive-requests",
        "http-min-rate",
        "http-connections",
        "http-request-memory",
        "http-request-line",
        "http-headers",
        "http-stream-body",
        "http-keep-underscores",
        "http-ignore-upgrade",
        "http-livez",
        "http-readyz",
        "forwarded-allow-ips",
        "forwarded-host",
        "http-server-header",
    ];
    let shown = ["stats-host", "metrics-socket", "metrics-per-worker", "metrics-buckets"];
    let tracing = ["request-id", "request-id-response", "trace-context", "trace-sample"];
    let first = ["toml", "dynamic-apps", "boot-timeout", "post-buffering-limit"];
    assert_eq!(own, [&first[..], &http, &["log-slow-stack", "alarm-event"], &shown, &tracing].concat());
}

#[test]
fn everything_generated_names_every_row() {
    let (help, page) = (help(), options_md());
    for row in registry::all() {
        let built = matches!(row.status, Status::Works | Status::Accepted(_));
        assert!(row.spellings().all(|name| page.contains(&format!("`{name}`"))), "{}", row.name);
        assert!(help.contains(&format!("--{}", row.name)) || !built, "{}", row.name);
    }
}

#[test]
fn misspelt_names() {
    for (written, meant) in [
        ("procesess", Some("processes")),
        ("haraikri", Some("harakiri")),
        ("cpu_affinity", Some("cpu-affinity")),
        ("max_requests", Some("max-requests")),
        ("max-request", Some("max-requests")),
        ("enable-thread", Some("enable-threads")),
        ("lazy-app", Some("lazy-apps")),
        ("master-", Some("master")),
        ("chown_sockets", Some("chown-socket")),
        ("wsgi_file", Some("wsgi-file")),
        ("virutalenv", Some("virtualenv")),
        ("larm-backlog", Some("alarm-backlog")),
        ("Socket", Some("socket")),
        ("thread", Some("threads")),
        ("log-to", Some("logto")),
        ("harakiri_graceful_timeout", Some("harakiri-graceful-timeout")),
        // As real configurations have them.
        ("vaccum", Some("vacuum")),
        ("vaccuum", Some("vacuum")),
        ("theads", Some("threads")),
        ("enable-theads", Some("enable-threads")),
        ("process", Some("processes")),
        ("guid", Some("uid")),
        ("zuid", Some("uid")),
        ("chown", Some("chown-socket")),
        ("chmod-sock", Some("chmod-socket")),
        ("socker", Some("socket")),
        ("proc-name-prefix", Some("procname-prefix")),
        ("py-callos-afterfork", Some("py-call-osafterfork")),
        ("b", Some("buffer-size")),
        ("bananas", None),
        ("?", None),
    ] {
        assert_eq!(registry::suggest(written), meant, "{written}");
    }
}

/// How much is built, for whoever asks: `cargo test --test options -- --nocapture counts`.
#[test]
fn counts() {
    let count = |is_it: fn(&Status) -> bool| {
        let rows = registry::all().iter().filter(|row| is_it(&row.status));
        rows.fold((0, 0), |(rows, names), row| (rows + 1, names + row.spellings().count()))
    };
    let all = [
        ("works", count(|s| matches!(s, Status::Works))),
        ("accepted", count(|s| matches!(s, Status::Accepted(_)))),
        ("planned", count(|s| matches!(s, Status::Planned(_)))),
        ("refused", count(|s| matches!(s, Status::Refused(_)))),
    ];
    for (status, (rows, names)) in all {
        println!("{status}: {rows} options, {names} names");
    }
    assert_eq!(all.iter().map(|(_, (_, names))| names).sum::<usize>(), registry::names().count());
}

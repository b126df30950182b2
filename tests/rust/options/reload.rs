//! What a reload takes and what it puts back, proved for each row of the tables.

use super::*;

/// What both readings have, so that each option has something to act on.
const BASE: &str =
    "[uwsgi]\nsocket = :1\nhttps = :2,a.crt,a.key\nmodule = a\nharakiri = 60\nmax-requests = 5\n";

fn read(line: &str) -> Settings {
    let text = format!("{BASE}{line}\n");
    load_text(Format::Ini, &text, &[]).unwrap_or_else(|error| panic!("{line}: {error}")).settings
}

/// A value that is neither the default nor the one in `BASE`.
fn sample(row: &Row) -> &'static str {
    match (row.name, row.arg) {
        ("socket" | "http" | "http-socket" | "http-to-https", _) => ":3",
        ("https" | "https-socket", _) => ":3,b.crt,b.key",
        ("https2", _) => "addr=:3,cert=b.crt,key=b.key",
        ("sni" | "sni-regexp", _) => "example.org b.crt,b.key",
        ("sni-dir-ciphers", _) => "ECDHE-RSA-AES128-GCM-SHA256",
        ("protocol", _) => "http",
        ("buffer-size", _) => "4096",
        ("chmod-socket", _) => "600",
        ("umask", _) => "027",
        ("mount", _) => "/b=b",
        ("metric-threshold", _) => "key=rss_size,value=1",
        ("stats-push", _) => "file",
        ("carbon", _) => "127.0.0.1:2003",
        ("carbon-idle-avg", _) => "zero",
        ("env", _) => "A=1",
        ("add-header", _) => "X-A: b",
        ("http-livez" | "http-readyz", _) => "/health",
        ("http-manage-expect", _) => "1000",
        ("http-keepalive", _) => "30",
        ("metrics-buckets", _) => "1,10",
        ("forwarded-allow-ips", _) => "10.0.0.0/8",
        ("alarm", _) => "a cmd:true",
        ("alarm-event", _) => "a harakiri",
        ("log-alarm" | "not-log-alarm", _) => "a error",
        ("alarm-fd", _) => "a 7 message",
        ("static-map" | "static-map2", _) => "/static=/srv/static",
        ("static-expires-type" | "static-expires-type-mtime", _) => "text/css=7",
        ("file-serve-mode", _) => "nginx",
        (name, _) if name.starts_with("static-expires") => "\\.css$ 7",
        (_, Arg::Flag) if row.default == "true" => "false",
        (_, Arg::Flag | Arg::Optional) => "true",
        (_, Arg::Required) => "other",
        (_, Arg::Number) => "7",
        (_, Arg::Seconds | Arg::Size | Arg::Megabytes) => "7654321",
    }
}

/// Everything but how it was written.
fn meaning(settings: &Settings) -> Settings {
    Settings { written: Vec::new(), ..settings.clone() }
}

/// Most options of these themes act while the configuration is read: they are no settings.
fn is_setting(row: &Row) -> bool {
    let acts = ["Configuration", "Conditions and loops"].contains(&row.theme);
    !acts || ["show-config", "no-server"].contains(&row.name)
}

/// The option is written for the first time, or deleted: the names that a reload says, and the settings after it.
fn reload(old: &Settings, new: &Settings) -> (Vec<&'static str>, Settings) {
    let mut taken = new.clone();
    (taken.keep_fixed(old), taken)
}

#[test]
fn each_row_says_whether_a_reload_takes_it() {
    let without = read("");
    for row in registry::all().iter().filter(|row| is_setting(row)) {
        let with = read(&format!("{} = {}", row.name, sample(row)));
        let has_effect = meaning(&with) != meaning(&without);
        // `callable` and others that are accepted need not have any; what works must, or this test would show nothing.
        assert!(has_effect || row.status != Status::Works, "{}: {} changes nothing", row.name, sample(row));
        for (old, new) in [(&without, &with), (&with, &without)] {
            let (names, taken) = reload(old, new);
            if row.reload == Reload::Live {
                assert_eq!(names, Vec::<&str>::new(), "{} is live, but put back", row.name);
                assert_eq!(&taken, new, "{}", row.name);
            } else {
                assert_eq!(names, [row.name], "{} needs a restart, but is taken", row.name);
                assert_eq!(meaning(&taken), meaning(old), "{}", row.name);
            }
        }
    }
}

/// What needs a restart is named at each reload until the server is restarted or the option is as it was.
#[test]
fn it_is_named_as_long_as_it_differs() {
    let (old, new) = (read("processes = 2"), read("processes = 3\nuid = www"));
    let (names, first) = reload(&old, &new);
    assert_eq!(names, ["processes", "uid"]);
    let (names, second) = reload(&first, &new);
    assert_eq!((names.as_slice(), second.instance.processes), (["processes", "uid"].as_slice(), 2));
    assert_eq!(reload(&second, &old).0, Vec::<&str>::new());
}

/// Only what changes the meaning counts: neither the line of an option nor the way in which it is written.
#[test]
fn the_same_in_other_words_is_no_change() {
    for (old, new) in [
        ("processes = 4", "\n# a line more\nworkers = 04"),
        ("threads = 1", ""),
        ("umask = 22", "umask = 022"),
        ("lazy = true", "lazy-apps = true"),
        ("http-socket = :3", "http = :3"),
    ] {
        assert_eq!(reload(&read(old), &read(new)).0, Vec::<&str>::new(), "{old} → {new}");
    }
    let (old, new) = (read("processes = 2\nlimit-as = 512"), read("processes = 3\nlimit-as = 512m"));
    assert_eq!(reload(&old, &new).0, ["processes"]);
}

/// The address of a TLS socket stays, its certificates do not, also when another socket has come or gone.
#[test]
fn certificates_follow_though_sockets_do_not() {
    let of = |settings: &Settings| settings.listeners[1].tls.clone();
    let change = |more: &str| {
        let text = BASE.replace("a.crt,a.key", "new.crt,new.key") + more;
        load_text(Format::Ini, &text, &[]).unwrap().settings
    };
    let old = read("");
    for (new, named) in [(change(""), [].as_slice()), (change("http-socket = :9\n"), &["http-socket"])] {
        let (names, taken) = reload(&old, &new);
        assert_eq!((names.as_slice(), of(&taken)), (named, of(&new)));
        assert_eq!(taken.listeners.len(), old.listeners.len());
    }
    assert_ne!(of(&old), of(&change("")));
}

/// Sockets are known by their number.
#[test]
fn sockets_keep_their_order() {
    let (old, new) = (read("http = :8\nhttp-socket = :9"), read("http-socket = :9\nhttp = :8"));
    let (names, taken) = reload(&old, &new);
    assert_eq!(names, ["the order of the sockets"]);
    let texts = |settings: &Settings| settings.listeners.iter().map(|l| l.text.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&taken), texts(&old));
}

/// A setting that is read where the server starts, and nowhere else, is fixed in fact: it belongs into `Instance`.
#[test]
fn what_only_the_start_reads_is_fixed() {
    let sources = [
        include_str!("../../../src/master/startup/serve.rs"),
        include_str!("../../../src/master/startup/limits.rs"),
        include_str!("../../../src/master/startup/build.rs"),
        include_str!("../../../src/master/startup/listeners.rs"),
        include_str!("../../../src/master/startup/pidfile.rs"),
    ];
    // Read again when a reload takes on its settings (configuration.rs) or when the server ends, by workers, or for messages.
    let read_again = [
        "procnames",
        "watch",
        "supervise.vacuum",
        "requests.socket_timeout",
        "http.connections",
        "apps.mounts",
    ];
    for source in sources {
        for (at, _) in source.match_indices("settings.") {
            let path: String = source[at + "settings.".len()..]
                .chars()
                .take_while(|&c| c.is_alphanumeric() || "_.(".contains(c))
                .collect();
            let is_field = path.starts_with(|c: char| c.is_ascii_lowercase())
                && !path.split('.').next().unwrap().contains('(');
            let is_fixed = ["instance.", "listeners"].iter().any(|fixed| path.starts_with(fixed));
            let is_read_again = read_again.iter().any(|known| path.starts_with(known));
            assert!(!is_field || is_fixed || is_read_again, "settings.{path} is read at the start only");
        }
    }
}

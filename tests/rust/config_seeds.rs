//! The configurations of five users' notes, as they wrote them: each loads, means what the note says, and every
//! part that is not built yet is named.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rwsgi::config::*;

const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/seeds");

fn sources(line: &str) -> Sources {
    let line = line.replace("SEEDS", SEEDS);
    let line = if line.ends_with(".args") { std::fs::read_to_string(line).unwrap() } else { line };
    let arguments = line.split_whitespace().map(str::to_owned).collect();
    Sources { arguments, ..Sources::default() }
}

fn read(line: &str) -> Settings {
    load(&sources(line)).unwrap_or_else(|e| panic!("{line}: {e}")).settings
}

fn sockets(settings: &Settings) -> Vec<(&str, Protocol)> {
    settings.listeners.iter().map(|l| (l.text.as_str(), l.protocol)).collect()
}

/// Every way in which the notes start a server.
const LINES: &[&str] = &[
    "--xml SEEDS/fastrouter.xml",
    "SEEDS/fastrouter.xml:fastrouter",
    "--xml SEEDS/subserver1.xml",
    "--xml SEEDS/subserver2.xml:subserver2",
    "--ini SEEDS/route-cache.ini",
    "SEEDS/interactive.args",
    "-ini SEEDS/standard.ini",
    "--ini SEEDS/alarm.ini",
    "--ini SEEDS/max-requests.ini",
    "SEEDS/options.args",
    "-ini SEEDS/fragments.ini",
    "--ini SEEDS/http.ini",
    "--ini SEEDS/http-socket.ini",
    "--ini SEEDS/secstats.ini:secstats",
    "--ini SEEDS/fastrouter.ini:fastrouter",
    "SEEDS/fastrouter.ini:secstats1",
    "--ini SEEDS/fastrouter.ini --ini :secstats2",
    "--ini SEEDS/servers.ini:server1",
    "--ini SEEDS/servers.ini:server2",
];

/// What is warned about stands in one file, so that a part that has been built is seen to disappear from it.
#[test]
fn warnings_name_the_parts_that_are_missing() {
    let mut found = String::new();
    for line in LINES {
        let loaded = load(&sources(line)).unwrap_or_else(|e| panic!("{line}: {e}"));
        found += &format!("{}\n", line.replace("SEEDS/", ""));
        for warning in &loaded.warnings {
            found += &format!("    {}\n", warning.to_string().replace(&format!("{SEEDS}/"), ""));
        }
    }
    let path = format!("{SEEDS}/warnings.txt");
    if std::env::var_os("RWSGI_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), found, "RWSGI_BLESS=1 rewrites {path}");
    for line in found.lines().filter(|line| line.contains("pypy")) {
        assert!(line.contains("install rwsgi into the Python that you want"), "{line}");
    }
}

#[test]
fn a_note_about_the_fastrouter() {
    for (name, socket) in [("subserver1", "127.0.0.1:3232"), ("subserver2", "127.0.0.1:3333")] {
        let settings = read(&format!("--xml SEEDS/{name}.xml"));
        assert_eq!(sockets(&settings), [(socket, Protocol::Uwsgi)]);
        assert_eq!(settings.instance.processes, 4);
        assert_eq!(settings.apps.mounts[0].source, AppSource::File("./server.py".into()));
    }
    read("--xml SEEDS/fastrouter.xml");
}

#[test]
fn a_note_with_a_standard_configuration() {
    let cores = std::thread::available_parallelism().unwrap().get() as u32;
    let s = read("--ini SEEDS/standard.ini");
    assert_eq!(s.instance.processes, cores * 4);
    assert_eq!(s.listeners[0].address, Address::Unix("/tmp/standard.sock".into()));
    assert_eq!(s.instance.pidfiles.first, Some("/tmp/standard.pid".into()));
    assert_eq!(s.instance.daemonize, Some("/home/log/uwsgi/standard_uwsgi.log".into()));
    assert_eq!(
        (s.harakiri.timeout, s.recycle.max_requests, s.instance.listen),
        (Some(Duration::from_secs(50)), 10000, Some(8192))
    );
    assert_eq!((s.instance.chmod_socket, s.instance.chdir.as_deref()), (Some(0o664), Some(Path::new("."))));
    assert_eq!(s.procnames.master.as_deref(), Some("uwsgi --ini standard.ini (master)"));
    assert_eq!(s.procnames.all.as_deref(), Some("uwsgi --ini standard.ini"));
    assert!(
        s.supervise.vacuum
            && s.harakiri.verbose
            && s.apps.need_app
            && !s.log.requests
            && s.instance.log_truncate
    );
    let s = read("--ini SEEDS/route-cache.ini");
    assert_eq!(sockets(&s), [(":9090", Protocol::Http)]);
    assert_eq!(
        (s.apps.mounts[0].source.clone(), s.log.micros),
        (AppSource::Module("mysite.wsgi".into()), true)
    );
    let s = read("SEEDS/interactive.args");
    assert_eq!(s.apps.mounts[0].source, AppSource::File(PathBuf::from("mysite/wsgi.py")));
    assert_eq!(
        (s.apps.mounts[0].callable.as_str(), s.harakiri.timeout),
        ("application", Some(Duration::from_secs(10)))
    );
}

#[test]
fn a_note_about_single_options() {
    let s = read("SEEDS/options.args");
    assert_eq!(sockets(&s), [("/tmp/uwsgi.sock", Protocol::Uwsgi)]);
    assert_eq!(
        (s.instance.processes, s.requests.buffer_size, s.requests.socket_timeout),
        (8, 32768, Duration::from_secs(10))
    );
    assert_eq!((s.harakiri.timeout, s.harakiri.verbose), (Some(Duration::from_secs(60)), true));
    assert_eq!(s.instance.daemonize, Some("/var/log/uwsgi.log".into()));
    assert_eq!(read("--ini SEEDS/max-requests.ini").recycle.max_requests, 1000);
}

#[test]
fn a_note_about_nginx_and_supervisor() {
    let s = read("-ini SEEDS/fragments.ini");
    assert_eq!((s.instance.processes, s.instance.threads, s.instance.chmod_socket), (2, 4, Some(0o664)));
    assert_eq!((s.instance.uid.as_deref(), s.instance.gid.as_deref()), (Some("1000"), Some("1000")));
    assert_eq!(sockets(&read("--ini SEEDS/http.ini")), [("0.0.0.0:8000", Protocol::Http)]);
    assert_eq!(sockets(&read("--ini SEEDS/http-socket.ini")), [("127.0.0.1:8000", Protocol::Http)]);
}

#[test]
fn a_note_about_balance() {
    for (line, port, processes) in [
        ("--ini SEEDS/secstats.ini:secstats", 23081, 8),
        ("--ini SEEDS/fastrouter.ini:secstats1", 23082, 4),
        ("--ini SEEDS/fastrouter.ini:secstats2", 23083, 4),
        ("--ini SEEDS/servers.ini:server1", 23082, 4),
        ("--ini SEEDS/servers.ini:server2", 23083, 4),
    ] {
        let s = read(line);
        assert_eq!(s.listeners[0].address, Address::Tcp { host: "127.0.0.1".into(), port }, "{line}");
        assert_eq!(
            (s.instance.processes, s.instance.threads, s.instance.lazy_apps),
            (processes, 20, true),
            "{line}"
        );
        assert_eq!(s.apps.mounts[0].source, AppSource::Module("wsgi".into()));
        assert_eq!(s.python.pythonpath, [PathBuf::from(".")]);
        let format = s.written.iter().find(|w| w.name == "log-format").and_then(|w| w.value.as_deref());
        let expected = "%(addr) [%(ltime)] \"%(method) %(uri)\" %(status) %(size) %(micros)";
        assert_eq!(format, Some(expected));
    }
    assert!(read("--ini SEEDS/fastrouter.ini:fastrouter").supervise.vacuum);
}

#[test]
fn gevent_says_what_to_do() {
    let loaded = load(&sources("--gevent 100 --module a")).unwrap();
    let warning = loaded.warnings[0].to_string();
    assert_eq!(
        warning,
        "command line: option \"gevent\" is not supported yet: requests run on threads; set threads instead"
    );
}

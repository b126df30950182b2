//! The option tables and what a configuration means: https://github.com/rwsgi/rwsgi/issues/2, part 2.

mod files;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use files::Files;
use rwsgi::config::*;

/// Every option of uWSGI 2.0.31, one a line.
const UWSGI_OPTIONS: &str = include_str!("../fixtures/uwsgi-options.txt");

// Sources

fn command_line(line: &str) -> Sources {
    Sources { arguments: line.split_whitespace().map(str::to_owned).collect(), ..Sources::default() }
}

fn ok(sources: &Sources) -> Loaded {
    load(sources).unwrap_or_else(|e| panic!("{e}"))
}

fn cli(line: &str) -> Settings {
    ok(&command_line(line)).settings
}

/// Settings, warnings and error of an ini file; `FILE` stands for its path in the texts.
fn ini(test: &str, text: &str) -> Result<(Settings, Vec<String>), String> {
    let files = Files::new(test);
    let path = files.write("site.ini", text);
    let short = |text: String| text.replace(&path, "FILE");
    let loaded = load(&command_line(&format!("--ini {path}"))).map_err(|e| short(e.to_string()))?;
    Ok((loaded.settings, loaded.warnings.iter().map(|w| short(w.to_string())).collect()))
}

// Invariants of the tables

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
            // Octal, and in kilobytes.
            "umask" => &[Arg::Required],
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
    assert!(settings.apps.is_empty() && warnings.len() <= 1, "{warnings:?}");
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
    assert_eq!(own, [&["toml", "dynamic-apps", "boot-timeout"][..], &http].concat());
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

// Names

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

#[test]
fn unknown_options_by_source() {
    let (_, warnings) = ini("unknown", "[uwsgi]\nmaster = true\nprocesess = 4\n").unwrap();
    assert_eq!(warnings, ["FILE:3: unknown option \"procesess\"; did you mean \"processes\"?"]);
    let (_, warnings) = ini("blank", "[uwsgi]\nenv NAME = x\n").unwrap();
    assert_eq!(
        warnings,
        ["FILE:2: unknown option \"env NAME\"; the name ends at the first \"=\"; write env = NAME=…"]
    );
    let error = ini("strict", "[uwsgi]\nstrict = true\nprocesess = 4\n").unwrap_err();
    assert_eq!(error, "FILE:3: unknown option \"procesess\"; did you mean \"processes\"?");
    let error = load(&command_line("--bananas")).unwrap_err().to_string();
    assert_eq!(error, "command line: unknown option \"--bananas\"; see the list of options");
    let keywords = vec![("max_request".to_owned(), Some("1".to_owned()))];
    let error = load(&Sources { keywords, ..Sources::default() }).unwrap_err().to_string();
    assert_eq!(error, "rwsgi.serve(): unknown option \"max_request\"; did you mean \"max_requests\"?");
}

#[test]
fn names_that_values_read_are_variables() {
    let text = "[uwsgi]\nbase = /srv\nunused = 1\nset-ph = spare=2\nchdir = %(base)/app\n";
    let (settings, warnings) = ini("variables", text).unwrap();
    assert_eq!(settings.chdir.as_deref(), Some(Path::new("/srv/app")));
    assert_eq!(warnings, ["FILE:3: unknown option \"unused\"; see the list of options"]);
}

#[test]
fn what_rwsgi_does_not_do_is_said_once() {
    let text = "[uwsgi]\nroute = ^/a log:a\nroute = ^/b log:b\npypy-wsgi = wsgi\nmaster = false\nplugins = python3,gevent\n";
    let (_, warnings) = ini("planned", text).unwrap();
    assert_eq!(
        warnings,
        [
            "FILE:2: option \"route\" is not supported yet: requests are not routed, and headers stay as they are",
            "FILE:4: option \"pypy-wsgi\" is not supported: the interpreter is the one that rwsgi is installed in; \
         install rwsgi into the Python that you want",
            "FILE:5: option \"master\" cannot be turned off: there is a master always",
            "FILE:6: option \"plugins\": plugin \"gevent\" is not part of rwsgi; what it adds will be missing",
        ]
    );
}

// Every spelling of the options that work

/// Each line sets the same as each other spelling of it.
#[test]
fn spellings() {
    for lines in [
        ["--socket :1", "--uwsgi-socket :1", "-s :1", "-s:1"].as_slice(),
        &["--module a.b:c", "--wsgi a.b:c", "-w a.b:c", "a.b:c"],
        &["--wsgi-file a.py", "--file a.py", "a.py"],
        &["--pythonpath /a", "--python-path /a", "--pp /a"],
        &["--virtualenv /a", "--venv /a", "--home /a", "--pyhome /a", "-H /a"],
        &["--master", "-M", "--master=true", "--enable-threads", "-T", "--single-interpreter", "-i"],
        &["--thunder-lock", "--die-on-term", "--need-app", "--need-app=true"],
        &["--processes 3", "--workers 3", "-p 3", "-p3", "--processes=3"],
        &["--listen 5", "-l 5"],
        &["--buffer-size 32768", "-b 32768", "-b 32k"],
        &["--max-vars 100", "-v 100"],
        &["--socket-timeout 30", "-z 30"],
        &["--chmod-socket -s a", "--chmod -s a", "-C -s a", "-C666 -s a", "--chmod-socket=666 -s a"],
        &["--harakiri 20", "-t 20"],
        &["--max-requests 7", "-R 7"],
        &["--disable-logging", "-L"],
        &["--daemonize /l", "--daemonize2 /l", "-d /l"],
        &["--lazy-apps", "--lazy"],
        &["--procname-prefix-spaced a", "--procname-prefix-sp a"],
    ] {
        let plain = |line: &str| {
            let mut settings = Settings { written: Vec::new(), ..cli(line) };
            settings.apps.iter_mut().for_each(|app| app.origin = Origin::Default);
            settings
        };
        for line in lines {
            assert_eq!(plain(line), plain(lines[0]), "{line}");
        }
    }
    assert_eq!(ok(&command_line("--help")).action, Action::Help);
    assert_eq!(ok(&command_line("--usage")).action, Action::Help);
    assert_eq!(ok(&command_line("-h")).action, Action::Help);
    assert_eq!(ok(&command_line("--version")).action, Action::Version);
}

#[test]
fn every_option_of_the_issue() {
    let text = "[uwsgi]
socket = /tmp/a.sock
http-socket = 127.0.0.1:1
http = [::1]:2
module = mysite.wsgi
callable = app
chdir = /srv
pythonpath = /p
pp = /q
venv = /v
env = A=1
env = B = x=y
master = true
processes = 4
threads = 2
enable-threads = true
lazy-apps = yes
single-interpreter = 1
need-app = false
listen = 8192
buffer-size = 65536
max-vars = 64
post-buffering = 8k
limit-post = 10M
socket-timeout = 30
chmod-socket = 664
chown-socket = www:www
uid = 1000
gid = www
vacuum
pidfile = /tmp/a.pid
harakiri = 50
harakiri-verbose = on
harakiri-graceful-timeout = 5
max-requests = 1000
max-requests-delta = 10
worker-reload-mercy = 5
reload-mercy = 6
die-on-term = true
disable-logging = true
logto = /tmp/a.log
log-x-forwarded-for = true
log-micros = true
thunder-lock = true
procname = all
procname-master = boss
procname-prefix = pre
procname-prefix-spaced = pre
procname-append = end
mount = /api=api.wsgi:application
mount = /file/=/srv/f.py
mount = /w=site.wsgi
manage-script-name = true
dynamic-apps = true
boot-timeout = 0
umask = 022
pyargv = a b
strict = true
show-config = true
";
    let (s, warnings) = ini("issue", text).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    let listeners: Vec<_> = s.listeners.iter().map(|l| (l.text.as_str(), l.protocol)).collect();
    assert_eq!(
        listeners,
        [("/tmp/a.sock", Protocol::Uwsgi), ("127.0.0.1:1", Protocol::Http), ("[::1]:2", Protocol::Http)]
    );
    let apps: Vec<_> =
        s.apps.iter().map(|a| (a.mountpoint.as_str(), a.source.clone(), a.callable.as_str())).collect();
    let module = |name: &str| AppSource::Module(name.into());
    assert_eq!(
        apps,
        [
            ("", module("mysite.wsgi"), "app"),
            ("/api", module("api.wsgi"), "application"),
            ("/file", AppSource::File("/srv/f.py".into()), "app"),
            ("/w", module("site.wsgi"), "app"),
        ]
    );
    let seconds = Duration::from_secs;
    assert_eq!(s.chdir, Some("/srv".into()));
    assert_eq!(s.pythonpath, [PathBuf::from("/p"), "/q".into()]);
    assert_eq!(s.virtualenv, Some("/v".into()));
    assert_eq!(s.env, [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "x=y".to_owned())]);
    assert_eq!((s.processes, s.threads, s.lazy_apps, s.need_app, s.listen), (4, 2, true, false, Some(8192)));
    assert_eq!((s.buffer_size, s.max_vars, s.post_buffering, s.limit_post), (65535, 128, 8192, 10 << 20));
    assert_eq!((s.socket_timeout, s.chmod_socket, s.umask), (seconds(30), Some(0o664), Some(0o22)));
    assert_eq!(
        (s.chown_socket.as_deref(), s.uid.as_deref(), s.gid.as_deref()),
        (Some("www:www"), Some("1000"), Some("www"))
    );
    assert!(s.vacuum && s.harakiri_verbose && s.log_x_forwarded_for && s.log_micros && !s.log_requests);
    assert_eq!((s.harakiri, s.harakiri_graceful_timeout), (Some(seconds(50)), Some(seconds(5))));
    assert_eq!((s.max_requests, s.max_requests_delta), (1000, 10));
    assert_eq!((s.worker_reload_mercy, s.reload_mercy, s.boot_timeout), (seconds(5), seconds(6), None));
    assert_eq!(
        (s.pidfile, s.logto, s.pyargv),
        (Some("/tmp/a.pid".into()), Some("/tmp/a.log".into()), Some("a b".into()))
    );
    let names = ProcNames {
        auto: true,
        all: Some("all".into()),
        master: Some("boss".into()),
        prefix: "pre ".into(),
        append: "end".into(),
    };
    assert_eq!(s.procnames, names);
    assert!(s.manage_script_name && s.dynamic_apps && s.show_config);
    assert_eq!(s.written.len(), text.lines().count());
}

// What is served where

#[test]
fn without_a_socket_http_on_port_8000() {
    let listeners = cli("--module a").listeners;
    assert_eq!(listeners.len(), 1);
    assert_eq!((listeners[0].text.as_str(), listeners[0].protocol), ("127.0.0.1:8000", Protocol::Http));
    assert_eq!(cli("-s :1").listeners.len(), 1);
}

#[test]
fn protocol_decides_what_socket_means() {
    for line in ["-s :1 --protocol http", "--protocol=http -s :1", "--socket-protocol http -s :1"] {
        assert_eq!(cli(line).listeners[0].protocol, Protocol::Http, "{line}");
    }
    let error = load(&command_line("--protocol fastcgi")).unwrap_err().to_string();
    assert_eq!(
        error,
        "command line: option \"protocol\": sockets cannot speak \"fastcgi\" yet; write uwsgi or http"
    );
}

#[test]
fn applications() {
    let app = |line: &str| {
        let app = cli(line).apps.remove(0);
        (app.source, app.callable)
    };
    let module = |name: &str, callable: &str| (AppSource::Module(name.into()), callable.to_owned());
    assert_eq!(app("-w a.b"), module("a.b", "application"));
    assert_eq!(app("-w a.b:f()"), module("a.b", "f()"));
    assert_eq!(app("--callable x -w a.b"), module("a.b", "x"));
    assert_eq!(app("--callable x -w a.b:y"), module("a.b", "y"));
    assert_eq!(app("a.py"), (AppSource::File("a.py".into()), "application".into()));
    assert_eq!(app("--file a.py:x"), (AppSource::File("a.py".into()), "x".into()));
    let sources = Sources { object: true, ..Sources::default() };
    assert_eq!(ok(&sources).settings.apps[0].source, AppSource::Object);
}

#[test]
fn contradictions() {
    for (line, warning) in [
        ("--harakiri-graceful-timeout 5", "\"harakiri-graceful-timeout\" has no effect without \"harakiri\""),
        ("--max-requests-delta 5", "\"max-requests-delta\" has no effect without \"max-requests\""),
        ("--callable x", "callable \"x\" has no effect without module, wsgi-file or mount"),
        ("--chmod-socket=660 -s :1", "\"chmod-socket\" has no effect: no socket is a file"),
        ("-w a --file b.py", "option \"file\": \"b.py\" is served instead of \"a\" (command line)"),
        (
            "-s 8000",
            "option \"socket\": \"8000\" is taken for the path of a unix socket; a port is written :8000",
        ),
        ("-w wsgi.py", "option \"module\": \"wsgi.py\" looks like a file; files are served by wsgi-file"),
        ("--env NAME", "option \"env\": \"NAME\" sets no variable; write NAME=VALUE"),
        ("--threads 0", "option \"threads\": 0 is read as 1"),
    ] {
        let warnings: Vec<String> =
            ok(&command_line(line)).warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, [format!("command line: {warning}")], "{line}");
    }
}

// Values

#[test]
fn wrong_values_are_named_with_their_line() {
    for (line, error) in [
        ("processes = four", "\"four\" is not a whole number; write digits only, such as 4"),
        ("processes = 0", "0 is too few; write a whole number of at least 1"),
        ("processes = 100000", "100000 are too many; write at most 4096"),
        ("threads = -1", "\"-1\" is not a whole number; write digits only, such as 4"),
        ("listen = 99999999999", "99999999999 is too large; write a smaller number"),
        ("buffer-size = big", "\"big\" is not a whole number; write digits only, such as 4"),
        (
            "limit-post = 10 apples",
            "\"10 apples\" is not a size; write bytes, such as 32768, or a number with k, M or G",
        ),
        ("harakiri = 1d", "\"1d\" is not a time; write seconds, such as 30, or a number with s, m or h"),
        ("socket-timeout = 0", "0 would give up at once; write seconds, such as 30"),
        ("chmod-socket = rw", "\"rw\" is no octal mode; write three octal digits, such as 664"),
        ("umask = 9", "\"9\" is no octal mode; write three octal digits, such as 664"),
        ("mount = app.py", "\"app.py\" mounts nothing; write /path=module:callable or /path=file.py"),
        ("module = a:", "\"a:\" names no application; write module:callable"),
        ("socket = a:b", "\"a:b\" is no address; write host:port, :port, [v6]:port, a path, @name or fd://N"),
        (
            "socket = ::1:80",
            "\"::1:80\" has more than one colon; write an IPv6 address in brackets, such as [::1]:3031",
        ),
        ("socket = =0", "shared sockets are not supported yet; write the address itself"),
        (
            "logto = 127.0.0.1:514",
            "logging to \"127.0.0.1:514\" over UDP is not supported yet; write the path of a file",
        ),
    ] {
        let name = line.split(' ').next().unwrap();
        let found = ini(&format!("value-{name}"), &format!("[uwsgi]\n\n{line}\n")).unwrap_err();
        assert_eq!(found, format!("FILE:3: option \"{name}\": {error}"), "{line}");
    }
    let error = ini("no-value", "[uwsgi]\nprocesses\n").unwrap_err();
    assert_eq!(
        error,
        "FILE:2: option \"processes\" needs a value; write processes = VALUE (number of worker processes)"
    );
}

#[test]
fn odd_values_are_read_as_uwsgi_reads_them() {
    let (settings, warnings) = ini("odd", "[uwsgi]\nvacuum = ture\nprocesses = 4 ; four\n").unwrap();
    assert!(settings.vacuum && settings.processes == 4);
    assert_eq!(
        warnings,
        [
            "FILE:3: the value of \"processes\" is \"4 ; four\", which uWSGI reads as 4; a comment must stand on a line of its own",
            "FILE:2: option \"vacuum\": \"ture\" is neither true nor false and is read as true, as in uWSGI",
        ]
    );
}

#[test]
fn unknown_options_are_named_up_to_a_bound() {
    let text = (0..1000).fold("[uwsgi]\n".to_owned(), |text, i| text + &format!("nonsense{i} = 1\n"));
    let (_, warnings) = ini("many", &text).unwrap();
    assert_eq!(warnings.len(), 101);
    assert_eq!(warnings[100], "FILE:102: more unknown options follow and are not listed");
}

// Sources and their order

#[test]
fn later_wins() {
    let files = Files::new("order");
    let path = files.write("site.ini", "[uwsgi]\nprocesses = 3\n[more]\nprocesses = 9\n");
    assert_eq!(cli(&format!("--processes 5 --ini {path}")).processes, 3);
    assert_eq!(cli(&format!("--ini {path} --processes 5")).processes, 5);
    assert_eq!(cli(&format!("--ini {path}:more")).processes, 9);
    assert_eq!(cli(&format!("--ini {path} --ini :more")).processes, 9);
    let loaded = ok(&command_line(&format!("{path} -p 5")));
    assert_eq!(loaded.settings.processes, 3);
    assert_eq!(
        loaded.warnings[0].to_string(),
        format!(
            "{path}:2: option \"processes\" replaces --processes 5 of the command line; name the file with --ini before it"
        )
    );
}

#[test]
fn files_in_files_are_read_in_place() {
    let files = Files::new("nested");
    files.write("base.ini", "[uwsgi]\nprocesses = 2\nthreads = 2\npidfile = %n.%N.pid\n");
    let site = files.write("site.ini", "[uwsgi]\nthreads = 8\nini = %dbase.ini\nprocesses = 6\n");
    let settings = cli(&format!("--ini {site}"));
    assert_eq!((settings.processes, settings.threads), (6, 2));
    assert_eq!(settings.pidfile, Some("base.site.pid".into()));
    let names: Vec<&str> = settings.written.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(names, ["ini", "threads", "ini", "processes", "threads", "pidfile", "processes"]);
}

#[test]
fn a_file_that_includes_itself_is_an_error() {
    let error = ini("self", "[uwsgi]\nini = %p\n").unwrap_err();
    assert_eq!(error, "FILE:2: files name each other 16 levels deep; look for a file that includes itself");
}

#[test]
fn files_that_cannot_be_read() {
    let error = load(&command_line("--ini no-such.ini")).unwrap_err().to_string();
    assert!(
        error.starts_with("command line: cannot read \"no-such.ini\": No such file or directory"),
        "{error}"
    );
    let (_, warnings) = ini("section", "[other]\nmaster = true\n").unwrap();
    assert_eq!(warnings, ["FILE:1: there is no section [uwsgi]; nothing is read from this file"]);
}

#[test]
fn environment() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let environment = vec![
        pair("RWSGI_THREADS", "4"),
        pair("UWSGI_THREADS", "3"),
        pair("UWSGI_MAX_REQUESTS", "9"),
        pair("UWSGI_RELOADS", "1"),
        pair("UWSGI_MODULE", ""),
        pair("UWSGI_THREDS", "1"),
        pair("PORT", "5000"),
    ];
    let sources = Sources { environment, ..command_line("--http :$(PORT) --max-requests 10") };
    let Loaded { settings, warnings, .. } = ok(&sources);
    assert_eq!((settings.threads, settings.max_requests), (4, 10));
    assert_eq!(settings.listeners[0].text, ":5000");
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "environment variable UWSGI_MODULE: option \"module\" is empty and is not used",
            "environment variable UWSGI_THREDS: unknown option \"threds\"; did you mean \"threads\"?",
        ]
    );
}

#[test]
fn references_that_lead_nowhere() {
    let error = ini("no-variable", "[uwsgi]\nprocesses = $(CORES)\n").unwrap_err();
    assert_eq!(
        error,
        "FILE:2: option \"processes\": \"$(CORES)\" is not a whole number; no variable CORES is set; \
         $(CORES:-VALUE) gives a default"
    );
    let (_, warnings) = ini("no-name", "[uwsgi]\nchdir = $(BASE)/x\npidfile = /tmp/%(site).pid\n").unwrap();
    assert_eq!(
        warnings,
        [
            "FILE:2: option \"chdir\": no variable BASE is set; $(BASE:-VALUE) gives a default",
            "FILE:3: option \"pidfile\": %(site) stays as it is: no option and no placeholder has this name",
        ]
    );
    let (settings, warnings) = ini("emptied", "[uwsgi]\nharakiri = 20\nharakiri = $(NONE:-)\n").unwrap();
    assert_eq!(settings.harakiri, Some(Duration::from_secs(20)));
    assert_eq!(warnings, ["FILE:3: option \"harakiri\" is empty and is not used"]);
}

#[test]
fn keywords() {
    let pair = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    let keywords = vec![pair("http_socket", ":1"), pair("http_socket", ":2"), pair("need_app", "false")];
    let settings = ok(&Sources { keywords, ..Sources::default() }).settings;
    assert_eq!(settings.listeners.len(), 2);
    assert!(!settings.need_app);
    let keywords = vec![pair("processes", "many")];
    let error = load(&Sources { keywords, ..Sources::default() }).unwrap_err().to_string();
    assert_eq!(
        error,
        "rwsgi.serve(): option \"processes\": \"many\" is not a whole number; write digits only, such as 4"
    );
}

/// As people wrote it in their notes.
#[test]
fn a_configuration_of_the_field() {
    let text = "[uwsgi]
chdir = .
chmod-socket=664
module = mysite.wsgi:application
master = True
processes = %(%k * 4)
pidfile = /tmp/%n.pid
uwsgi-socket = /tmp/%n.sock
# http
harakiri = 50
listen = 8192
log-truncate = True
command=/usr/bin/env -ini x.ini
";
    let (settings, warnings) = ini("field", text).unwrap();
    let cores = std::thread::available_parallelism().unwrap().get() as u32;
    assert_eq!(settings.processes, cores * 4);
    assert_eq!(settings.listeners[0].address, Address::Unix("/tmp/site.sock".into()));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let files = Files::new("dash");
    let path = files.write("a.ini", "[uwsgi]\nthreads = 3\n");
    let loaded = ok(&command_line(&format!("-ini {path}")));
    assert_eq!(loaded.settings.threads, 3);
    assert_eq!(
        loaded.warnings[0].to_string(),
        "command line: \"-ini\" is read as \"--ini\"; long names have two dashes"
    );
}

#[test]
fn show_config() {
    let settings = cli("--master --processes 2 --set a=3 --threads %(a)");
    assert_eq!(
        show(&settings),
        "\n;uWSGI instance configuration\n[uwsgi]\nmaster = true\nprocesses = 2\nset = a=3\na = 3\nthreads = 3\n\
         ;end of configuration\n\n"
    );
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

// Options whose settings are there before the server reads them

#[test]
fn settings_of_options_to_come() {
    let text = "[uwsgi]
no-default-app = true
unenv = A
unenv = B
chdir2 = /c
optimize = 2
import = a.b
shared-import = c
wsgi-env-behaviour = holy
catch-exceptions = true
wsgi-disable-file-wrapper = true
add-header = Connection: close
add-header = X-A=b
no-server = true
logto2 = /l2
log-date = %%Y
log-truncate = true
log-reopen = true
touch-logreopen = /r
log-maxsize = 10M
log-backupname = /b
log-4xx = true
log-5xx = true
log-zero = true
log-slow = 1500
log-big = 1M
pidfile2 = /p2
safe-pidfile = /sp
safe-pidfile2 = /sp2
no-orphans = true
master-as-root = true
limit-as = 512
limit-nproc = 10
max-fd = 4096
cpu-affinity = 2
thread-stack-size = 512
reload-on-rss = 300
reload-on-as = 1G
evil-reload-on-rss = 400
evil-reload-on-as = 2048
max-worker-lifetime = 3600
max-worker-lifetime-delta = 30
min-worker-lifetime = 20
exit-on-reload = true
reload-on-exception = true
reload-on-exception-type = OSError
reload-on-exception-value = gone away
reload-on-exception-repr = OSError:gone
touch-reload = /t
touch-workers-reload = /tw
touch-chain-reload = /tc
py-autoreload = 3
py-auto-reload-ignore = m
ignore-sigpipe = true
ignore-write-errors = true
disable-write-exception = true
write-errors-exception-only = true
write-errors-tolerance = 4
http-timeout = 90
so-keepalive = true
tcp-nodelay = true
so-send-timeout = 7
socket-sndbuf = 64k
socket-rcvbuf = 32768
reuse-port = true
freebind = true
close-on-exec = true
no-defer-accept = true
tcp-fast-open = 8
hook-master-start = unix_signal:15 gracefully_kill_them_all
";
    let (s, warnings) = ini("to-come", text).unwrap();
    // Each is warned about until the server reads it, and none for its value.
    assert!(warnings.iter().all(|w| w.contains(" is not supported yet: ")), "{warnings:#?}");
    let (seconds, path) = (Duration::from_secs, |text: &str| Some(PathBuf::from(text)));
    let texts = |text: &str| vec![text.to_owned()];
    let python = Python {
        unenv: vec!["A".into(), "B".into()],
        chdir2: path("/c"),
        optimize: 2,
        imports: texts("a.b"),
        shared_imports: texts("c"),
        fresh_environ: true,
        catch_exceptions: true,
        no_file_wrapper: true,
        add_headers: vec![("Connection".into(), "close".into()), ("X-A".into(), "b".into())],
    };
    assert_eq!(s.python, python);
    let always = Logged {
        status_4xx: true,
        status_5xx: true,
        empty: true,
        slower_than: Some(Duration::from_millis(1500)),
        larger_than: Some(1 << 20),
    };
    let log = Log {
        date: Some("%Y".into()),
        truncate: true,
        reopen: true,
        to2: path("/l2"),
        max_size: 10 << 20,
        backup: path("/b"),
        always,
    };
    assert_eq!(s.log, log);
    let pidfiles = PidFiles { second: path("/p2"), safe: path("/sp"), safe_second: path("/sp2") };
    assert_eq!(s.pidfiles, pidfiles);
    let limits = Limits {
        address_space: Some(512 << 20),
        processes: Some(10),
        descriptors: Some(4096),
        cpu_affinity: 2,
        thread_stack: Some(512 << 10),
    };
    assert_eq!(s.limits, limits);
    let recycle = Recycle {
        address_space: 1 << 30,
        resident: 300 << 20,
        evil_address_space: 2 << 30,
        evil_resident: 400 << 20,
        max_lifetime: Some(seconds(3600)),
        max_lifetime_delta: seconds(30),
        min_lifetime: Some(seconds(20)),
        exit_on_reload: true,
        on_exception: true,
        on_exception_type: texts("OSError"),
        on_exception_value: texts("gone away"),
        on_exception_repr: texts("OSError:gone"),
    };
    assert_eq!(s.recycle, recycle);
    let watch = Watch {
        python: Some(seconds(3)),
        python_ignore: texts("m"),
        reload: vec!["/t".into()],
        reload_workers: vec!["/tw".into()],
        reload_chain: vec!["/tc".into()],
        reopen_log: vec!["/r".into()],
    };
    assert_eq!(s.watch, watch);
    let errors = ClientErrors {
        ignore_sigpipe: true,
        ignore_write_errors: true,
        disable_write_exception: true,
        exception_only: true,
        tolerance: 4,
    };
    assert_eq!(s.client_errors, errors);
    let sockets = SocketOptions {
        keepalive: true,
        nodelay: true,
        send_timeout: Some(seconds(7)),
        send_buffer: Some(64 << 10),
        receive_buffer: Some(32768),
        reuse_port: true,
        free_bind: true,
        close_on_exec: true,
        defer_accept: false,
        fast_open: Some(8),
    };
    assert_eq!(s.socket_options, sockets);
    assert!(s.no_orphans && s.no_server && s.master_as_root && s.no_default_app);
    assert_eq!(s.http.timeout, seconds(90));
}

/// An option that does nothing yet must not keep a configuration from running.
#[test]
fn wrong_values_of_options_to_come_are_warnings() {
    let text = "[uwsgi]\nlog-slow = much\nhook-master-start = exec:ls\n";
    let (_, warnings) = ini("to-come-wrong", text).unwrap();
    assert_eq!(
        warnings,
        [
            "FILE:2: option \"log-slow\" is not supported yet: what is logged depends on disable-logging alone",
            "FILE:2: option \"log-slow\": \"much\" is not a whole number; write digits only, such as 4",
            "FILE:3: option \"hook-master-start\": this hook is not run; only unix_signal:15 gracefully_kill_them_all \
             is known, which needs no hook",
        ]
    );
}

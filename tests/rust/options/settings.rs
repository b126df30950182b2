//! What options set.

use super::*;

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
            settings.apps.mounts.iter_mut().for_each(|app| app.origin = Origin::Default);
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
    let apps: Vec<_> = s
        .apps
        .mounts
        .iter()
        .map(|a| (a.mountpoint.as_str(), a.source.clone(), a.callable.as_str()))
        .collect();
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
    assert_eq!(s.instance.chdir, Some("/srv".into()));
    assert_eq!(s.python.pythonpath, [PathBuf::from("/p"), "/q".into()]);
    assert_eq!(s.python.virtualenv, Some("/v".into()));
    assert_eq!(s.python.env, [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "x=y".to_owned())]);
    assert_eq!(
        (s.instance.processes, s.instance.threads, s.instance.lazy_apps, s.apps.need_app, s.instance.listen),
        (4, 2, true, false, Some(8192))
    );
    assert_eq!(
        (s.requests.buffer_size, s.requests.max_vars, s.requests.post_buffering, s.requests.limit_post),
        (65535, 128, 8192, 10 << 20)
    );
    assert_eq!(
        (s.requests.socket_timeout, s.instance.chmod_socket, s.instance.umask),
        (seconds(30), Some(0o664), Some(0o22))
    );
    assert_eq!(
        (s.instance.chown_socket.as_deref(), s.instance.uid.as_deref(), s.instance.gid.as_deref()),
        (Some("www:www"), Some("1000"), Some("www"))
    );
    assert!(
        s.supervise.vacuum && s.harakiri.verbose && s.log.x_forwarded_for && s.log.micros && !s.log.requests
    );
    assert_eq!((s.harakiri.timeout, s.harakiri.graceful_timeout), (Some(seconds(50)), Some(seconds(5))));
    assert_eq!((s.recycle.max_requests, s.recycle.max_requests_delta), (1000, 10));
    assert_eq!(
        (s.supervise.worker_reload_mercy, s.supervise.reload_mercy, s.supervise.boot_timeout),
        (seconds(5), seconds(6), None)
    );
    assert_eq!(
        (s.instance.pidfiles.first, s.instance.logto, s.python.pyargv),
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
    assert!(s.apps.manage_script_name && s.apps.dynamic_apps && s.instance.show_config);
    assert_eq!(s.written.len(), text.lines().count());
}

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
        let app = cli(line).apps.mounts.remove(0);
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
    assert_eq!(ok(&sources).settings.apps.mounts[0].source, AppSource::Object);
}

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
        catch_exceptions: true,
        no_file_wrapper: true,
        ..Python::default()
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
        reopen: true,
        max_size: 10 << 20,
        backup: path("/b"),
        always,
        ..Log::default()
    };
    assert_eq!(s.log, log);
    assert_eq!((s.instance.log_truncate, &s.instance.logto2), (true, &path("/l2")));
    let pidfiles =
        PidFiles { first: None, second: path("/p2"), safe: path("/sp"), safe_second: path("/sp2") };
    assert_eq!(s.instance.pidfiles, pidfiles);
    let limits = Limits { address_space: Some(512 << 20), processes: Some(10), descriptors: Some(4096) };
    assert_eq!(s.instance.limits, limits);
    assert_eq!(s.worker, Worker { cpu_affinity: 2, thread_stack: Some(512 << 10) });
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
        ..Recycle::default()
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
    let requests = Requests {
        add_headers: vec![("Connection".into(), "close".into()), ("X-A".into(), "b".into())],
        send_timeout: Some(seconds(7)),
        disable_write_exception: true,
        ..Requests::default()
    };
    assert_eq!(s.requests, requests);
    let sockets = SocketOptions {
        keepalive: true,
        send_buffer: Some(64 << 10),
        receive_buffer: Some(32768),
        reuse_port: true,
        free_bind: true,
        defer_accept: false,
        fast_open: Some(8),
    };
    assert_eq!(s.instance.socket_options, sockets);
    assert!(s.instance.no_server && s.instance.master_as_root && s.apps.no_default_app);
    assert_eq!(s.http.timeout, seconds(90));
}

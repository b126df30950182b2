//! `rwsgi check` and `rwsgi init`: what they say, and that what they write is taken by those it is for.

mod files;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use files::Files;
use rwsgi::config::check::{Report, Severity, State, check};
use rwsgi::config::*;

impl Files {
    fn sources(&self, line: &str) -> Sources {
        let arguments = line.split_whitespace().map(|a| self.long(a)).collect();
        Sources { arguments, ..Sources::default() }
    }

    /// Errors and warnings, each with its place.
    fn findings(&self, report: &Report) -> Vec<String> {
        let show = |f: &check::Finding| {
            let mark = if f.severity == Severity::Error { "E" } else { "W" };
            self.short(&format!("{mark} {}: {}", f.origin, f.text))
        };
        report.findings.iter().map(show).collect()
    }
}

fn found(test: &str, text: &str) -> Vec<String> {
    let files = Files::new(test);
    files.write("app.py", "");
    files.write("a.ini", &format!("[uwsgi]\nchdir = DIR\nwsgi-file = app.py\n{text}"));
    let mut findings = files.findings(&check(&files.sources("DIR/a.ini"), None));
    // Whether others can enter the directory for temporary files is not for this test.
    findings.retain(|finding| !finding.contains("cannot enter"));
    findings
}

#[test]
fn a_good_configuration_has_nothing_to_say() {
    let text = "socket = DIR/a.sock\nchmod-socket = 666\nmaster = true\nprocesses = 2\nthreads = 4\nharakiri = 30\nvacuum = true\n";
    assert_eq!(found("good", text), Vec::<String>::new());
}

#[test]
fn what_is_wrong_is_found() {
    for (lines, finding) in [
        ("procesess = 4", "W DIR/a.ini:4: unknown option \"procesess\"; did you mean \"processes\"?"),
        ("set-ph = x=1", "W DIR/a.ini:4: placeholder \"x\" is not used; %(x) would read it"),
        (
            "processes = four",
            "E DIR/a.ini:4: option \"processes\": \"four\" is not a whole number; write digits only, such as 4",
        ),
        (
            "http = :8080\nhttp-socket = 127.0.0.1:8080",
            "E DIR/a.ini:5: \"127.0.0.1:8080\" is the address of \":8080\" (DIR/a.ini:4) too",
        ),
        (
            "stats = DIR/none/stats.sock",
            "E DIR/a.ini:4: directory \"DIR/none\" of the socket does not exist; create it",
        ),
        ("stats = DIR/app.py", "E DIR/a.ini:4: \"DIR/app.py\" exists and is no socket"),
        (
            "stats = a:b",
            "E DIR/a.ini:4: option \"stats\": \"a:b\" is no address; write host:port, :port, [v6]:port, a path, @name or fd://N",
        ),
        (
            "socket = DIR/none/a.sock\nchmod = 666",
            "E DIR/a.ini:4: directory \"DIR/none\" of the socket does not exist; create it",
        ),
        ("socket = DIR/app.py\nchmod = 666", "E DIR/a.ini:4: \"DIR/app.py\" exists and is no socket"),
        (
            "socket = DIR/a.sock",
            "W DIR/a.ini:4: nginx may not write to \"DIR/a.sock\" if it runs as another user; write chmod-socket = 660 and chown-socket = USER:www-data, or chmod-socket = 666",
        ),
        (
            "pidfile = DIR/none/a.pid",
            "E DIR/a.ini:4: directory \"DIR/none\" does not exist; create it, or choose another path",
        ),
        ("logto = DIR", "E DIR/a.ini:4: \"DIR\" is a directory; name a file in it"),
        ("chdir = DIR/none\nwsgi-file = DIR/app.py", "E DIR/a.ini:4: directory \"DIR/none\" does not exist"),
        ("virtualenv = DIR", "E DIR/a.ini:4: \"DIR\" is no virtualenv: there is no bin/python in it"),
        ("pythonpath = none", "W DIR/a.ini:4: \"none\" does not exist; nothing is found there"),
        ("mount = /x=none.py", "E DIR/a.ini:4: file \"none.py\" does not exist in \"DIR\""),
        (
            "harakiri = 300",
            "W DIR/a.ini:4: harakiri after 300 s, but nginx gives up after 60 s unless uwsgi_read_timeout is higher: clients see a 504 while the request goes on",
        ),
        (
            "max-requests = 5",
            "W DIR/a.ini:4: workers are replaced after 5 requests, and each replacement loads the application; 1000 and more are usual",
        ),
        (
            "socket = 0.0.0.0:3031",
            "W DIR/a.ini:4: \"0.0.0.0:3031\" speaks uwsgi to the whole network, which trusts whoever connects; bind 127.0.0.1 or a unix socket",
        ),
        (
            "uid = root",
            "W DIR/a.ini:4: the application runs as root: whoever finds a hole in it owns the machine",
        ),
        ("manage-script-name = 1", "W DIR/a.ini:4: \"manage-script-name\" has no effect without \"mount\""),
        ("harakiri-verbose = 1", "W DIR/a.ini:4: \"harakiri-verbose\" has no effect without \"harakiri\""),
        ("ini = DIR/none.ini", "E DIR/a.ini:4: cannot read \"DIR/none.ini\": No such file or directory"),
    ] {
        let findings = found("wrong", lines);
        assert!(findings.contains(&finding.to_owned()), "{lines}: {findings:#?}");
    }
    let findings = found("listen", "listen = 4000000000");
    assert!(findings[0].starts_with("W DIR/a.ini:4: the kernel cuts 4000000000 to "), "{findings:?}");
    let findings = found("memory", "processes = 4096");
    let is_large = findings.is_empty();
    assert!(is_large || findings[0].contains("4096 processes take 163840 MiB and more"), "{findings:?}");
    let findings = found("module", "mount=/x=no.such.module");
    let expected = "W DIR/a.ini:4: module \"no.such.module\" is not there: there is no \"no\" in DIR; the Python that starts rwsgi must find it elsewhere";
    assert_eq!(findings, [expected]);
}

#[test]
fn every_error_is_listed() {
    let findings = found("all", "processes = x\nthreads = y\nchmod-socket = z\n");
    assert_eq!(findings.iter().filter(|f| f.starts_with("E ")).count(), 3, "{findings:#?}");
}

#[test]
fn each_line_has_a_state() {
    let files = Files::new("state");
    files.write("a.ini", "[uwsgi]\nthreads = 2\nharakiri = x\nmaster = true\nroute = x\nlua = x\nv = 1\nw = %(v)\nif-env = NO\nuid = 1\nendif\n");
    let report = check(&files.sources("--ini DIR/a.ini"), None);
    let states: Vec<(String, State)> = report.lines.into_iter().map(|l| (l.option.name, l.state)).collect();
    let expected = [
        ("ini", State::Works),
        ("threads", State::Works),
        ("harakiri", State::Wrong),
        ("master", State::Accepted),
        ("route", State::Planned),
        ("lua", State::Refused),
        ("v", State::Variable),
        ("w", State::Unknown),
        ("if-env", State::Works),
        ("endif", State::Works),
        ("uid", State::Skipped),
    ];
    assert_eq!(states, expected.map(|(name, state)| (name.to_owned(), state)));
}

#[test]
fn reports() {
    let files = Files::new("report");
    files.write("mysite/wsgi.py", "");
    files.write("a.ini", "[uwsgi]\nchdir = DIR\nmodule = mysite.wsgi\nprocesses = 2\nprocesess = 4\n");
    let outcome = command(&files.sources("check DIR/a.ini"), false, None).unwrap();
    let text = files.short(&outcome.output);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(lines[0], "DIR/a.ini");
    assert!(lines[1].starts_with("   2  chdir = ") && lines[1].ends_with(" ok"), "{}", lines[1]);
    assert!(lines[4].starts_with("   5  procesess = 4 ") && lines[4].ends_with(" unknown"), "{}", lines[4]);
    assert_eq!(lines[5], "      warning: unknown option \"procesess\"; did you mean \"processes\"?");
    assert!(
        lines.iter().any(|l| l.starts_with("    processes = 2 ") && l.ends_with(" DIR/a.ini:4")),
        "{text}"
    );
    assert!(lines.iter().any(|l| l.starts_with("    threads = 1 ") && l.ends_with(" default")), "{text}");
    assert_eq!(lines.last(), Some(&"0 errors, 1 warning"));
    assert_eq!(outcome.status, 0);
    assert_eq!(command(&files.sources("check --strict DIR/a.ini"), false, None).unwrap().status, 1);
    assert_eq!(
        command(&files.sources("check --strict DIR/a.ini --threads x"), false, None).unwrap().status,
        2
    );
    assert!(
        command(&files.sources("check DIR/a.ini"), true, None)
            .unwrap()
            .output
            .contains("\x1b[33mwarning\x1b[0m")
    );
    let json = command(&files.sources("check --output json DIR/a.ini"), false, None).unwrap().output;
    let json: serde_json::Value = serde_json::from_str(&files.short(&json)).unwrap();
    assert_eq!(json["findings"][0]["severity"], "warning");
    assert_eq!(
        (&json["findings"][0]["file"], &json["findings"][0]["line"]),
        (&"DIR/a.ini".into(), &5.into())
    );
    assert_eq!(json["lines"][2]["value"], "2");
    assert_eq!(command(&files.sources("check"), false, None).unwrap().status, 2);
    assert_eq!(command(&files.sources("DIR/a.ini"), false, None), None);
}

/// Runs a program, when the machine has it.
fn run(program: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Some((output.status.success(), text))
}

#[test]
fn what_init_writes_is_taken() {
    let files = Files::new("init");
    for (flags, expected) in [
        ("--django=shop --directory DIR --nginx --output DIR", 0),
        ("--module shop.wsgi:application --directory DIR --output DIR --force", 0),
        ("--django=shop --directory DIR --nginx --systemd --supervisor --user root --output DIR --force", 0),
    ] {
        let outcome = command(&files.sources(&format!("init {flags}")), false, None).unwrap();
        assert_eq!(outcome.status, expected, "{}", outcome.errors);
        outcome.write().unwrap();
        files.write("shop/wsgi.py", "");
        let report = check(&files.sources("DIR/rwsgi.ini"), None);
        let findings = files.findings(&report);
        assert!(findings.iter().all(|f| f.contains("/run/shop")), "{flags}: {findings:?}");
        assert!(report.lines.iter().all(|l| matches!(l.state, State::Works | State::Accepted)));
    }
    let again = command(&files.sources("init --output DIR"), false, None).unwrap();
    assert!(again.write().unwrap_err().ends_with("rwsgi.ini exists already; --force overwrites it"));
    files.write("nginx.conf", "pid DIR/nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\n    access_log off;\n    include DIR/shop.nginx.conf;\n}\n");
    // nginx binds what it tests, and port 80 is not for everyone.
    let site = files.0.join("shop.nginx.conf");
    let text = std::fs::read_to_string(&site).unwrap();
    assert!(text.contains("    listen 80;\n"));
    files.write("shop.nginx.conf", &text.replace("listen 80;", "listen unix:DIR/nginx.sock;"));
    let nginx = files.0.join("nginx.conf");
    if let Some((ok, text)) = run("nginx", &["-t", "-c", &nginx.to_string_lossy()]) {
        assert!(ok, "{text}");
    }
    files.write(".venv/bin/rwsgi", "#!/bin/sh\n");
    let program = files.0.join(".venv/bin/rwsgi");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let units =
        [files.0.join("shop.service"), files.0.join("shop.socket")].map(|p| p.to_string_lossy().into_owned());
    if let Some((ok, text)) = run("systemd-analyze", &["verify", &units[0], &units[1]]) {
        assert!(!text.contains("shop."), "{ok}: {text}");
    }
}

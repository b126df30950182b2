//! What is said of an option that cannot be meant.

use super::*;

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
    assert!(settings.supervise.vacuum && settings.instance.processes == 4);
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
    assert_eq!(settings.harakiri.timeout, Some(Duration::from_secs(20)));
    assert_eq!(warnings, ["FILE:3: option \"harakiri\" is empty and is not used"]);
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

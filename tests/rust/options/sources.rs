//! Where options stand, and which of two wins.

use super::*;

#[test]
fn names_that_values_read_are_variables() {
    let text = "[uwsgi]\nbase = /srv\nunused = 1\nset-ph = spare=2\nchdir = %(base)/app\n";
    let (settings, warnings) = ini("variables", text).unwrap();
    assert_eq!(settings.instance.chdir.as_deref(), Some(Path::new("/srv/app")));
    assert_eq!(warnings, ["FILE:3: unknown option \"unused\"; see the list of options"]);
}

#[test]
fn later_wins() {
    let files = Files::new("order");
    let path = files.write("site.ini", "[uwsgi]\nprocesses = 3\n[more]\nprocesses = 9\n");
    assert_eq!(cli(&format!("--processes 5 --ini {path}")).instance.processes, 3);
    assert_eq!(cli(&format!("--ini {path} --processes 5")).instance.processes, 5);
    assert_eq!(cli(&format!("--ini {path}:more")).instance.processes, 9);
    assert_eq!(cli(&format!("--ini {path} --ini :more")).instance.processes, 9);
    let loaded = ok(&command_line(&format!("{path} -p 5")));
    assert_eq!(loaded.settings.instance.processes, 3);
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
    assert_eq!((settings.instance.processes, settings.instance.threads), (6, 2));
    assert_eq!(settings.instance.pidfiles.first, Some("base.site.pid".into()));
    let names: Vec<&str> = settings.written.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(names, ["ini", "threads", "ini", "processes", "threads", "pidfile", "processes"]);
}

#[test]
fn a_file_that_includes_itself_is_an_error() {
    let error = ini("self", "[uwsgi]\nini = %p\n").unwrap_err();
    assert_eq!(error, "FILE:2: files name each other 16 levels deep; look for a file that includes itself");
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
    assert_eq!((settings.instance.threads, settings.recycle.max_requests), (4, 10));
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
fn keywords() {
    let pair = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    let keywords = vec![pair("http_socket", ":1"), pair("http_socket", ":2"), pair("need_app", "false")];
    let settings = ok(&Sources { keywords, ..Sources::default() }).settings;
    assert_eq!(settings.listeners.len(), 2);
    assert!(!settings.apps.need_app);
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
    assert_eq!(settings.instance.processes, cores * 4);
    assert_eq!(settings.listeners[0].address, Address::Unix("/tmp/site.sock".into()));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let files = Files::new("dash");
    let path = files.write("a.ini", "[uwsgi]\nthreads = 3\n");
    let loaded = ok(&command_line(&format!("-ini {path}")));
    assert_eq!(loaded.settings.instance.threads, 3);
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

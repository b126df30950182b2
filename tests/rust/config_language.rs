//! The language of configuration files: blocks, placeholders, formats, and files that name each other.

mod files;

use std::time::{Duration, Instant};

use files::Files;
use rwsgi::config::*;

impl Files {
    /// What `load` says, `DIR` standing for this directory.
    fn load(&self, arguments: &[&str]) -> Result<Loaded, String> {
        let environment = [("HOME", "/home/me"), ("EMPTY", "")];
        let environment = environment.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
        let arguments = arguments.iter().map(|a| self.long(a)).collect();
        let sources = Sources { arguments, environment, ..Sources::default() };
        load(&sources).map_err(|e| self.short(&e))
    }

    fn warnings(&self, loaded: &Loaded) -> Vec<String> {
        loaded.warnings.iter().map(|w| self.short(w)).collect()
    }
}

/// The options of the section, `name=value` each, after the one that names the file.
fn options(test: &str, text: &str) -> Result<Vec<String>, String> {
    let files = Files::new(test);
    files.write("a.ini", &format!("[uwsgi]\n{text}"));
    let loaded = files.load(&["--ini", "DIR/a.ini"])?;
    Ok(files.short(&written(&loaded).join("\n")).lines().skip(1).map(str::to_owned).collect())
}

fn written(loaded: &Loaded) -> Vec<String> {
    let line = |w: &Written| format!("{}={}", w.name, w.value.as_deref().unwrap_or("-"));
    loaded.settings.written.iter().map(line).collect()
}

/// Only the lines whose names are a letter.
fn letters(test: &str, text: &str) -> String {
    let lines = options(test, text).unwrap_or_else(|e| panic!("{e}"));
    lines.into_iter().filter(|line| line[1..].starts_with('=')).collect::<Vec<_>>().join(" ")
}

// Blocks

#[test]
fn loops_repeat_each_line() {
    for (text, expected) in [
        ("for = x y  z\na=%(_)%(_)\nb=1\nendfor\nc=%(_)\n", "a=xx a=yy a=zz b=1 b=1 b=1 c=%(_)"),
        ("for-times = 3\na=%(_)\nend-for\n", "a=1 a=2 a=3"),
        ("for-times = 0\na=%(_)\nend\nb=2\n", "b=2"),
        ("for =\na=1\nendfor\nb=2\n", "b=2"),
        ("for-glob = DIR/*.ini\na=%(_)\nendfor\n", "a=DIR/a.ini"),
        ("for-glob = DIR/none*\na=%(_)\nendfor\nb=1\n", "a=DIR/none* b=1"),
        ("for-glob = /et[c]\na=%(_)\nendfor\n", "a=/etc/"),
        (
            "for-readline = DIR/a.ini\na=%(_)\nendif\nb=1\n",
            "a=[uwsgi] a=for-readline = DIR/a.ini a=a=%%(_) a=endif a=b=1 b=1",
        ),
        ("n=x y\nfor = %(n) $(HOME)\na=%(_)\nendfor\n", "n=x y a=x a=y a=/home/me"),
        ("for = x y\nset=k=%(_)\nendfor\nb=%(k)\n", "k=x k=y b=x"),
    ] {
        assert_eq!(letters("loops", text).replace("a=a=%(_)", "a=a=%%(_)"), expected, "{text}");
    }
}

#[test]
fn conditions() {
    for (condition, item) in [
        ("if-env = HOME", "/home/me"),
        ("ifenv = HOME=/home/me", "/home/me"),
        ("if-not-env = HOME=/x", "/home/me"),
        ("if-not-env = NONE", "%(_)"),
        ("if-opt = q", "7"),
        ("if-opt = q=7", "7"),
        ("if-not-opt = q=8", "7"),
        ("if-not-opt = none", "%(_)"),
        ("if-exists = /etc", "/etc"),
        ("if-dir = $(ROOT:-/etc)", "/etc"),
        ("if-not-exists = /no/such", "/no/such"),
        ("if-file = /etc/passwd", "/etc/passwd"),
        ("if-not-file = /etc", "/etc"),
        ("if-dir = /etc", "/etc"),
        ("ifdir = /etc", "/etc"),
        ("if-directory = /etc", "/etc"),
        ("if-not-dir = /etc/passwd", "/etc/passwd"),
        ("if-plugin = python3", "python3"),
        ("if-not-plugin = lua", "lua"),
        ("if-not-hostname = no.such.host", "no.such.host"),
        ("if-hostname-match = ^.", "^."),
        ("if-not-hostname-match = ^$", "^$"),
        ("if-not-reload =", "%(_)"),
    ] {
        let text = format!("set-ph=q=7\n{condition}\na=%(_)\nendif\nb=1\n");
        assert_eq!(letters("conditions", &text), format!("q=7 a={item} b=1"), "{condition}");
        let (name, value) = condition.split_once(' ').unwrap();
        let opposite = match name.strip_prefix("if-not-") {
            Some(rest) => format!("if-{rest} {value}"),
            None => format!("if-not-{} {value}", name.trim_start_matches("if-").trim_start_matches("if")),
        };
        let opposite = opposite.replace("if-not-directory", "if-not-dir");
        let text = format!("set-ph=q=7\n{opposite}\na=%(_)\nendif\nb=1\n");
        assert_eq!(letters("conditions", &text), "q=7 b=1", "{opposite}");
    }
}

#[test]
fn blocks_as_uwsgi_has_them() {
    // Every line asks anew what stands above it.
    assert_eq!(letters("anew", "if-not-opt=a\na=1\na=2\nendif\n"), "a=1");
    // A block that is not read hides the beginning of the next one, whose end is its own.
    assert_eq!(letters("hidden", "if-opt=no\nif-env=HOME\na=1\nendif\nb=2\nendif\nc=3\n"), "b=2 c=3");
    // A file that is named in a loop is read in each turn.
    let files = Files::new("turns");
    files.write("a.ini", "[uwsgi]\nfor = x y\nini = DIR/%(_).ini\nendfor\nc=1\n");
    files.write("x.ini", "[uwsgi]\na=%(_)%n\nendif\n");
    files.write("y.ini", "[uwsgi]\nb=%n\n");
    let loaded = files.load(&["DIR/a.ini"]).unwrap();
    let lines: Vec<String> = written(&loaded).into_iter().filter(|l| !l.starts_with("ini")).collect();
    assert_eq!(lines, ["for=x y", "a=%(_)x", "endif=", "b=y", "endfor=", "c=1"]);
    // Conditions on the command line.
    let loaded = files.load(&[
        "--if-env",
        "HOME",
        "--threads",
        "3",
        "--endif",
        "--if-env=NO",
        "--threads=4",
        "--endif",
    ]);
    assert_eq!(loaded.unwrap().settings.instance.threads, 3);
}

#[test]
fn blocks_that_are_wrong() {
    for (text, error) in [
        (
            "if-env=HOME\nfor=a b\n",
            "DIR/a.ini:3: \"for\" stands inside \"if-env\" (DIR/a.ini:2); blocks cannot stand in each other; close \"if-env\" before",
        ),
        (
            "for-times=1000000000\na=1\nendfor",
            "DIR/a.ini:2: option \"for-times\": a configuration has at most 100000 options, this one has 1000000000 turns; repeat less often",
        ),
        (
            "for-times=many\n",
            "DIR/a.ini:2: option \"for-times\": \"many\" is not a whole number; write how often the lines are read, such as 4",
        ),
        (
            "for-times=60000\na=1\nb=2\nendfor\n",
            "DIR/a.ini:4: more than 100000 options; look for a loop that repeats too often",
        ),
        (
            "for-readline=/no/such\n",
            "DIR/a.ini:2: option \"for-readline\": cannot read \"/no/such\": No such file or directory",
        ),
        (
            "if-env\n",
            "DIR/a.ini:2: option \"if-env\" needs a value; write if-env = VALUE (read the lines up to endif if a variable is set: NAME or NAME=VALUE)",
        ),
    ] {
        let start = Instant::now();
        assert_eq!(options("wrong", text).unwrap_err(), error, "{text}");
        assert!(start.elapsed() < Duration::from_secs(5), "{text}");
    }
    let error = options("regex", "if-hostname-match = (\n").unwrap_err();
    assert!(error.starts_with("DIR/a.ini:2: \"(\" is no regular expression"), "{error}");
    let files = Files::new("unclosed");
    files.write("a.ini", "[uwsgi]\nif-env=HOME\nthreads=2\n");
    let loaded = files.load(&["DIR/a.ini"]).unwrap();
    assert_eq!(
        files.warnings(&loaded),
        ["DIR/a.ini:2: \"if-env\" is not closed in this file; write endif behind its last line"]
    );
}

// Placeholders

#[test]
fn declared_options() {
    let text = "declare-option = site=set=a=$1;set=b=$2 $1\nsite = x y\nc=%(a)\n";
    assert_eq!(letters("declared", text), "a=x b=y x c=x");
    let text = "declare-option2 = late=a=$1\nlate = x\nb=1\n";
    assert_eq!(letters("declared2", text), "b=1 a=x");
    let error = options("loop", "declare-option = r=r=$1\nr=x\n").unwrap_err();
    assert!(error.starts_with("DIR/a.ini:3: files name each other 16 levels deep"), "{error}");
    let error = options("explosion", "declare-option = r=r=$1;r=$1;r=$1;r=$1;r=$1;r=$1\nr=x\n").unwrap_err();
    assert!(error.starts_with("DIR/a.ini:3: "), "{error}");
}

#[test]
fn words_of_the_language() {
    let files = Files::new("words");
    files.write(
        "a.ini",
        "[uwsgi]\nprint = p %(later)\niprint = i\nset-ph = later=1\nresolve = l=127.0.0.1\nno-server=true\n",
    );
    let loaded = files.load(&["DIR/a.ini"]).unwrap();
    assert_eq!(loaded.messages, ["i", "p 1"]);
    assert!(loaded.settings.instance.no_server && written(&loaded).contains(&"l=127.0.0.1".to_owned()));
    for (line, code) in [("exit", 1), ("exit = 3", 3), ("exit = no", 0), ("exit = 256", 0)] {
        files.write("a.ini", &format!("[uwsgi]\n{line}\nini = /no/such\n"));
        assert_eq!(files.load(&["DIR/a.ini"]).unwrap().action, Action::Exit(code), "{line}");
    }
    for (text, error) in [
        ("blacklist = threads x\nthreads=2\n", "option \"threads\" is forbidden by a blacklist"),
        ("whitelist = threads x\nthreads=2\nuid=2\n", "option \"uid\" is forbidden by a whitelist"),
    ] {
        let found = options("lists", text).unwrap_err();
        assert!(found.ends_with(error), "{found}");
    }
    assert_eq!(
        letters("lists", "blacklist=a\nb=1\nend-blacklist\na=1\nwhitelist=c\nc=1\nend-whitelist\na=2\n"),
        "b=1 a=1 c=1 a=2"
    );
}

#[test]
fn a_fallback_is_read_when_something_is_wrong() {
    let files = Files::new("fallback");
    files.write("a.ini", "[uwsgi]\nfallback-config = DIR/b.ini\nthreads = 2\nprocesses = x\n");
    files.write("b.ini", "[uwsgi]\nprocesses = 3\n");
    let loaded = files.load(&["--threads=9", "DIR/a.ini"]).unwrap();
    assert_eq!((loaded.settings.instance.processes, loaded.settings.instance.threads), (3, 1));
    assert_eq!(
        files.warnings(&loaded),
        [
            "DIR/a.ini:4: option \"processes\": \"x\" is not a whole number; \"DIR/b.ini\" is read instead (fallback-config)"
        ]
    );
    files.write("b.ini", "[uwsgi]\nfallback-config = DIR/b.ini\nprocesses = y\n");
    assert!(files.load(&["DIR/a.ini"]).unwrap_err().starts_with("DIR/b.ini:3: "));
}

// Sources

#[test]
fn the_same_in_every_format() {
    let files = Files::new("formats");
    files.write(
        "a.ini",
        "[uwsgi]\nsocket = DIR/%n.sock\nsocket = :2\nprocesses = 4\nmaster = true\nset-ph = x=%c\n",
    );
    files.write("a.xml", "<uwsgi>\n<socket>DIR/%n.sock</socket>\n<socket>:2</socket>\n<processes>4</processes>\n<master>true</master>\n<set-ph>x=%c</set-ph>\n</uwsgi>");
    files.write(
        "a.yaml",
        "uwsgi:\n  socket: [DIR/%n.sock, ':2']\n  processes: 4\n  master: true\n  set-ph: x=%c\n",
    );
    files.write("a.json", "{\"uwsgi\": {\"socket\": [\"DIR/%n.sock\", \":2\"], \"processes\": 4, \"master\": \"true\", \"set-ph\": \"x=%c\"}}");
    files.write(
        "a.toml",
        "[tool.rwsgi]\nsocket = [\"DIR/%n.sock\", \":2\"]\nprocesses = 4\nmaster = true\nset-ph = \"x=%c\"\n",
    );
    let expected = written(&files.load(&["DIR/a.ini"]).unwrap());
    for name in ["xml", "yaml", "json", "toml"] {
        let path = format!("DIR/a.{name}");
        assert_eq!(written(&files.load(&[&path]).unwrap()), expected, "{name}");
        assert_eq!(written(&files.load(&["--config", &path]).unwrap())[1..], expected, "{name}");
        assert_eq!(written(&files.load(&[&format!("--{name}"), &path]).unwrap())[1..], expected, "{name}");
    }
    assert_eq!(files.load(&["DIR/a.ini"]).unwrap().settings.listeners.len(), 2);
}

#[test]
fn files_name_files_of_other_formats() {
    let files = Files::new("mixed");
    files.write("a.ini", "[uwsgi]\nthreads=2\nini = :more\nxml = %db.xml\nyaml = %dc.yml\njson=%dd.json:x\ninherit = %de.ini\nlast=%(l)\n[more]\nm=%n\n");
    files.write("b.xml", "<uwsgi><b>%n%N</b><include>%de.ini</include></uwsgi>");
    files.write("c.yml", "uwsgi:\n  c: %n\n");
    files.write("d.json", "{\"x\": {\"d\": \"%x\"}}");
    files.write("e.ini", "[uwsgi]\nl = %s\n");
    let loaded = files.load(&["DIR/a.ini"]).unwrap();
    let plain = ["xml", "yaml", "json", "include", "ini", "inherit"];
    let lines: Vec<String> =
        written(&loaded).into_iter().filter(|l| !plain.contains(&l.split('=').next().unwrap())).collect();
    assert_eq!(lines, ["threads=2", "m=a", "b=ba", "l=e.ini", "c=c", "d=x", "last=e.ini", "l=e.ini"]);
}

#[test]
fn what_is_injected_is_part_of_each_file() {
    let files = Files::new("inject");
    files.write("before.txt", "[uwsgi]\na=1\n");
    files.write("after.txt", "nonsense=1\n");
    files.write("a.ini", "b=2\nc=x y ; z\n");
    let loaded = files
        .load(&["--inject-before", "DIR/before.txt", "--inject-after", "DIR/after.txt", "DIR/a.ini"])
        .unwrap();
    assert_eq!(written(&loaded)[2..], ["a=1", "b=2", "c=x y ; z", "nonsense=1"]);
    let warnings = files.warnings(&loaded);
    assert!(warnings[0].starts_with("DIR/a.ini:2: the value of \"c\""), "{warnings:?}");
    assert!(
        warnings.iter().any(|w| w.starts_with("DIR/after.txt:1: unknown option \"nonsense\"")),
        "{warnings:?}"
    );
}

#[test]
fn commands_and_descriptors() {
    let files = Files::new("exec");
    files.write("a.ini", "[uwsgi]\nthreads = 3\nx=@(exec://echo hi)\n");
    let loaded = files.load(&["--ini", "exec://cat DIR/a.ini"]).unwrap();
    assert_eq!(loaded.settings.instance.threads, 3);
    assert_eq!(written(&loaded)[2], "x=hi");
    let file = std::fs::File::open(files.path("a.ini")).unwrap();
    let name = format!("fd://{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    assert_eq!(files.load(&["--ini", &name]).unwrap().settings.instance.threads, 3);
    let error = files.load(&["--ini", "exec://exit 3"]).unwrap_err();
    assert_eq!(error, "command line: cannot read \"exec://exit 3\": the command failed: exit status: 3");
}

#[test]
fn mistakes_in_other_formats() {
    let files = Files::new("mistakes");
    for (name, text, error) in [
        ("a.xml", "<uwsgi>\n<a>1</b></uwsgi>", "DIR/a.xml:2: this is no XML"),
        (
            "a.xml",
            "<uwsgi>\n<a>&x;</a></uwsgi>",
            "DIR/a.xml:2: unknown entity \"&x;\"; write the text itself",
        ),
        ("a.yaml", "uwsgi:\n  a: 1\n\tb: 2\n", "DIR/a.yaml:2: this is no YAML"),
        ("a.xml", "<a/>", "DIR/a.xml:1: there is no element <uwsgi>; options stand in it"),
        (
            "a.xml",
            "<uwsgi><h><i/></h></uwsgi>",
            "DIR/a.xml:1: <i> stands in <h>; an option has no elements in it",
        ),
        ("a.json", "{\"uwsgi\": {\n\"a\" 1}}", "DIR/a.json:2: this is no JSON: expected `:`"),
        ("a.toml", "[uwsgi]\na = x\n", "DIR/a.toml:2: this is no TOML"),
        (
            "a.yml",
            "uwsgi:\n  processes: many\n",
            "DIR/a.yml:2: option \"processes\": \"many\" is not a whole number",
        ),
    ] {
        files.write(name, text);
        let found = files.load(&[&format!("DIR/{name}")]).unwrap_err();
        assert!(found.starts_with(error), "{found}");
    }
    let error = files.load(&["--include", "DIR/site.conf"]).unwrap_err();
    assert!(
        error.starts_with("command line: the name \"DIR/site.conf\" does not say what kind of file it is"),
        "{error}"
    );
    for (name, text) in [("b.ini", "[a]"), ("b.yaml", "a: 1"), ("b.json", "{}"), ("b.toml", "a = 1")] {
        files.write(name, text);
        let loaded = files.load(&[&format!("DIR/{name}")]).unwrap();
        let warnings = files.warnings(&loaded);
        assert!(warnings[0].contains("nothing is read from this file"), "{warnings:?}");
    }
}

/// What a text of each format would say for these options.
fn in_format(format: Format, options: &[(&str, &str)]) -> String {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let names: Vec<&str> = options.iter().map(|(name, _)| *name).collect();
    let firsts =
        names.iter().enumerate().filter(|(i, name)| !names[..*i].contains(name)).map(|(_, name)| *name);
    let lists = |between: &str| {
        let list = |name: &str| {
            let values = options.iter().filter(|(n, _)| *n == name).map(|(_, value)| quoted(value));
            values.collect::<Vec<_>>().join(", ")
        };
        firsts.clone().map(|name| format!("\"{name}\"{between} [{}]", list(name))).collect::<Vec<_>>()
    };
    let each = |line: fn(&str, &str) -> String| options.iter().map(|(n, v)| line(n, v)).collect::<String>();
    let escaped = |name: &str, value: &str| {
        let value = value.replace('&', "&amp;").replace('<', "&lt;");
        format!("<{name}>{value}</{name}>\n")
    };
    match format {
        Format::Ini => format!("[uwsgi]\n{}", each(|name, value| format!("{name} = {value}\n"))),
        Format::Xml => format!("<uwsgi>\n{}</uwsgi>\n", each(escaped)),
        Format::Yaml => format!("uwsgi:\n  {}\n", lists(":").join("\n  ")),
        Format::Json => format!("{{\"uwsgi\": {{{}}}}}\n", lists(":").join(",\n")),
        Format::Toml => format!("[tool.rwsgi]\n{}\n", lists(" =").join("\n")),
    }
}

/// Repeated options stand together here, for lists cannot say otherwise.
#[test]
fn one_configuration_in_every_format() {
    let tables: &[&[(&str, &str)]] = &[
        &[("socket", ":1"), ("socket", "/tmp/a.sock"), ("processes", "4"), ("vacuum", "true")],
        &[("root", "/srv/%%n"), ("chdir2", "%(root)/x"), ("env", "A=%(root)=1"), ("env", "B=a # b & <c>")],
        &[("env", "HERE=$(HOME) $(NONE:-none) $(EMPTY)"), ("procname", "ä ü 日本"), ("env2", "\\\"'")],
        &[("if-env", "HOME"), ("threads", "2"), ("endif", "1"), ("procname", "%n.%x")],
        &[("for", "a b"), ("env", "X=%(_)"), ("endfor", "1")],
        &[("max-requests", "%(processes * 10)"), ("processes", "3"), ("strict", "false")],
        &[
            ("set", "x=1"),
            ("set", "y=2"),
            ("pyargv", "%(x) %(y)"),
            ("declare-option", "both=env=A=$1;env=B=$2"),
            ("both", "p q"),
        ],
    ];
    for (i, options) in tables.iter().enumerate() {
        let files = Files::new(&format!("formats-{i}"));
        let read = |format: Format| {
            let name = format!("DIR/a.{}", format.option());
            files.write(&format!("a.{}", format.option()), &in_format(format, options));
            let loaded =
                files.load(&[&format!("--{}", format.option()), &name]).unwrap_or_else(|e| panic!("{e}"));
            let lines =
                written(&loaded).into_iter().skip(1).map(|line| line.replace(format.option(), "FORMAT"));
            lines.collect::<Vec<_>>()
        };
        let expected = read(Format::Ini);
        assert!(expected.len() >= options.len());
        for format in Format::ALL {
            assert_eq!(read(format), expected, "{format:?}");
        }
    }
}

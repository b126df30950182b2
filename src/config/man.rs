//! The man page, generated from the rows.

use super::docs::{is_built, placeholder, themes};
use super::row::{Row, Status};

const HEAD: &str = r#".TH RWSGI 1 "" "rwsgi VERSION" "User Commands"
.SH NAME
rwsgi \- application server for WSGI sites
.SH SYNOPSIS
.B rwsgi
[\fIoptions\fR] [\fIFILE.ini\fR | \fIFILE.py\fR | \fIMODULE:CALLABLE\fR]
.br
.B rwsgi check
[\fB\-\-strict\fR] [\fB\-\-output\fR \fItext\fR|\fIjson\fR] \fIFILE\fR...
.br
.B rwsgi init
[\fB\-\-django\fR[=\fIPROJECT\fR]] [\fB\-\-nginx\fR] [\fB\-\-systemd\fR] [\fB\-\-supervisor\fR]
.br
.B rwsgi top
[\fB\-\-once\fR] [\fB\-\-json\fR] [\fB\-\-interval\fR \fISECONDS\fR] \fIADDR\fR
.br
.B rwsgi stacks
[\fB\-\-worker\fR \fIN\fR] [\fB\-\-json\fR] \fIADDR\fR
.br
.B rwsgi profile
[\fB\-\-seconds\fR \fIS\fR] [\fB\-\-hz\fR \fIH\fR] [\fB\-\-worker\fR \fIN\fR] [\fB\-o\fR \fIFILE\fR] \fIADDR\fR
.SH DESCRIPTION
Serves a WSGI application. The options are those of uWSGI; each can stand on the command line, in a file (ini, XML,
YAML, JSON, TOML; without dashes), in the environment (RWSGI_MAX_REQUESTS) and in rwsgi.serve(max_requests=...).
.SH OPTIONS
"#;

const TAIL: &str = r#".SH EXIT STATUS
0 after a graceful stop, another number when the server could not start.
.SH SIGNALS
TERM, INT and QUIT stop gracefully, HUP reloads.
"#;

/// The page in the language of man(7).
pub fn man() -> String {
    let mut out = HEAD.replace("VERSION", env!("CARGO_PKG_VERSION"));
    for (theme, rows) in themes() {
        let known: Vec<&Row> = rows.into_iter().filter(|row| is_built(row)).collect();
        if known.is_empty() {
            continue;
        }
        out += &format!(".SS {}\n", escape(theme));
        known.into_iter().for_each(|row| out += &entry(row));
    }
    out + TAIL
}

fn entry(row: &Row) -> String {
    let short = row.short.map(|letter| format!("\\fB\\-{letter}\\fR, ")).unwrap_or_default();
    let names: Vec<String> = row.spellings().map(|name| format!("\\fB\\-\\-{}\\fR", escape(name))).collect();
    let default = match row.default {
        "" | "false" => String::new(),
        default => format!(" Default: {}.", escape(default)),
    };
    let why = match row.status {
        Status::Accepted(why) => format!(" No effect: {}.", escape(why)),
        _ => String::new(),
    };
    format!(
        ".TP\n{short}{}{}\n{}.{default}{why}\n",
        names.join(", "),
        escape(&placeholder(row)),
        line(&escape(row.help))
    )
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('…', "...")
}

/// A line that starts with a dot or a quote would be a command.
fn line(text: &str) -> String {
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text.to_owned() }
}

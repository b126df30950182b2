//! Static files: where they are, their headers, and whether the server or the front end sends them.

use super::Table;
use crate::config::row::{Arg::*, Row};
use crate::config::statics::{Expires, Handing, Map, Pattern, Subject};
use crate::config::value::{flag, paths, push, put, seconds, text};
use crate::config::{Draft, Origin, ValueError};

pub const TABLE: Table = Table {
    theme: "Static files",
    rows: &[
        Row::works("static-map", Required, |d, v, _| map(d, v, false), "/path=directory (or file): serve files below a path")
            .many(),
        Row::works("static-map2", Required, |d, v, _| map(d, v, true), "the same, with the whole path looked up below the directory")
            .many(),
        Row::works(
            "check-static",
            Required,
            |d, v, _| paths(&mut d.settings.statics.checks, v),
            "serve what is a file in this directory; all else is the application's",
        )
        .alias(&["static-check"])
        .many(),
        Row::works(
            "check-static-docroot",
            Flag,
            |d, v, _| put(&mut d.settings.statics.check_docroot, flag(v)),
            "the same with the DOCUMENT_ROOT that the front end names",
        )
        .default("false"),
        Row::works(
            "static-index",
            Required,
            |d, v, _| push(&mut d.settings.statics.index, v),
            "file that stands for its directory, such as index.html",
        )
        .many(),
        Row::works(
            "static-skip-ext",
            Required,
            |d, v, _| push(&mut d.settings.statics.skip, v),
            "end of paths that are left to the application, such as .php",
        )
        .many(),
        Row::works(
            "static-safe",
            Required,
            |d, v, _| paths(&mut d.settings.statics.safe, v),
            "directory that symlinks may lead to, beside the one they are in",
        )
        .many(),
        Row::works(
            "mime-file",
            Required,
            |d, v, _| paths(&mut d.settings.statics.mime_files, v),
            "file that names the type of each extension; default /etc/mime.types, if it is there",
        )
        .alias(&["mimefile"])
        .many(),
        Row::works(
            "static-expires",
            Required,
            |d, v, _| expires(d, v, Subject::File, false),
            "PATTERN SECONDS: Expires of files whose path matches",
        )
        .many(),
        Row::works(
            "static-expires-mtime",
            Required,
            |d, v, _| expires(d, v, Subject::File, true),
            "the same, counted from the file's last change",
        )
        .many(),
        Row::works(
            "static-expires-path-info",
            Required,
            |d, v, _| expires(d, v, Subject::PathInfo, false),
            "PATTERN SECONDS: Expires of files whose PATH_INFO matches",
        )
        .many(),
        Row::works(
            "static-expires-path-info-mtime",
            Required,
            |d, v, _| expires(d, v, Subject::PathInfo, true),
            "the same, counted from the file's last change",
        )
        .many(),
        Row::works(
            "static-expires-uri",
            Required,
            |d, v, _| expires(d, v, Subject::Uri, false),
            "PATTERN SECONDS: Expires of files whose REQUEST_URI matches",
        )
        .many(),
        Row::works(
            "static-expires-uri-mtime",
            Required,
            |d, v, _| expires(d, v, Subject::Uri, true),
            "the same, counted from the file's last change",
        )
        .many(),
        Row::works(
            "static-expires-type",
            Required,
            |d, v, _| expires_type(d, v, false),
            "TYPE=SECONDS: Expires of files of a Content-Type",
        )
        .many(),
        Row::works(
            "static-expires-type-mtime",
            Required,
            |d, v, _| expires_type(d, v, true),
            "the same, counted from the file's last change",
        )
        .many(),
        Row::works(
            "static-gzip",
            Required,
            |d, v, _| gzip(d, v),
            "PATTERN: send NAME.br or NAME.gz instead of files whose path matches, to clients that can read it",
        )
        .many(),
        Row::works(
            "static-gzip-all",
            Flag,
            |d, v, _| put(&mut d.settings.statics.compressed.all, flag(v)),
            "the same for all files",
        )
        .default("false"),
        Row::works(
            "static-gzip-dir",
            Required,
            |d, v, _| push(&mut d.settings.statics.compressed.prefixes, v),
            "the same for files whose path begins so",
        )
        .alias(&["static-gzip-prefix"])
        .many(),
        Row::works(
            "static-gzip-ext",
            Required,
            |d, v, _| push(&mut d.settings.statics.compressed.suffixes, v),
            "the same for files whose path ends so, such as .css",
        )
        .alias(&["static-gzip-suffix"])
        .many(),
        Row::works(
            "file-serve-mode",
            Required,
            handing,
            "let the front end send the file: nginx (X-Accel-Redirect) or x-sendfile",
        )
        .alias(&["fileserve-mode"]),
        Row::works(
            "disable-sendfile",
            Flag,
            |d, v, _| put(&mut d.settings.statics.copies, flag(v)),
            "read and write files instead of having the kernel send them",
        )
        .default("false"),
        Row::accepted(
            "honour-range",
            Flag,
            "serve parts of static files",
            "ranges of static files are served always; those of the application's answers are the application's",
        ),
        Row::accepted(
            "offload-threads",
            Required,
            "threads that send files",
            "a file is sent while its connection waits in the table, however busy the threads are",
        )
        .alias(&["offload-thread"]),
        Row::accepted(
            "static-cache-paths",
            Required,
            "seconds that resolved paths are remembered",
            "paths are resolved by the kernel in one step; there is nothing to remember",
        ),
        Row::accepted(
            "static-cache-paths-name",
            Required,
            "cache in which resolved paths are remembered",
            "paths are resolved by the kernel in one step; there is nothing to remember",
        ),
    ],
};

fn map(draft: &mut Draft, value: Option<&str>, whole: bool) -> Result<(), ValueError> {
    let map = Map::parse(text(value)?)?;
    let statics = &mut draft.settings.statics;
    if whole { &mut statics.maps2 } else { &mut statics.maps }.push(map);
    Ok(())
}

fn expires(
    draft: &mut Draft,
    value: Option<&str>,
    of: fn(Pattern) -> Subject,
    from_change: bool,
) -> Result<(), ValueError> {
    let value = text(value)?;
    let wrong = || {
        ValueError::new(format!("\"{value}\" names no time"), "write PATTERN SECONDS, such as \\.css$ 3600")
    };
    let (pattern, time) = value.split_once(' ').ok_or_else(wrong)?;
    let time = seconds(Some(time.trim()))?;
    draft.settings.statics.expires.push(Expires { of: of(Pattern::new(pattern)?), time, from_change });
    Ok(())
}

fn expires_type(draft: &mut Draft, value: Option<&str>, from_change: bool) -> Result<(), ValueError> {
    let value = text(value)?;
    let wrong =
        || ValueError::new(format!("\"{value}\" names no time"), "write TYPE=SECONDS, such as text/css=3600");
    let (name, time) = value.split_once('=').ok_or_else(wrong)?;
    let time = seconds(Some(time.trim()))?;
    draft.settings.statics.expires.push(Expires {
        of: Subject::Type(name.trim().to_owned()),
        time,
        from_change,
    });
    Ok(())
}

fn gzip(draft: &mut Draft, value: Option<&str>) -> Result<(), ValueError> {
    let pattern = Pattern::new(text(value)?)?;
    draft.settings.statics.compressed.patterns.push(pattern);
    Ok(())
}

fn handing(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let value = text(value)?;
    draft.settings.statics.handing = match value.to_ascii_lowercase().as_str() {
        "nginx" | "x-accel-redirect" | "xaccelredirect" => Handing::Accel,
        "x-sendfile" | "xsendfile" => Handing::Sendfile,
        _ => {
            let message = format!("nobody serves files by \"{value}\"");
            return Err(ValueError::new(message, "write nginx or x-sendfile"));
        }
    };
    Ok(())
}

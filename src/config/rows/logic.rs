//! Conditions and loops in configuration files. They act while the file is read (logic.rs).

use super::Table;
use crate::config::row::{Arg::*, Row, store_nothing};

const fn block(name: &'static str, help: &'static str) -> Row {
    Row::works(name, Required, store_nothing, help).many()
}

const fn flag(name: &'static str, help: &'static str) -> Row {
    Row::works(name, Optional, store_nothing, help).many()
}

pub const THEME: &str = "Conditions and loops";

pub const TABLE: Table = Table {
    theme: THEME,
    rows: &[
        block("for", "repeat each line up to endfor for each word; %(_) is the word"),
        block("for-times", "repeat each line up to endfor for 1 to a number"),
        block("for-glob", "repeat each line up to endfor for each file that fits a pattern"),
        block("for-readline", "repeat each line up to endfor for each line of a file"),
        block("if-env", "read the lines up to endif if a variable is set: NAME or NAME=VALUE")
            .alias(&["ifenv"]),
        block("if-not-env", "read the lines up to endif if a variable is not set, or not so"),
        block("if-opt", "read the lines up to endif if an option stands above: NAME or NAME=VALUE"),
        block("if-not-opt", "read the lines up to endif if an option does not stand above, or not so"),
        block("if-exists", "read the lines up to endif if a file or directory exists").alias(&["ifexists"]),
        block("if-not-exists", "read the lines up to endif if neither file nor directory exists"),
        block("if-file", "read the lines up to endif if a file exists"),
        block("if-not-file", "read the lines up to endif if a file does not exist"),
        block("if-dir", "read the lines up to endif if a directory exists").alias(&["ifdir", "if-directory"]),
        block("if-not-dir", "read the lines up to endif if a directory does not exist"),
        block("if-hostname", "read the lines up to endif on this host"),
        block("if-not-hostname", "read the lines up to endif on other hosts"),
        block(
            "if-hostname-match",
            "read the lines up to endif on hosts whose name fits a regular expression",
        ),
        block("if-not-hostname-match", "read the lines up to endif on other hosts than those"),
        block("if-plugin", "read the lines up to endif if rwsgi has what a plugin of uWSGI does")
            .alias(&["ifplugin"]),
        block("if-not-plugin", "read the lines up to endif if rwsgi does not have what a plugin does"),
        flag("if-reload", "read the lines up to endif when the server was reloaded"),
        flag("if-not-reload", "read the lines up to endif when the server is started"),
        flag("endif", "end of a condition").alias(&["end-if"]),
        flag("endfor", "end of a loop").alias(&["end-for"]),
    ],
};

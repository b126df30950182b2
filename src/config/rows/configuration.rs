//! Reading the configuration, and asking about it.

use super::Table;
use crate::config::row::{Arg::*, Row, store_nothing};
use crate::config::value::{flag, put, text};
use crate::config::{Draft, Origin, ValueError};

/// Most of these act while the configuration is read (low.rs), so that nothing is left for a setter.
pub const TABLE: Table = Table {
    theme: "Configuration",
    rows: &[
        Row::works("ini", Required, store_nothing, "read options from the ini FILE or FILE:SECTION").many(),
        Row::works("set", Required, store_nothing, "set NAME=VALUE, an option or a name for %(NAME)")
            .short('S')
            .many(),
        Row::works("set-placeholder", Required, store_nothing, "set NAME=VALUE for %(NAME)")
            .alias(&["set-ph"])
            .many(),
        Row::works("strict", Flag, store_nothing, "an unknown option is an error").default("false"),
        Row::works(
            "show-config",
            Flag,
            |d, v, _| put(&mut d.settings.show_config, flag(v)),
            "log the configuration",
        )
        .default("false"),
        Row::works("help", Flag, store_nothing, "show the options and exit").alias(&["usage"]).short('h'),
        Row::works("version", Flag, store_nothing, "show the version and exit"),
        Row::accepted(
            "plugins-dir",
            Required,
            "directory of plugins",
            "nothing is loaded from plugin files: what rwsgi does is built in",
        )
        .alias(&["plugin-dir"]),
        Row::accepted(
            "pcre-jit",
            Flag,
            "compile regular expressions",
            "regular expressions are compiled always",
        ),
        Row::accepted("autoload", Flag, "load the plugins that options need", "everything is built in"),
        Row::works("plugins", Required, plugins, "plugins of uWSGI; Python needs none")
            .alias(&["plugin"])
            .many(),
        Row::works("need-plugins", Required, plugins, "as plugins").alias(&["need-plugin"]).many(),
    ],
};

/// Plugins that only carry options which have rows of their own, or that rwsgi has built in.
const BUILT_IN: &[&str] = &["http", "corerouter", "logfile", "logsocket", "syslog", "signal", "rpc", "ping"];

fn plugins(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    for written in text(value)?.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let name = written.rsplit(['/', ':']).next().unwrap_or(written).trim_end_matches("_plugin.so");
        if !name.starts_with("python") && !BUILT_IN.contains(&name) {
            draft.note(format!("plugin \"{written}\" is not part of rwsgi; what it adds will be missing"));
        }
    }
    Ok(())
}

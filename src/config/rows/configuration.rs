//! Reading the configuration, and asking about it.

use super::Table;
use crate::config::row::{Arg::*, Row, store_nothing};
use crate::config::value::{flag, put, text};
use crate::config::{Draft, Origin, ValueError};

pub const THEME: &str = "Configuration";

/// Most of these act while the configuration is read (low.rs), so that nothing is left for a setter.
pub const TABLE: Table = Table {
    theme: THEME,
    rows: &[
        Row::works("ini", Required, store_nothing, "read options from the ini FILE or FILE:SECTION").many(),
        file("xml", "read options from the XML FILE").alias(&["xmlconfig"]).short('x'),
        file("yaml", "read options from the YAML FILE").alias(&["yml"]).short('y'),
        file("json", "read options from the JSON FILE").alias(&["js"]).short('j'),
        file("toml", "read options from the TOML FILE, such as [tool.rwsgi] of pyproject.toml"),
        file("config", "read options from a file of any format"),
        file("include", "read options from a file of any format, in this place"),
        file("inherit", "read options from a file of any format, behind everything else"),
        file("inject-before", "put the text of FILE before the text of each file read after this"),
        file("inject-after", "put the text of FILE behind the text of each file read after this"),
        Row::works(
            "fallback-config",
            Required,
            store_nothing,
            "read this file alone when something in the configuration is wrong",
        ),
        Row::works("set", Required, store_nothing, "set NAME=VALUE, an option or a name for %(NAME)")
            .short('S')
            .many(),
        Row::works("set-placeholder", Required, store_nothing, "set NAME=VALUE for %(NAME)")
            .alias(&["set-ph"])
            .many(),
        Row::works(
            "declare-option",
            Required,
            store_nothing,
            "make an option: NAME=OPTION=$1;OPTION=$2 with the words of its value",
        )
        .many(),
        Row::works("declare-option2", Required, store_nothing, "as declare-option, behind everything else")
            .many(),
        Row::works("resolve", Required, store_nothing, "set NAME=HOST to the address of the host").many(),
        Row::works(
            "blacklist",
            Required,
            store_nothing,
            "forbid options up to end-blacklist, with blanks between",
        )
        .many(),
        Row::works("end-blacklist", Optional, store_nothing, "end of a blacklist").many(),
        Row::works("whitelist", Required, store_nothing, "forbid all other options up to end-whitelist")
            .many(),
        Row::works("end-whitelist", Optional, store_nothing, "end of a whitelist").many(),
        Row::accepted(
            "mode",
            Required,
            "configuration mode",
            "as in uWSGI it is known too late to choose anything",
        ),
        Row::works("strict", Flag, store_nothing, "an unknown option is an error").default("false"),
        Row::works(
            "show-config",
            Flag,
            |d, v, _| put(&mut d.settings.instance.show_config, flag(v)),
            "log the configuration",
        )
        .restart()
        .default("false"),
        Row::works("exit", Optional, store_nothing, "exit at once with this status [1]"),
        Row::works("print", Required, print, "log a text when the configuration has been read").many(),
        Row::works("iprint", Required, store_nothing, "log a text while the configuration is read").many(),
        Row::works(
            "no-server",
            Flag,
            |d, v, _| put(&mut d.settings.instance.no_server, flag(v)),
            "start everything but the workers, and exit",
        )
        .restart()
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

const fn file(name: &'static str, help: &'static str) -> Row {
    Row::works(name, Required, store_nothing, help).many()
}

fn print(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    draft.messages.push(value.unwrap_or_default().to_owned());
    Ok(())
}

/// Plugins that only carry options which have rows of their own, or that rwsgi has built in.
const BUILT_IN: &[&str] = &["http", "corerouter", "logfile", "logsocket", "syslog", "signal", "rpc", "ping"];

fn plugins(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    for written in text(value)?.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if !is_built_in(written) {
            draft.note(format!("plugin \"{written}\" is not part of rwsgi; what it adds will be missing"));
        }
    }
    Ok(())
}

/// Whether rwsgi does what a plugin of uWSGI does: `name`, `N:name` or a path.
pub fn is_built_in(written: &str) -> bool {
    let name = written.rsplit(['/', ':']).next().unwrap_or(written).trim_end_matches("_plugin.so");
    name.starts_with("python") || BUILT_IN.contains(&name)
}

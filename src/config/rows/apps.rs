//! Applications and the Python that they run in.

use super::Table;
use crate::config::row::{Arg::*, Row};
use crate::config::value::{flag, put, some, text, timeout};
use crate::config::{Draft, Origin, ValueError};

pub const TABLE: Table = Table {
    theme: "Applications and Python",
    rows: &[
        Row::works("module", Required, |d, v, o| d.module(text(v)?, o), "serve MODULE or MODULE:CALLABLE")
            .alias(&["wsgi"])
            .short('w'),
        Row::works(
            "wsgi-file",
            Required,
            |d, v, o| d.file(text(v)?, o),
            "serve the callable in a Python file",
        )
        .alias(&["file"]),
        Row::works(
            "callable",
            Required,
            callable,
            "name of the callable where none is named with the module",
        )
        .default("application"),
        Row::works(
            "mount",
            Required,
            |d, v, o| d.mount(text(v)?, o),
            "serve an application below a path: /PATH=MODULE:CALLABLE or /PATH=FILE.py",
        )
        .many(),
        Row::works(
            "manage-script-name",
            Flag,
            |d, v, _| put(&mut d.settings.manage_script_name, flag(v)),
            "split the path into SCRIPT_NAME and PATH_INFO by the mounts",
        )
        .default("false"),
        Row::works(
            "need-app",
            Flag,
            |d, v, _| put(&mut d.settings.need_app, flag(v)),
            "do not start without an application",
        )
        .default("true"),
        Row::works(
            "dynamic-apps",
            Flag,
            |d, v, _| put(&mut d.settings.dynamic_apps, flag(v)),
            "load code that request variables name (UWSGI_FILE and the like)",
        )
        .default("false"),
        Row::works(
            "lazy-apps",
            Flag,
            |d, v, _| put(&mut d.settings.lazy_apps, flag(v)),
            "load the application in each worker instead of before the fork",
        )
        .default("false"),
        Row::works("lazy", Flag, |d, v, _| put(&mut d.settings.lazy_apps, flag(v)), "as lazy-apps")
            .default("false"),
        Row::works(
            "boot-timeout",
            Required,
            |d, v, _| put(&mut d.settings.boot_timeout, timeout(v)),
            "seconds from the start of a worker until it is ready; 0: no limit",
        )
        .default("300"),
        Row::works(
            "chdir",
            Required,
            |d, v, _| put(&mut d.settings.chdir, some(v)),
            "change to this directory before the application is loaded",
        ),
        Row::works("pythonpath", Required, pythonpath, "put a directory at the start of sys.path")
            .alias(&["python-path", "pp"])
            .many(),
        Row::works(
            "virtualenv",
            Required,
            |d, v, _| put(&mut d.settings.virtualenv, some(v)),
            "run in this virtualenv",
        )
        .alias(&["venv", "home", "pyhome"])
        .short('H'),
        Row::works(
            "pyargv",
            Required,
            |d, v, _| put(&mut d.settings.pyargv, some(v)),
            "sys.argv after its first entry, separated by blanks",
        ),
        Row::works("env", Required, env, "set an environment variable: NAME=VALUE").many(),
        Row::accepted(
            "single-interpreter",
            Flag,
            "one interpreter for all applications",
            "there is one interpreter a worker always",
        )
        .short('i'),
        Row::accepted(
            "enable-threads",
            Flag,
            "let the application start threads",
            "threads of the application run always",
        )
        .short('T'),
    ],
};

fn callable(draft: &mut Draft, value: Option<&str>, origin: &Origin) -> Result<(), ValueError> {
    draft.callable(text(value)?, origin);
    Ok(())
}

fn pythonpath(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    draft.settings.pythonpath.push(text(value)?.into());
    Ok(())
}

fn env(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let text = text(value)?;
    let pair = text.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
    let Some((name, value)) = pair.filter(|(name, value)| !name.is_empty() && !text_has_nul(name, value))
    else {
        draft.note(format!("\"{text}\" sets no variable; write NAME=VALUE"));
        return Ok(());
    };
    draft.settings.env.push((name.to_owned(), value.to_owned()));
    Ok(())
}

fn text_has_nul(name: &str, value: &str) -> bool {
    name.contains('\0') || value.contains('\0')
}

//! Applications and the Python that they run in.

use std::path::{Path, PathBuf};

use super::Table;
use crate::config::glob::{glob, is_pattern};
use crate::config::row::{Arg::*, Row, Status, store_nothing};
use crate::config::value::{flag, number, push, put, some, text, timeout};
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
            |d, v, _| put(&mut d.settings.apps.manage_script_name, flag(v)),
            "split the path into SCRIPT_NAME and PATH_INFO by the mounts",
        )
        .default("false"),
        Row::works(
            "no-default-app",
            Flag,
            |d, v, _| put(&mut d.settings.apps.no_default_app, flag(v)),
            "the application without a mountpoint answers only where SCRIPT_NAME is empty",
        )
        .default("false"),
        Row::works(
            "need-app",
            Flag,
            |d, v, _| put(&mut d.settings.apps.need_app, flag(v)),
            "do not start without an application",
        )
        .default("true"),
        Row::works(
            "dynamic-apps",
            Flag,
            |d, v, _| put(&mut d.settings.apps.dynamic_apps, flag(v)),
            "load code that request variables name (UWSGI_FILE and the like)",
        )
        .default("false"),
        Row::works(
            "lazy-apps",
            Flag,
            |d, v, _| put(&mut d.settings.instance.lazy_apps, flag(v)),
            "load the application in each worker instead of before the fork",
        )
        .restart()
        .default("false"),
        Row::works("lazy", Flag, |d, v, _| put(&mut d.settings.instance.lazy_apps, flag(v)), "as lazy-apps")
            .restart()
            .default("false"),
        Row::works(
            "boot-timeout",
            Seconds,
            |d, v, _| put(&mut d.settings.supervise.boot_timeout, timeout(v)),
            "seconds from the start of a worker until it is ready; 0: no limit",
        )
        .default("300"),
        Row::works(
            "chdir",
            Required,
            |d, v, _| put(&mut d.settings.instance.chdir, some(v)),
            "change to this directory before the application is loaded",
        )
        .restart(),
        Row::works("pythonpath", Required, pythonpath, "put a directory at the start of sys.path")
            .alias(&["python-path", "pp"])
            .many(),
        Row::works(
            "virtualenv",
            Required,
            |d, v, _| put(&mut d.settings.python.virtualenv, some(v)),
            "run in this virtualenv",
        )
        .alias(&["venv", "home", "pyhome"])
        .short('H'),
        Row::works(
            "pyargv",
            Required,
            |d, v, _| put(&mut d.settings.python.pyargv, some(v)),
            "sys.argv after its first entry, separated by blanks",
        ),
        Row::works("env", Required, env, "set an environment variable: NAME=VALUE").many(),
        Row::works("unenv", Required, unenv, "remove an environment variable").many(),
        Row::works(
            "chdir2",
            Required,
            |d, v, _| put(&mut d.settings.python.chdir2, some(v)),
            "change to this directory once the application has been loaded",
        ),
        Row::works(
            "optimize",
            Number,
            |d, v, _| put(&mut d.settings.python.optimize, number(v)),
            "as -O of Python: 1 without assertions, 2 without docstrings",
        )
        .short('O'),
        Row::works(
            "import",
            Required,
            |d, v, _| push(&mut d.settings.python.imports, v),
            "import a module in each worker",
        )
        .alias(&["py-import", "pyimport", "python-import"])
        .many(),
        Row::works(
            "shared-import",
            Required,
            |d, v, _| push(&mut d.settings.python.shared_imports, v),
            "import a module before the fork",
        )
        .alias(&["shared-py-import", "shared-pyimport", "shared-python-import"])
        .many(),
        Row::accepted(
            "wsgi-env-behaviour",
            Required,
            "cheat: use one environ again; holy: a fresh one for each request",
            "each request has an environ of its own always",
        )
        .alias(&["wsgi-env-behavior"])
        .setter(environ),
        Row::works(
            "catch-exceptions",
            Flag,
            |d, v, _| put(&mut d.settings.python.catch_exceptions, flag(v)),
            "send exceptions of the application to the client; never where strangers see it",
        ),
        Row::works(
            "wsgi-disable-file-wrapper",
            Flag,
            |d, v, _| put(&mut d.settings.python.no_file_wrapper, flag(v)),
            "no wsgi.file_wrapper in the environ",
        ),
        Row {
            status: Status::Refused(
                "site has been imported when rwsgi starts; start python -S -m rwsgi instead",
            ),
            ..Row::works("no-site", Flag, store_nothing, "do not import site")
        },
        Row::accepted(
            "py-call-osafterfork",
            Flag,
            "tell Python of each fork",
            "fork hooks of Python run always",
        ),
        Row::accepted(
            "py-call-uwsgi-fork-hooks",
            Flag,
            "tell Python of each fork, before and after",
            "fork hooks of Python run always",
        ),
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

/// A pattern stands for the directories that fit, as in uWSGI.
fn pythonpath(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let path = text(value)?;
    if !is_pattern(path) || Path::new(path).exists() {
        return push(&mut draft.settings.python.pythonpath, value);
    }
    let Some(found) = glob(path, MAX_DIRECTORIES) else {
        return Err(ValueError::new(format!("\"{path}\" fits too many files"), "write a narrower pattern"));
    };
    if found.is_empty() {
        draft.note(format!("\"{path}\" fits no directory"));
    }
    draft.settings.python.pythonpath.extend(found.into_iter().map(PathBuf::from));
    Ok(())
}

const MAX_DIRECTORIES: usize = 1000;

/// As uWSGI: anything but holy is cheat.
fn environ(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let name = text(value)?;
    if name != "holy" && name != "cheat" {
        draft.note(format!("\"{name}\" is read as cheat; write cheat or holy"));
    }
    Ok(())
}

/// Takes back what was set before; what is set behind it counts.
fn unenv(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let name = text(value)?;
    draft.settings.python.env.retain(|(known, _)| known != name);
    push(&mut draft.settings.python.unenv, value)
}

fn env(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let text = text(value)?;
    let pair = text.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
    let Some((name, value)) = pair.filter(|(name, value)| !name.is_empty() && !text_has_nul(name, value))
    else {
        draft.note(format!("\"{text}\" sets no variable; write NAME=VALUE"));
        return Ok(());
    };
    draft.settings.python.env.push((name.to_owned(), value.to_owned()));
    Ok(())
}

fn text_has_nul(name: &str, value: &str) -> bool {
    name.contains('\0') || value.contains('\0')
}

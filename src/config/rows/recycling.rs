//! When workers are replaced, and when everything is loaded anew.

use super::Table;
use crate::config::row::{Arg, Arg::*, Row, Setter};
use crate::config::value::{flag, megabytes, paths, push, put, seconds, timeout};

pub const TABLE: Table = Table {
    theme: "Recycling and reloading",
    rows: &[
        replace(
            "reload-on-rss",
            Megabytes,
            |d, v, _| put(&mut d.settings.recycle.resident, megabytes(v)),
            "megabytes of resident memory after which a worker is replaced",
        ),
        replace(
            "reload-on-as",
            Megabytes,
            |d, v, _| put(&mut d.settings.recycle.address_space, megabytes(v)),
            "megabytes of address space after which a worker is replaced",
        ),
        replace(
            "evil-reload-on-rss",
            Megabytes,
            |d, v, _| put(&mut d.settings.recycle.evil_resident, megabytes(v)),
            "megabytes of resident memory after which a worker is killed",
        ),
        replace(
            "evil-reload-on-as",
            Megabytes,
            |d, v, _| put(&mut d.settings.recycle.evil_address_space, megabytes(v)),
            "megabytes of address space after which a worker is killed",
        ),
        replace(
            "max-worker-lifetime",
            Seconds,
            |d, v, _| put(&mut d.settings.recycle.max_lifetime, timeout(v)),
            "seconds after which a worker is replaced; 0: never",
        )
        .default("0"),
        replace(
            "max-worker-lifetime-delta",
            Seconds,
            |d, v, _| put(&mut d.settings.recycle.max_lifetime_delta, seconds(v)),
            "seconds added to max-worker-lifetime for each further worker",
        )
        .default("0"),
        replace(
            "min-worker-lifetime",
            Seconds,
            |d, v, _| put(&mut d.settings.recycle.min_lifetime, seconds(v).map(Some)),
            "seconds before which a worker is not replaced; 10 where its memory is the reason",
        ),
        replace(
            "reload-on-exception",
            Flag,
            |d, v, _| put(&mut d.settings.recycle.on_exception, flag(v)),
            "replace a worker after any exception of the application",
        ),
        replace(
            "reload-on-exception-type",
            Required,
            |d, v, _| push(&mut d.settings.recycle.on_exception_type, v),
            "replace a worker after an exception of this type",
        )
        .many(),
        replace(
            "reload-on-exception-value",
            Required,
            |d, v, _| push(&mut d.settings.recycle.on_exception_value, v),
            "replace a worker after an exception with this text",
        )
        .many(),
        replace(
            "reload-on-exception-repr",
            Required,
            |d, v, _| push(&mut d.settings.recycle.on_exception_repr, v),
            "replace a worker after an exception of this TYPE:TEXT",
        )
        .many(),
        replace(
            "exit-on-reload",
            Flag,
            |d, v, _| put(&mut d.settings.recycle.exit_on_reload, flag(v)),
            "end instead of reloading",
        ),
        watch(
            "touch-reload",
            |d, v, _| paths(&mut d.settings.watch.reload, v),
            "reload when this file is touched",
        ),
        watch(
            "touch-workers-reload",
            |d, v, _| paths(&mut d.settings.watch.reload_workers, v),
            "reload the workers when this file is touched",
        ),
        watch(
            "touch-chain-reload",
            |d, v, _| paths(&mut d.settings.watch.reload_chain, v),
            "reload one worker after the other when this file is touched",
        ),
        Row {
            arg: Seconds,
            repeats: false,
            ..watch(
                "py-autoreload",
                |d, v, _| put(&mut d.settings.watch.python, timeout(v)),
                "seconds between two looks for changed modules, which reload; 0: never",
            )
        }
        .alias(&["py-auto-reload", "python-autoreload", "python-auto-reload"]),
        watch(
            "py-auto-reload-ignore",
            |d, v, _| push(&mut d.settings.watch.python_ignore, v),
            "a module whose change does not reload",
        ),
    ],
};

const fn replace(name: &'static str, arg: Arg, set: Setter, help: &'static str) -> Row {
    Row::works(name, arg, set, help)
}

const fn watch(name: &'static str, set: Setter, help: &'static str) -> Row {
    Row::works(name, Required, set, help).many()
}

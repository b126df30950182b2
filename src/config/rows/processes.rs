//! Master, workers, and their place in the system.

use super::Table;
use crate::config::row::{Arg::*, Row, Setter};
use crate::config::value::{flag, megabytes, mode, number, positive, put, seconds, size, some, text};
use crate::config::{Draft, Origin, ProcNames, ValueError};

pub const TABLE: Table = Table {
    theme: "Processes",
    rows: &[
        Row::accepted("master", Flag, "run a master process", "there is a master always").short('M'),
        Row::works(
            "processes",
            Number,
            |d, v, _| put(&mut d.settings.instance.processes, slots(v)),
            "number of worker processes",
        )
        .restart()
        .alias(&["workers"])
        .short('p')
        .default("1"),
        Row::works("threads", Number, threads, "threads of each worker").restart().default("1"),
        Row::works(
            "max-requests",
            Number,
            |d, v, _| put(&mut d.settings.recycle.max_requests, number(v)),
            "requests after which a worker is replaced; 0: never",
        )
        .short('R')
        .default("0"),
        Row::works(
            "max-requests-delta",
            Number,
            |d, v, _| put(&mut d.settings.recycle.max_requests_delta, number(v)),
            "requests added to max-requests for each further worker",
        )
        .default("0"),
        Row::works(
            "worker-reload-mercy",
            Seconds,
            |d, v, _| put(&mut d.settings.supervise.worker_reload_mercy, seconds(v)),
            "seconds that a worker has to end before it is killed",
        )
        .default("60"),
        Row::works(
            "reload-mercy",
            Seconds,
            |d, v, _| put(&mut d.settings.supervise.reload_mercy, seconds(v)),
            "seconds that other processes have to end before they are killed",
        )
        .default("3"),
        Row::accepted(
            "die-on-term",
            Flag,
            "stop instead of reload on SIGTERM",
            "SIGTERM always stops gracefully",
        ),
        Row::works(
            "uid",
            Required,
            |d, v, _| put(&mut d.settings.instance.uid, some(v)),
            "run as this user: name or number",
        )
        .restart(),
        Row::works(
            "gid",
            Required,
            |d, v, _| put(&mut d.settings.instance.gid, some(v)),
            "run as this group: name or number",
        )
        .restart(),
        Row::works(
            "umask",
            Required,
            |d, v, _| put(&mut d.settings.instance.umask, mode(v).map(Some)),
            "umask, octal",
        )
        .restart(),
        Row::works(
            "pidfile",
            Required,
            |d, v, _| put(&mut d.settings.instance.pidfiles.first, some(v)),
            "write the master's pid to this file",
        )
        .restart(),
        file(
            "pidfile2",
            |d, v, _| put(&mut d.settings.instance.pidfiles.second, some(v)),
            "as pidfile, once privileges have been dropped",
        )
        .restart(),
        file(
            "safe-pidfile",
            |d, v, _| put(&mut d.settings.instance.pidfiles.safe, some(v)),
            "as pidfile, written when the server is ready: one that cannot start leaves it alone",
        )
        .restart(),
        file(
            "safe-pidfile2",
            |d, v, _| put(&mut d.settings.instance.pidfiles.safe_second, some(v)),
            "as pidfile2, written when the server is ready",
        )
        .restart(),
        Row::accepted(
            "no-orphans",
            Flag,
            "end the workers when the master is gone",
            "workers end with their master always",
        ),
        Row::works(
            "master-as-root",
            Flag,
            |d, v, _| put(&mut d.settings.instance.master_as_root, flag(v)),
            "the master stays root; only what runs the application becomes uid and gid",
        )
        .restart()
        .default("false"),
        Row::accepted(
            "hook-master-start",
            Required,
            "what to do when the master starts",
            "SIGTERM always stops gracefully",
        )
        .many()
        .setter(hook_master_start),
        Row::works(
            "limit-as",
            Megabytes,
            |d, v, _| put(&mut d.settings.instance.limits.address_space, megabytes(v).map(Some)),
            "megabytes of address space of each process",
        )
        .restart(),
        Row::works(
            "limit-nproc",
            Number,
            |d, v, _| put(&mut d.settings.instance.limits.processes, number(v).map(Some)),
            "number of processes of the user",
        )
        .restart(),
        Row::works(
            "max-fd",
            Number,
            |d, v, _| put(&mut d.settings.instance.limits.descriptors, number(v).map(Some)),
            "number of open descriptors",
        )
        .restart(),
        Row::works(
            "cpu-affinity",
            Number,
            |d, v, _| put(&mut d.settings.worker.cpu_affinity, number(v)),
            "number of processors of each worker; 0: all of them",
        ),
        Row::works(
            "thread-stack-size",
            Number,
            |d, v, _| put(&mut d.settings.worker.thread_stack, kilobytes(v).map(Some)),
            "kilobytes of the stack of each thread",
        )
        .alias(&["thread-stacksize", "threads-stack-size", "threads-stacksize"]),
        Row::works("daemonize", Required, daemonize, "go to the background and log to this file")
            .restart()
            .alias(&["daemonize2"])
            .short('d'),
        Row::works(
            "auto-procname",
            Flag,
            |d, v, _| put(&mut d.settings.procnames.auto, flag(v)),
            "say in the process list what each process does",
        )
        .default("false"),
        Row::works(
            "procname",
            Required,
            |d, v, _| procname(d, some(v)?, |n| &mut n.all),
            "name of every process",
        ),
        Row::works(
            "procname-master",
            Required,
            |d, v, _| procname(d, some(v)?, |n| &mut n.master),
            "name of the master",
        ),
        Row::works(
            "procname-prefix",
            Required,
            |d, v, _| procname(d, text(v)?.to_owned(), |n| &mut n.prefix),
            "put before the names of processes",
        ),
        Row::works(
            "procname-prefix-spaced",
            Required,
            |d, v, _| procname(d, format!("{} ", text(v)?), |n| &mut n.prefix),
            "put before the names of processes, and a blank",
        ),
        Row::works(
            "procname-append",
            Required,
            |d, v, _| procname(d, text(v)?.to_owned(), |n| &mut n.append),
            "put behind the names of processes",
        ),
    ],
};

/// Each process and thread has its slot in shared memory.
const MAX_SLOTS: u32 = 4096;

fn slots(value: Option<&str>) -> Result<u32, ValueError> {
    match positive(value)? {
        count if count > MAX_SLOTS => {
            Err(ValueError::new(format!("{count} are too many"), format!("write at most {MAX_SLOTS}")))
        }
        count => Ok(count),
    }
}

fn threads(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    if number::<u32>(value)? == 0 {
        draft.note("0 is read as 1");
        return put(&mut draft.settings.instance.threads, Ok(1));
    }
    put(&mut draft.settings.instance.threads, slots(value))
}

fn daemonize(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    draft.settings.instance.daemonize = Some(super::logging::log_file(value)?);
    Ok(())
}

/// Any name of a process asks for the names of all of them, as in uWSGI.
fn procname<T>(draft: &mut Draft, name: T, slot: fn(&mut ProcNames) -> &mut T) -> Result<(), ValueError> {
    draft.settings.procnames.auto = true;
    *slot(&mut draft.settings.procnames) = name;
    Ok(())
}

const fn file(name: &'static str, set: Setter, help: &'static str) -> Row {
    Row::works(name, Required, set, help)
}

fn kilobytes(value: Option<&str>) -> Result<usize, ValueError> {
    match number::<usize>(value) {
        Ok(count) => count
            .checked_mul(1024)
            .ok_or_else(|| ValueError::new("the stack is too large", "write kilobytes, such as 512")),
        Err(_) => size(value),
    }
}

/// The folk remedy for a graceful stop, which rwsgi does not need.
fn hook_master_start(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let words: Vec<&str> = text(value)?.split_whitespace().collect();
    if words != ["unix_signal:15", "gracefully_kill_them_all"] {
        draft.note("this hook is not run; only unix_signal:15 gracefully_kill_them_all is known, which needs no hook");
    }
    Ok(())
}

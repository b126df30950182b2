//! What a worker that has ended was doing: its requests, and, when it has crashed, the stacks that it left.

use super::stack_dump::name_cores;
use crate::master::server::Server;
use crate::supervise::{Child, Ended, Leaving};
use crate::sys::signal;
use crate::sys::spool::Page;
use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

/// More of the stacks does not get into the log.
const MAX_STACKS: usize = 256 * 1024;

/// Lines for the entry that tells of its end; empty where there is nothing to add. Its slot is still as it left it.
pub fn record(server: &Server, child: &Child, ended: Ended, now: u64) -> String {
    let spool = &server.setup.spool;
    let stacks = spool.read(child.slot, Page::Crash, MAX_STACKS);
    if !stacks.is_empty() {
        spool.clear(child.slot, Page::Crash);
    }
    if child.leaving() == Some(Leaving::Harakiri) {
        // It was told when it was killed.
        return String::new();
    }
    let stacks: Vec<u8> = stacks.into_iter().filter(|&byte| byte != 0).collect();
    let mut lines = requests(server, child, now);
    if !stacks.is_empty() && matches!(ended, Ended::Killed(_)) {
        let text = String::from_utf8_lossy(&stacks);
        push_stacks(&mut lines, server, child, &text);
        if ended == Ended::Killed(signal::SIGKILL) && !child.was_killed {
            lines
                .push_str("\nit crashed; the record of it did not come to its end in time, so it was killed");
        }
    }
    lines
}

fn requests(server: &Server, child: &Child, now: u64) -> String {
    let mut lines = String::new();
    for (index, core) in server.scoreboard().cores(child.slot).enumerate() {
        if let Some(current) = core.current_request() {
            let age = now.saturating_sub(current.started_us) as f64 / 1e6;
            let _ = write!(lines, "\ncore {index} was running {current} for {age:.1} s");
        }
    }
    lines
}

/// `text` is what the handler has written: which thread it was, the Python stacks, the native stack.
fn push_stacks(lines: &mut String, server: &Server, child: &Child, text: &str) {
    let (head, stacks) = text.split_once('\n').unwrap_or((text, ""));
    let number = head.strip_prefix("thread ").and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    let scoreboard = server.scoreboard();
    let mut cores = scoreboard.cores(child.slot);
    let core = number.and_then(|number| cores.position(|core| core.tid().load(Relaxed) == number));
    let place = core.map_or_else(|| "no core".to_owned(), |core| format!("core {core}"));
    let _ = write!(lines, "\nthe signal came in {head}, {place}\nPython stacks:\n");
    lines.push_str(name_cores(server.scoreboard(), child.slot, stacks).trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::master::server::tests::{add_worker, serving};
    use crate::supervise::{Children, Role};

    #[test]
    fn the_record_names_the_requests_and_has_the_stacks() {
        let (server, mut children) = (serving(Settings::default()), Children::default());
        add_worker(&server, &mut children, 1, 2);
        let child = children.get(Role::Worker, 2).unwrap();
        let core = server.scoreboard().core(2, 0);
        core.begin(8, 1_000_000, 0, b"GET", b"/crash");
        core.tid().store(77, Relaxed);
        core.ident().store(0x7f, Relaxed);
        let killed = Ended::Killed(signal::SIGSEGV);
        assert_eq!(record(&server, child, killed, 1_500_000), "\ncore 0 was running GET /crash for 0.5 s");
        assert_eq!(
            record(&server, child, Ended::Exited(1), 1_600_000),
            "\ncore 0 was running GET /crash for 0.6 s"
        );
        let stacks = "Current thread 0x7f (most recent call first):\n  File \"a.py\", line 1 in f\n";
        let left = format!("thread 77 fault 0x0\n{stacks}\0\nnative stack:\n/lib/libc.so.6(+0x1)[0x2]\n");
        server.setup.spool.write(2, Page::Crash, left.as_bytes()).unwrap();
        let told = record(&server, child, killed, 1_500_000);
        let lines: Vec<_> = told.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "the signal came in thread 77 fault 0x0, core 0",
                "Python stacks:",
                "Current thread 0x7f (most recent call first): [core 0: GET /crash]",
                "  File \"a.py\", line 1 in f",
                "",
                "native stack:",
                "/lib/libc.so.6(+0x1)[0x2]",
            ]
        );
        assert_eq!(record(&server, child, killed, 1_500_000).lines().count(), 2);
    }
}

//! The access log line of a request, and the complaints that may follow it.

use crate::log;
use crate::log::format;
use crate::sys::clock;
use crate::worker::conn::deadline::Overdue;
use crate::worker::conn::leftover::CUT_SHORT;
use crate::worker::core::Core;
use crate::worker::response::{End, Loss, Outcome};
use std::sync::atomic::Ordering::*;

/// Writes the line of a request that was over at `now`.
pub fn log(core: &mut Core, outcome: &Outcome, now: u64) {
    // The wake signal for it may still be on its way.
    core.shared.log.follow(&core.shared.context);
    let total = core.shared.context.scoreboard.total_requests().fetch_add(1, Relaxed) + 1;
    let mut text = std::mem::take(&mut core.buffers.line);
    let entry = entry(core, outcome, now, total);
    core.shared.log.access.push(now, &mut text, |date, out| {
        format::push(out, &format::Entry { date, ..entry });
        format::cut(out, 16 * 1024);
    });
    core.buffers.line = text;
}

fn entry<'a>(core: &'a Core, outcome: &Outcome, now: u64, total: u64) -> format::Entry<'a> {
    let (request, known) = (&core.request, &core.request.known);
    let settings = &core.shared.context.settings;
    let forwarded = settings.log.x_forwarded_for && !known.forwarded_for.is_empty();
    format::Entry {
        pid: core.shared.context.pid,
        app: core.app,
        requests: outcome.served,
        total,
        addr: request.get(if forwarded { known.forwarded_for } else { known.remote_addr }),
        user: request.get(known.remote_user),
        vars: request.vars.len(),
        vars_bytes: request.block_len,
        date: "",
        method: request.get(known.method),
        uri: request.get(known.uri),
        body_bytes: outcome.body_bytes,
        micros: now.saturating_sub(core.in_flight.started_us),
        in_micros: settings.log.micros,
        by_sendfile: outcome.by_sendfile,
        protocol: request.get(known.protocol),
        // The client went away before it had the whole answer: nginx's mark for it.
        status: if outcome.is_gone() { 499 } else { outcome.code },
        headers: outcome.headers,
        head_bytes: outcome.head_bytes,
        core: core.index,
        request_id: if settings.tracing.request_id.is_on() { request.request_id() } else { b"" },
        trace_id: if settings.tracing.trace_context.is_on() { request.trace_id() } else { b"" },
    }
}

/// Logs what was wrong with an answer, or with the client that read it.
pub fn note_trouble(core: &Core, outcome: &Outcome) {
    match outcome.end {
        // A front end takes its time.
        End::Gone(Loss::Slow(overdue)) if core.current.is_some() => note_slow_reader(core, outcome, overdue),
        End::Gone(Loss::CutShort) => log::say(&format!("{}: {CUT_SHORT}", core.describe())),
        _ => {}
    }
    if outcome.has_set_coding && core.shared.log.set_codings.count(1, clock::monotonic_us()).is_some() {
        log::say(&format!(
            "{}: the application set Transfer-Encoding, which is the server's to set (PEP 3333); it was left out (said \
             once a minute)",
            core.describe()
        ));
    }
}

fn note_slow_reader(core: &Core, outcome: &Outcome, overdue: Overdue) {
    let limit = match overdue {
        Overdue::Silent => format!("nothing for {} s", outcome.send_timeout.as_secs()),
        Overdue::Trickling => {
            format!("less than http-min-rate = {} bytes a second", core.shared.context.settings.http.min_rate)
        }
    };
    log::say(&format!("{}: the client read {limit}; its answer was cut off", core.describe()));
}

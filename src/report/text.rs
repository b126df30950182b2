//! The status as text: an entry of the log of several lines.

use super::{Status, WorkerStatus};
use crate::shm::scoreboard::{CoreSnapshot, Stage};
use std::fmt::Write;

pub fn render(status: &Status) -> String {
    let now = status.now_us;
    let mut out = format!(
        "status: {}, generation {}, up {} s{}",
        status.phase,
        status.generation,
        seconds(now, status.started_us),
        if status.is_paused { ", paused" } else { "" }
    );
    for listener in &status.listeners {
        let queue = listener.waiting.map_or_else(String::new, |waiting| format!(", {waiting} waiting"));
        let _ = write!(out, "\nlistens on {}{queue}", listener.name);
    }
    for worker in &status.workers {
        push_worker(&mut out, worker, now);
    }
    out
}

fn push_worker(out: &mut String, worker: &WorkerStatus, now: u64) {
    let shown = &worker.on_scoreboard;
    let _ = write!(
        out,
        "\n{}: {}, generation {}, {} requests, {} exceptions, {} clients gone, {} refused, up {} s",
        worker.name,
        stage(worker),
        shown.generation,
        shown.requests,
        shown.exceptions,
        shown.gone_clients,
        shown.refused,
        seconds(now, worker.started_us)
    );
    for (index, core) in shown.cores.iter().enumerate() {
        push_core(out, index, core, now);
    }
}

fn push_core(out: &mut String, index: usize, core: &CoreSnapshot, now: u64) {
    if let Some(current) = &core.current {
        let ms = now.saturating_sub(current.started_us) / 1000;
        let _ = write!(out, "\n  core {index}: {current} for {ms} ms");
    }
}

fn stage(worker: &WorkerStatus) -> String {
    match (&worker.leaving, worker.on_scoreboard.stage) {
        (Some(why), _) => format!("leaving ({why})"),
        (None, Stage::Ready) => "ready".to_owned(),
        (None, Stage::Booting) => "booting".to_owned(),
        (None, Stage::Retiring) => "retiring".to_owned(),
        (None, Stage::Gone) => "gone".to_owned(),
    }
}

fn seconds(now: u64, since: u64) -> u64 {
    now.saturating_sub(since) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::super::tests::of;
    use super::*;
    use crate::shm::scoreboard::Scoreboard;

    #[test]
    fn the_status_names_everybody_and_what_runs() {
        let scoreboard = Scoreboard::new(3, 2).unwrap();
        for (slot, id, generation) in [(0, 1, 3), (2, 2, 2)] {
            scoreboard.worker(slot).assign(id, generation, scoreboard.next_assignment());
        }
        scoreboard.worker(0).set_stage(Stage::Ready);
        scoreboard.core(0, 1).set_ids(b"4f1c", b"");
        scoreboard.core(0, 1).begin(8, 9_000_000, 0, b"GET", b"/slow");
        let expected = [
            "status: Serving, generation 3, up 8 s, paused",
            "listens on 127.0.0.1:80, 4 waiting",
            "listens on /run/s",
            "worker 1 (pid 9): ready, generation 3, 0 requests, 0 exceptions, 0 clients gone, 0 refused, up 5 s",
            "  core 1: GET /slow id 4f1c for 500 ms",
            "worker 2 (pid 9): leaving (reloaded), generation 2, 0 requests, 0 exceptions, 0 clients gone, 0 refused, up 5 s",
        ];
        assert_eq!(render(&of(scoreboard)).lines().collect::<Vec<_>>(), expected);
    }
}

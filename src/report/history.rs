//! A short history of the server: samples of what has happened between two looks at its status.

use super::prometheus::waiting;
use super::{Status, Totals};
use crate::shm::scoreboard::{BUCKETS, Phase, Stage};
use std::collections::VecDeque;
use std::fmt::Write;

/// Between two samples.
pub const EVERY_US: u64 = 5_000_000;
/// 15 minutes of them.
const MAX_SAMPLES: usize = 180;

/// What only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    requests: u64,
    /// Answers with 5xx.
    errors: u64,
    refused: u64,
    exceptions: u64,
    sent: u64,
    received: u64,
    spawns: u64,
    harakiri: u64,
    latency_us: u64,
    latency: [u64; BUCKETS],
}

/// What has happened since the sample before, and what there is now.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    wall_us: u64,
    span_us: u64,
    grown: Sums,
    workers: usize,
    busy: usize,
    cores: usize,
    waiting: u64,
    backlog: u64,
    rss: u64,
    /// Milliseconds within which a half, 95 % and 99 % of the requests were answered; `None`: there were none.
    percentiles: Option<[f64; 3]>,
}

#[derive(Debug, Default)]
pub struct History {
    samples: VecDeque<Sample>,
    last: Option<(u64, Sums)>,
}

impl History {
    /// Takes a sample. The first look only begins the first interval.
    pub fn add(&mut self, status: &Status) {
        let sums = Sums::of(&status.totals);
        let (now, before) = (status.now_us, self.last.replace((status.now_us, sums)));
        let Some((since, before)) = before else { return };
        if self.samples.len() == MAX_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample::of(status, now.saturating_sub(since), sums.since(before)));
    }

    pub fn render(&self) -> String {
        let mut out = format!("{{\"every_s\":{},\"samples\":[", EVERY_US / 1_000_000);
        for (index, sample) in self.samples.iter().enumerate() {
            out.push_str(if index == 0 { "" } else { "," });
            sample.push(&mut out);
        }
        out.push_str("]}");
        out
    }
}

impl Sums {
    fn of(totals: &Totals) -> Sums {
        let counters = totals.counters();
        let answers = || counters.answers.iter();
        let cores = counters.of_cores();
        Sums {
            requests: answers().flatten().sum(),
            errors: answers().map(|classes| classes[3]).sum(),
            refused: counters.sums.refused,
            exceptions: counters.sums.exceptions,
            sent: counters.bytes_sent(),
            received: cores.bytes_received,
            spawns: totals.workers.iter().map(|worker| worker.spawns).sum(),
            harakiri: totals.workers.iter().map(|worker| worker.harakiri).sum(),
            latency_us: counters.latency_us(),
            latency: counters.latency,
        }
    }

    fn since(self, before: Sums) -> Sums {
        Sums {
            requests: self.requests.saturating_sub(before.requests),
            errors: self.errors.saturating_sub(before.errors),
            refused: self.refused.saturating_sub(before.refused),
            exceptions: self.exceptions.saturating_sub(before.exceptions),
            sent: self.sent.saturating_sub(before.sent),
            received: self.received.saturating_sub(before.received),
            spawns: self.spawns.saturating_sub(before.spawns),
            harakiri: self.harakiri.saturating_sub(before.harakiri),
            latency_us: self.latency_us.saturating_sub(before.latency_us),
            latency: std::array::from_fn(|at| self.latency[at].saturating_sub(before.latency[at])),
        }
    }
}

impl Sample {
    fn of(status: &Status, span_us: u64, grown: Sums) -> Sample {
        let ready = || {
            let workers = status.workers.iter().map(|worker| (&worker.leaving, &worker.on_scoreboard));
            workers.filter(|(leaving, one)| leaving.is_none() && one.stage == Stage::Ready)
        };
        let cores = status.workers.iter().flat_map(|worker| &worker.on_scoreboard.cores);
        Sample {
            wall_us: status.instance.wall_us,
            span_us,
            workers: ready().count(),
            busy: cores.filter(|core| core.phase != Phase::Idle).count(),
            cores: ready().map(|(_, one)| one.cores.len()).sum(),
            waiting: waiting(status),
            backlog: status.listeners.iter().filter_map(|listener| listener.waiting).map(u64::from).sum(),
            rss: status.workers.iter().map(|worker| worker.memory.resident).sum(),
            percentiles: percentiles(&grown.latency, &status.instance.bounds_us),
            grown,
        }
    }

    fn push(&self, out: &mut String) {
        let Sample { grown, .. } = self;
        let at = self.wall_us as f64 / 1e6;
        let span = self.span_us as f64 / 1e6;
        let _ = write!(
            out,
            "{{\"at\":{at:.3},\"span_s\":{span:.3},\"requests\":{},\"errors\":{},\"refused\":{},\"exceptions\":{},\
             \"tx\":{},\"rx\":{},\"respawns\":{},\"harakiri\":{},\"workers\":{},\"busy\":{},\"cores\":{},\
             \"waiting\":{},\"backlog\":{},\"rss\":{}",
            grown.requests,
            grown.errors,
            grown.refused,
            grown.exceptions,
            grown.sent,
            grown.received,
            grown.spawns,
            grown.harakiri,
            self.workers,
            self.busy,
            self.cores,
            self.waiting,
            self.backlog,
            self.rss,
        );
        let measured: u64 = grown.latency.iter().sum();
        let mean = (measured > 0).then(|| grown.latency_us as f64 / 1e3 / measured as f64);
        let [p50, p95, p99] = self.percentiles.map_or([None; 3], |all| all.map(Some));
        for (name, value) in [("mean_ms", mean), ("p50_ms", p50), ("p95_ms", p95), ("p99_ms", p99)] {
            let _ = match value {
                Some(value) => write!(out, ",\"{name}\":{value:.3}"),
                None => write!(out, ",\"{name}\":null"),
            };
        }
        out.push('}');
    }
}

/// Milliseconds within which a half, 95 % and 99 % of the requests of a histogram were answered, evenly spread in each
/// bucket; beyond the last bound there is nothing to tell but that.
fn percentiles(latency: &[u64; BUCKETS], bounds_us: &[u64]) -> Option<[f64; 3]> {
    let count: u64 = latency.iter().sum();
    let of = |part: f64| {
        let (rank, mut below) = (part * count as f64, 0.0);
        for (index, &bound) in bounds_us.iter().enumerate() {
            let here = latency[index] as f64;
            if here > 0.0 && below + here >= rank {
                let start = if index == 0 { 0 } else { bounds_us[index - 1] };
                return (start as f64 + (bound - start) as f64 * (rank - below) / here) / 1e3;
            }
            below += here;
        }
        bounds_us.last().map_or(0.0, |&last| last as f64 / 1e3)
    };
    (count > 0).then(|| [0.5, 0.95, 0.99].map(of))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::WorkerTotals;
    use crate::report::tests::status;

    fn after(seconds: u64, requests: u64) -> Status {
        let mut worker = WorkerTotals::default();
        worker.counters.answers = vec![[requests, 0, 0, requests, 0]];
        worker.counters.latency[1] = requests;
        let mut status = Status { workers: Vec::new(), ..status() };
        (status.now_us, status.instance.wall_us) =
            (seconds * 1_000_000, 1_790_000_000_500_000 + seconds * 1_000_000);
        (status.instance.bounds_us, status.totals.workers) = (vec![1000, 3000], vec![worker]);
        status
    }

    #[test]
    fn a_sample_is_what_has_happened_since_the_one_before() {
        let mut history = History::default();
        history.add(&after(1, 10));
        assert_eq!(history.render(), "{\"every_s\":5,\"samples\":[]}");
        history.add(&after(6, 14));
        history.add(&after(11, 14));
        let text = history.render();
        assert!(
            text.contains("{\"at\":1790000006.500,\"span_s\":5.000,\"requests\":8,\"errors\":4,"),
            "{text}"
        );
        assert!(text.contains("\"p50_ms\":2.000,\"p95_ms\":2.900,\"p99_ms\":2.980}"), "{text}");
        assert!(text.ends_with("\"p99_ms\":null}]}"), "{text}");
    }

    #[test]
    fn there_are_fifteen_minutes() {
        let mut history = History::default();
        (0..200).for_each(|index| history.add(&after(5 * index, index)));
        assert_eq!(history.samples.len(), 180);
        assert_eq!(history.samples[179].wall_us, after(995, 0).instance.wall_us);
    }

    #[test]
    fn beyond_the_last_bound_there_is_only_the_bound() {
        let mut latency = [0; BUCKETS];
        assert_eq!(percentiles(&latency, &[1000]), None);
        latency[1] = 5;
        assert_eq!(percentiles(&latency, &[1000]), Some([1.0; 3]));
    }
}

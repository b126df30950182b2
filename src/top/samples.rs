//! What was read one after the other: rates are the differences between two samples.

use super::document::{Document, Worker};
use super::latency::{Histogram, Latency};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Percentiles are of the requests of this long.
pub const WINDOW: Duration = Duration::from_secs(30);
/// Points of a curve: as many as a wide terminal shows.
const MAX_POINTS: usize = 400;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    pub requests: f64,
    pub tx: f64,
}

/// For the curves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    pub requests: f64,
    pub busy: f64,
    pub queue: f64,
    pub p95_ms: f64,
}

#[derive(Debug, Default)]
pub struct Samples {
    pub last: Option<Document>,
    last_at: Option<Instant>,
    /// By the number of the worker; empty until there are two samples.
    pub of_workers: HashMap<u64, Rates>,
    pub total: Option<Rates>,
    pub points: VecDeque<Point>,
    histograms: VecDeque<(Instant, Histogram)>,
}

impl Samples {
    pub fn add(&mut self, document: Document, at: Instant) {
        let before = self.last.take().filter(|before| before.pid == document.pid);
        if before.is_none() {
            self.histograms.clear();
        }
        let seconds = self.last_at.map_or(0.0, |before| at.duration_since(before).as_secs_f64());
        self.of_workers.clear();
        self.total = None;
        if let Some(before) = before.filter(|_| seconds > 0.0) {
            self.compare(&before, &document, seconds);
        }
        self.keep_histogram(&document, at);
        self.last = Some(document);
        self.last_at = Some(at);
        self.push_point();
    }

    fn compare(&mut self, before: &Document, now: &Document, seconds: f64) {
        let counted = |document: &Document| -> HashMap<u64, (u64, u64)> {
            let mut all = HashMap::new();
            for Worker { id, requests, tx, .. } in &document.workers {
                let entry = all.entry(*id).or_insert((0, 0));
                *entry = (*requests.max(&entry.0), *tx.max(&entry.1));
            }
            all
        };
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let before = counted(before);
        for (id, (requests, tx)) in counted(now) {
            let (had_requests, had_tx) = before.get(&id).copied().unwrap_or((requests, tx));
            let rates = Rates { requests: rate(requests, had_requests), tx: rate(tx, had_tx) };
            self.of_workers.insert(id, rates);
        }
        let sum = |of: fn(&Rates) -> f64| self.of_workers.values().map(of).sum();
        self.total = Some(Rates { requests: sum(|rates| rates.requests), tx: sum(|rates| rates.tx) });
    }

    fn keep_histogram(&mut self, document: &Document, at: Instant) {
        let Some(latency) = document.own.as_ref().and_then(|own| own.latency.clone()) else { return };
        self.histograms.push_back((at, latency));
        // The last one before the window begins is what the others are compared with.
        while self.histograms.get(1).is_some_and(|(second, _)| at.duration_since(*second) >= WINDOW) {
            self.histograms.pop_front();
        }
    }

    fn push_point(&mut self) {
        let Some(document) = &self.last else { return };
        let queue = document.queue + document.own.as_ref().map_or(0, |own| own.waiting);
        let point = Point {
            requests: self.total.map_or(0.0, |total| total.requests),
            busy: document.sum(|worker| worker.busy) as f64,
            queue: queue as f64,
            p95_ms: self.percentiles().map_or(0.0, |[_, p95, _]| p95.ms()),
        };
        self.points.push_back(point);
        if self.points.len() > MAX_POINTS {
            self.points.pop_front();
        }
    }

    /// The median, p95 and p99 of the requests of the window; while there is one sample, of all.
    pub fn percentiles(&self) -> Option<[Latency; 3]> {
        let (_, last) = self.histograms.back()?;
        let meanwhile = match self.histograms.front() {
            Some((_, first)) if self.histograms.len() > 1 => last.since(first)?,
            _ => last.clone(),
        };
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|part| meanwhile.percentile(part));
        Some([p50?, p95?, p99?])
    }

    /// Are the percentiles those since the start of the server?
    pub fn is_since_start(&self) -> bool {
        self.histograms.len() == 1
    }

    /// The mean of uWSGI's averages, weighed by the requests of each worker: milliseconds.
    pub fn average_ms(&self) -> f64 {
        let Some(document) = &self.last else { return 0.0 };
        let weighed = |worker: &Worker| worker.avg_rt as f64 * worker.requests as f64;
        let sum: f64 = document.workers.iter().map(weighed).sum();
        sum / document.sum(|worker| worker.requests).max(1) as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(pid: u64, requests: u64) -> Document {
        let worker = Worker { id: 1, requests, tx: requests * 100, ..Worker::default() };
        Document { pid, workers: vec![worker], ..Document::default() }
    }

    #[test]
    fn rates_are_of_the_time_between() {
        let (mut samples, begin) = (Samples::default(), Instant::now());
        samples.add(document(1, 100), begin);
        assert_eq!(samples.total, None);
        samples.add(document(1, 150), begin + Duration::from_secs(2));
        assert_eq!(samples.total, Some(Rates { requests: 25.0, tx: 2500.0 }));
        assert_eq!(samples.of_workers[&1].requests, 25.0);
        samples.add(document(2, 3), begin + Duration::from_secs(3));
        assert_eq!(samples.total, None, "another server");
    }

    #[test]
    fn percentiles_are_of_the_window() {
        let (mut samples, begin) = (Samples::default(), Instant::now());
        for second in 0..40 {
            let counts: [u64; 2] = if second < 5 { [second, 0] } else { [5, second] };
            let latency = serde_json::json!({"bounds_ms": [10], "counts": counts});
            let own = super::super::document::Own { latency: Histogram::of(&latency), ..Default::default() };
            let document = Document { own: Some(own), ..document(1, second) };
            samples.add(document, begin + Duration::from_secs(second));
        }
        assert_eq!(samples.percentiles().unwrap()[0], Latency::Over(10.0));
        assert_eq!(samples.histograms.len(), 31);
    }
}

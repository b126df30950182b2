//! The lines above the table: what holds for the whole server.

use super::document::Own;
use super::samples::{Point, Samples, WINDOW};
use super::text::escaped;
use super::units;

/// The first column behind the names of lines, and where curves begin.
const CURVE_AT: usize = 48;

pub struct Lines<'a> {
    pub samples: &'a Samples,
    pub width: usize,
    pub utf8: bool,
}

impl Lines<'_> {
    pub fn all(&self) -> Vec<String> {
        vec![self.requests(), self.latency(), self.cores(), self.queue(), self.totals()]
    }

    /// Name, place and age of the server, for the left side of the first line.
    pub fn title(&self, address: &str) -> String {
        let Some(document) = &self.samples.last else { return escaped(address) };
        let own = document.own.as_ref();
        let state = own.map_or(String::new(), |own| {
            let up = units::span(own.uptime_s as u64);
            format!("  {} generation {} up {up}", escaped(&own.phase), own.generation)
        });
        format!("{}{state}  {}  {}", escaped(&document.server), escaped(address), escaped(&document.cwd))
    }

    fn with_curve(&self, text: String, of: fn(&Point) -> f64) -> String {
        let room = self.width.saturating_sub(CURVE_AT + 1).min(self.samples.points.len());
        let points: Vec<f64> =
            self.samples.points.iter().skip(self.samples.points.len() - room).map(of).collect();
        if room < 2 || text.len() >= CURVE_AT {
            text
        } else {
            format!("{text:<CURVE_AT$}{}", units::curve(&points, self.utf8))
        }
    }

    fn requests(&self) -> String {
        let Some(document) = &self.samples.last else { return String::new() };
        let rate = self.samples.total.map_or("-".to_owned(), |total| units::rate(total.requests));
        let sum = document.sum(|worker| worker.requests);
        self.with_curve(format!("requests  {rate}/s, {sum} in all"), |point| point.requests)
    }

    fn latency(&self) -> String {
        let is_rwsgi = self.samples.last.as_ref().is_some_and(|document| document.is_rwsgi());
        if !is_rwsgi {
            return format!(
                "latency   {} in the mean (uWSGI's averages)",
                units::ms(self.samples.average_ms())
            );
        }
        let Some(percentiles) = self.samples.percentiles() else {
            return format!("latency   no request within {} s", WINDOW.as_secs());
        };
        let [p50, p95, p99] = percentiles.map(units::latency);
        let when = if self.samples.is_since_start() { "ever" } else { "30 s" };
        self.with_curve(format!("latency   p50 {p50} p95 {p95} p99 {p99} ({when})"), |point| point.p95_ms)
    }

    fn cores(&self) -> String {
        let Some(document) = &self.samples.last else { return String::new() };
        let (busy, cores) = (document.sum(|worker| worker.busy), document.cores());
        let of = if cores > 0 { format!(" of {cores}") } else { String::new() };
        let workers = document.workers.iter().filter(|worker| worker.pid > 0).count();
        self.with_curve(format!("cores     {busy}{of} busy in {workers} workers"), |point| point.busy)
    }

    fn queue(&self) -> String {
        let Some(document) = &self.samples.last else { return String::new() };
        let waiting = document.own.as_ref().map(|own| format!(", {} in workers", own.waiting));
        let of = if document.max_queue > 0 { format!(" of {}", document.max_queue) } else { String::new() };
        let waiting = waiting.unwrap_or_default();
        let text = format!("queue     {}{of} in backlog{waiting}", document.queue);
        self.with_curve(text, |point| point.queue)
    }

    fn totals(&self) -> String {
        let Some(document) = &self.samples.last else { return String::new() };
        let tx = self.samples.total.map_or("-".to_owned(), |total| units::bytes(total.tx));
        let rss = document.sum(|worker| worker.rss);
        let rss = if rss == 0 { "-".to_owned() } else { units::bytes(rss as f64) };
        let [exceptions, harakiri, respawns] = [
            document.sum(|worker| worker.exceptions),
            document.sum(|worker| worker.harakiri),
            document.sum(|worker| worker.respawns.saturating_sub(1)),
        ];
        let trouble = document.own.as_ref().map_or(String::new(), trouble);
        format!(
            "sent {tx}/s  rss {rss}  exceptions {exceptions}  harakiri {harakiri}  respawns {respawns}{trouble}"
        )
    }
}

/// A write to the log that comes back within this time is not worth a word.
const SOON_MS: u64 = 500;

/// What ought not to be at all, and is not shown where it is not.
fn trouble(own: &Own) -> String {
    let counts = [
        ("died", own.deaths),
        ("failed reloads", own.failed_reloads),
        ("dropped log lines", own.dropped_lines),
    ];
    let mut out: String = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("  {name} {count}"))
        .collect();
    if own.stalled_ms >= SOON_MS {
        out += &format!("  log stalled for {}", units::ms(own.stalled_ms as f64));
    }
    out
}

//! The rows of the table: of workers, of the requests that run, of cores.

use super::document::{Core, Document, Running, Worker};
use super::samples::Samples;
use super::text::escaped;
use super::units;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    Workers,
    Requests,
    Cores,
}

impl View {
    pub const ALL: [View; 3] = [View::Workers, View::Requests, View::Cores];

    pub fn name(self) -> &'static str {
        ["workers", "requests", "cores"][self as usize]
    }

    pub fn next(self) -> View {
        View::ALL[(self as usize + 1) % View::ALL.len()]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Id,
    Rate,
    Requests,
    Average,
    Memory,
    Busy,
    Age,
}

impl Sort {
    pub const ALL: [Sort; 7] =
        [Sort::Id, Sort::Rate, Sort::Requests, Sort::Average, Sort::Memory, Sort::Busy, Sort::Age];

    pub fn name(self) -> &'static str {
        ["id", "rate", "requests", "average time", "memory", "busy cores", "age"][self as usize]
    }

    pub fn key(self) -> char {
        ['i', 'r', 'n', 'l', 'm', 'b', 'a'][self as usize]
    }

    pub fn next(self) -> Sort {
        Sort::ALL[(self as usize + 1) % Sort::ALL.len()]
    }
}

/// What a row is about; stays the same from sample to sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub worker: u64,
    pub pid: u64,
    pub core: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Idle,
    Slow,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub place: Place,
    pub text: String,
    pub tone: Tone,
    /// What a filter is looked for in.
    haystack: String,
    /// By which it is sorted.
    keys: [f64; 7],
}

/// From this age on a request is shown as a slow one.
const SLOW_MS: u64 = 5_000;
/// From so many columns on there is room for what is seldom wanted.
const WIDE: usize = 110;

pub struct Table<'a> {
    pub samples: &'a Samples,
    pub view: View,
    pub sort: Sort,
    pub reverse: bool,
    pub filter: &'a str,
    pub width: usize,
}

impl Table<'_> {
    pub fn heading(&self) -> String {
        match self.view {
            View::Workers => {
                let more = if self.is_wide() { " WAIT    TX/s   EXC HARA SPWN" } else { "" };
                let average = "AVG";
                format!("  ID     PID STATUS    BUSY   REQ/S REQUESTS {average:>7}    RSS{more} RUNNING")
            }
            View::Requests => "WORKER CORE     PID     AGE METHOD  URI".to_owned(),
            View::Cores => "WORKER CORE REQUESTS STATE     AGE METHOD  URI".to_owned(),
        }
    }

    fn is_wide(&self) -> bool {
        self.width >= WIDE
    }

    pub fn rows(&self) -> Vec<Row> {
        let Some(document) = &self.samples.last else { return Vec::new() };
        let mut rows = match self.view {
            View::Workers => document.workers.iter().map(|worker| self.of_worker(worker)).collect(),
            View::Requests => self.of_requests(document),
            View::Cores => self.of_cores(document),
        };
        let wanted = self.filter.to_lowercase();
        rows.retain(|row: &Row| row.haystack.to_lowercase().contains(&wanted));
        self.put_in_sequence(&mut rows);
        rows
    }

    /// Numbers of workers rise, anything else falls; `reverse` has it the other way round.
    fn put_in_sequence(&self, rows: &mut [Row]) {
        let falls = (self.sort != Sort::Id) != self.reverse;
        let at = self.sort as usize;
        rows.sort_by(|one, other| {
            let by_key = one.keys[at].total_cmp(&other.keys[at]);
            let by_key = if falls { by_key.reverse() } else { by_key };
            let by_place = one.place.cmp(&other.place);
            by_key.then(if self.reverse && self.sort == Sort::Id { by_place.reverse() } else { by_place })
        });
    }

    fn keys(&self, worker: &Worker) -> [f64; 7] {
        let rate = self.samples.of_workers.get(&worker.id).map_or(0.0, |rates| rates.requests);
        let oldest = worker.running().first().map_or(-1.0, |(_, running)| running.age_ms as f64);
        let [id, requests, average, rss, busy] =
            [worker.id, worker.requests, worker.avg_rt, worker.rss, worker.busy].map(|number| number as f64);
        [id, rate, requests, average, rss, busy, oldest]
    }

    fn of_worker(&self, worker: &Worker) -> Row {
        let running = worker.running();
        let oldest = running.first().map(|(_, running)| *running);
        let more = if self.is_wide() { self.more_of(worker) } else { String::new() };
        let uris: Vec<_> =
            running.iter().map(|(_, running)| format!("{} {}", running.method, running.uri)).collect();
        let text = format!(
            "{}{more} {}",
            self.common(worker),
            oldest.map(|oldest| described(oldest, running.len() - 1)).unwrap_or_default()
        );
        Row {
            place: Place { worker: worker.id, pid: worker.pid, core: None },
            haystack: format!("{text} {}", uris.join(" ")),
            text,
            tone: if worker.busy == 0 { Tone::Idle } else { tone(oldest) },
            keys: self.keys(worker),
        }
    }

    fn common(&self, worker: &Worker) -> String {
        let rate = self.samples.of_workers.get(&worker.id);
        format!(
            "{:>4} {:>7} {:<7.7} {:>6} {:>7} {:>8} {:>7} {:>6}",
            worker.id,
            worker.pid,
            escaped(&worker.status),
            busy(worker),
            rate.map_or("-".to_owned(), |rates| units::rate(rates.requests)),
            units::count(worker.requests),
            units::ms(worker.avg_rt as f64 / 1000.0),
            known(worker.rss, |rss| units::bytes(rss as f64)),
        )
    }

    fn more_of(&self, worker: &Worker) -> String {
        let rate = self.samples.of_workers.get(&worker.id);
        format!(
            " {:>4} {:>7} {:>5} {:>4} {:>4}",
            worker.waiting,
            rate.map_or("-".to_owned(), |rates| units::bytes(rates.tx)),
            units::count(worker.exceptions),
            worker.harakiri,
            worker.respawns,
        )
    }

    fn of_requests(&self, document: &Document) -> Vec<Row> {
        let all = document.workers.iter().flat_map(|worker| {
            worker.running().into_iter().map(move |(core, running)| (worker, core, running))
        });
        all.map(|(worker, core, running)| {
            let head = format!("{:>6} {:>4} {:>7}", worker.id, core.id, worker.pid);
            self.of_core(worker, core, format!("{head} {}", columns(running)))
        })
        .collect()
    }

    fn of_cores(&self, document: &Document) -> Vec<Row> {
        let all =
            document.workers.iter().flat_map(|worker| worker.cores.iter().map(move |core| (worker, core)));
        all.map(|(worker, core)| {
            let state = if core.running.is_some() { "busy" } else { "idle" };
            let rest = core.running.as_ref().map(columns).unwrap_or_default();
            let requests = units::count(core.requests);
            let text = format!("{:>6} {:>4} {requests:>8} {state:<5} {rest}", worker.id, core.id);
            self.of_core(worker, core, text)
        })
        .collect()
    }

    fn of_core(&self, worker: &Worker, core: &Core, text: String) -> Row {
        let mut keys = self.keys(worker);
        keys[Sort::Requests as usize] = core.requests as f64;
        keys[Sort::Busy as usize] = f64::from(core.running.is_some());
        keys[Sort::Age as usize] = core.running.as_ref().map_or(-1.0, |running| running.age_ms as f64);
        Row {
            place: Place { worker: worker.id, pid: worker.pid, core: Some(core.id) },
            haystack: text.clone(),
            text,
            tone: if core.running.is_none() { Tone::Idle } else { tone(core.running.as_ref()) },
            keys,
        }
    }
}

fn busy(worker: &Worker) -> String {
    if worker.cores.is_empty() { "-".to_owned() } else { format!("{}/{}", worker.busy, worker.cores.len()) }
}

/// uWSGI tells no memory without memory-report.
fn known(number: u64, show: impl Fn(u64) -> String) -> String {
    if number == 0 { "-".to_owned() } else { show(number) }
}

fn described(running: &Running, others: usize) -> String {
    let more = if others > 0 { format!("+{others} ") } else { String::new() };
    format!("{} {more}{} {}", units::age(running.age_ms), escaped(&running.method), escaped(&running.uri))
}

fn columns(running: &Running) -> String {
    let age = units::age(running.age_ms);
    format!("{age:>7} {:<7} {}", escaped(&running.method), escaped(&running.uri))
}

fn tone(oldest: Option<&Running>) -> Tone {
    if oldest.is_some_and(|running| running.age_ms >= SLOW_MS) { Tone::Slow } else { Tone::Plain }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn samples() -> Samples {
        let core = |id, uri: &str, age_ms| Core {
            id,
            requests: id,
            running: Some(Running { method: "GET".into(), uri: uri.into(), age_ms }),
        };
        let worker = |id, cores: Vec<Core>| Worker {
            id,
            pid: id + 100,
            busy: cores.iter().filter(|core| core.running.is_some()).count() as u64,
            requests: id * 10,
            cores,
            ..Worker::default()
        };
        let idle = Core { id: 2, ..Core::default() };
        let workers =
            vec![worker(2, vec![core(0, "/old", 6000), core(1, "/\x1b[2J", 10)]), worker(1, vec![idle])];
        let mut samples = Samples::default();
        samples.add(Document { workers, ..Document::default() }, Instant::now());
        samples
    }

    fn texts(view: View, sort: Sort, reverse: bool, filter: &str) -> Vec<String> {
        let samples = samples();
        let table = Table { samples: &samples, view, sort, reverse, filter, width: 80 };
        table.rows().into_iter().map(|row| row.text).collect()
    }

    #[test]
    fn rows_are_in_the_sequence_that_is_asked_for() {
        let first = |view, sort, reverse| texts(view, sort, reverse, "")[0].clone();
        assert!(first(View::Workers, Sort::Id, false).starts_with("   1     101"));
        assert!(first(View::Workers, Sort::Id, true).starts_with("   2"));
        assert!(first(View::Workers, Sort::Requests, false).starts_with("   2"));
        assert!(first(View::Requests, Sort::Age, false).ends_with("   6.0s GET     /old"));
        assert!(first(View::Requests, Sort::Age, true).contains("10ms"));
        assert_eq!(texts(View::Cores, Sort::Id, false, "").len(), 3);
    }

    #[test]
    fn a_worker_shows_its_oldest_request_and_is_found_by_any() {
        let found = texts(View::Workers, Sort::Id, false, "2J");
        assert_eq!(found.len(), 1);
        assert!(found[0].ends_with(" 6.0s +1 GET /old"), "{found:?}");
        assert!(texts(View::Requests, Sort::Age, false, "get     /\\x1b[2j")[0].ends_with("/\\x1b[2J"));
    }

    #[test]
    fn headings_stand_above_their_columns() {
        let samples = samples();
        for view in View::ALL {
            let table =
                Table { samples: &samples, view, sort: Sort::Id, reverse: true, filter: "", width: 120 };
            let (heading, row) = (table.heading(), table.rows().remove(0).text);
            let last = heading.rfind(' ').unwrap() + 1;
            assert_eq!(&row[last - 1..last], " ", "{heading}\n{row}");
            assert_ne!(&row[last..last + 1], " ", "{heading}\n{row}");
        }
    }
}

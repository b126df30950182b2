//! The state of the view: what was read, and what keys have chosen to be shown.

use super::arguments::Arguments;
use super::client::Protocol;
use super::reader::Told;
use super::rows::{Place, Row, Sort, Table, View};
use super::samples::Samples;
use super::stacks;
use std::time::{Duration, Instant};

pub struct App {
    pub address: String,
    pub interval: Duration,
    pub samples: Samples,
    pub protocol: Option<Protocol>,
    /// Since when there are no samples, and why.
    pub lost: Option<(Instant, String)>,
    pub view: View,
    pub sorts: [Sort; 3],
    pub reverse: bool,
    pub filter: String,
    pub is_typing: bool,
    pub is_paused: bool,
    pub shows_help: bool,
    pub selected: Option<Place>,
    pub stacks: Option<Stacks>,
    /// The first row that is shown, and how many are.
    pub first: usize,
    pub height: usize,
    pub width: usize,
    pub utf8: bool,
    pub demand: Option<Demand>,
}

/// The stacks of a worker that are shown.
pub struct Stacks {
    pub worker: u64,
    pub lines: Result<Vec<String>, String>,
    pub first: usize,
}

/// What a key asks of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    Quit,
    Suspend,
    Redraw,
}

impl App {
    pub fn new(arguments: &Arguments) -> App {
        App {
            address: arguments.address.to_string(),
            interval: arguments.interval.unwrap_or(Duration::from_secs(1)),
            samples: Samples::default(),
            protocol: None,
            lost: None,
            view: View::Workers,
            sorts: [Sort::Id, Sort::Age, Sort::Id],
            reverse: false,
            filter: String::new(),
            is_typing: false,
            is_paused: false,
            shows_help: false,
            selected: None,
            stacks: None,
            first: 0,
            height: 1,
            width: 80,
            utf8: speaks_utf8(),
            demand: None,
        }
    }

    pub fn table(&self) -> Table<'_> {
        Table {
            samples: &self.samples,
            view: self.view,
            sort: self.sorts[self.view as usize],
            reverse: self.reverse,
            filter: &self.filter,
            width: self.width,
        }
    }

    pub fn rows(&self) -> Vec<Row> {
        self.table().rows()
    }

    /// The row that is selected, or the one that a selection begins with.
    pub fn at(&self, rows: &[Row]) -> usize {
        self.selected.and_then(|place| rows.iter().position(|row| row.place == place)).unwrap_or(0)
    }

    pub fn show_stacks(&mut self) {
        let rows = self.rows();
        let Some(row) = rows.get(self.at(&rows)) else { return };
        let worker = row.place.worker;
        let hindrance =
            self.samples.last.as_ref().and_then(|document| stacks::hindrance(document, self.protocol));
        let lines = hindrance.map_or(Ok(Vec::new()), Err);
        self.stacks = Some(Stacks { worker, lines, first: 0 });
    }

    /// The worker whose stacks are to be read.
    pub fn stacks_wanted(&self) -> Option<u64> {
        let stacks = self.stacks.as_ref()?;
        let document = self.samples.last.as_ref()?;
        stacks::hindrance(document, self.protocol).is_none().then_some(stacks.worker)
    }

    pub fn take(&mut self, told: Told) {
        match told {
            Told::Stats { document: Ok(document), at, protocol } => {
                self.samples.add(*document, at);
                self.protocol = protocol;
                self.lost = None;
            }
            Told::Stats { document: Err(why), at, .. } => {
                let since = self.lost.take().map_or(at, |(since, _)| since);
                self.lost = Some((since, why));
            }
            Told::Stacks { worker, lines } => {
                if let Some(shown) = self.stacks.as_mut().filter(|shown| shown.worker == worker) {
                    shown.lines = lines;
                }
            }
        }
    }
}

fn speaks_utf8() -> bool {
    let value = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    value.is_some_and(|value| value.to_lowercase().replace('-', "").contains("utf8"))
}

//! The loop of the view: keys, samples and signals.

use super::app::{App, Demand};
use super::arguments::Arguments;
use super::client::Client;
use super::keys;
use super::reader::{Reader, Told, Wanted, sample};
use super::terminal::Screen;
use crate::base::reason::reason;
use crate::sys::{process, signal};
use crossterm::event;
use std::time::{Duration, Instant};

/// How late a signal or a sample may be seen.
const TICK: Duration = Duration::from_millis(50);
const SIGNALS: [i32; 6] =
    [signal::SIGINT, signal::SIGTERM, signal::SIGHUP, signal::SIGQUIT, signal::SIGTSTP, signal::SIGCONT];

/// When something is asked next, and what is on its way.
struct Pace {
    next: Instant,
    stats: bool,
    stacks: bool,
}

impl Pace {
    fn ask(&mut self, app: &App, reader: &Reader) {
        let now = Instant::now();
        if let Some(worker) = app.stacks_wanted().filter(|_| !self.stacks && self.is_new(app, now)) {
            self.stacks = reader.wanted.send(Wanted::Stacks(worker)).is_ok();
        }
        if now < self.next || self.stats || app.is_paused {
            return;
        }
        self.stats = reader.wanted.send(Wanted::Stats).is_ok();
        self.next = (self.next + app.interval).max(now);
    }

    /// Stacks come with each sample, and at once where there are none yet.
    fn is_new(&self, app: &App, now: Instant) -> bool {
        let is_empty = app.stacks.as_ref().is_some_and(|shown| shown.lines.as_ref().is_ok_and(Vec::is_empty));
        is_empty || (now >= self.next && !app.is_paused)
    }

    fn heard(&mut self, told: &Told) {
        match told {
            Told::Stats { .. } => self.stats = false,
            Told::Stacks { .. } => self.stacks = false,
        }
    }
}

/// Shows the server until a key or a signal ends it.
pub fn run(arguments: &Arguments) -> Result<i32, String> {
    let mut app = App::new(arguments);
    let mut client = Client::new(arguments.address.clone());
    // A wrong address is said where it was typed.
    let document = sample(&mut client)?;
    app.samples.add(document, Instant::now());
    app.protocol = client.protocol();
    let reader = Reader::start(client);
    signal::note_early(&SIGNALS).map_err(reason)?;
    let ended = Screen::new().and_then(|mut screen| show(&mut app, &reader, &mut screen));
    SIGNALS.into_iter().for_each(|signal| _ = signal::reset(signal));
    ended.map_err(|error| format!("the terminal: {}", reason(error)))
}

fn show(app: &mut App, reader: &Reader, screen: &mut Screen) -> std::io::Result<i32> {
    let mut pace = Pace { next: Instant::now() + app.interval, stats: false, stacks: false };
    let mut drawn = None::<Instant>;
    loop {
        pace.ask(app, reader);
        let mut is_new = drawn.is_none_or(|drawn| drawn.elapsed() >= Duration::from_secs(1));
        for told in reader.told.try_iter() {
            pace.heard(&told);
            app.take(told);
            is_new = true;
        }
        if is_new {
            screen.draw(app)?;
            drawn = Some(Instant::now());
        }
        if event::poll(TICK)? {
            keys::take(app, &event::read()?);
            drawn = None;
        }
        if let Some(status) = obey_signals(app) {
            return Ok(status);
        }
        match app.demand.take() {
            Some(Demand::Quit) => return Ok(0),
            Some(Demand::Suspend) => screen.lend(suspend)?,
            Some(Demand::Redraw) => screen.lend(|| ())?,
            None => continue,
        }
        drawn = None;
    }
}

/// The exit status, if a signal ends the view.
fn obey_signals(app: &mut App) -> Option<i32> {
    let noted = if signal::has_noted() { signal::take_noted() } else { return None };
    let ends = [signal::SIGINT, signal::SIGTERM, signal::SIGHUP, signal::SIGQUIT];
    if let Some(number) = ends.into_iter().find(|&number| signal::is_in(noted, number)) {
        return Some(128 + number);
    }
    if signal::is_in(noted, signal::SIGTSTP) {
        app.demand = Some(Demand::Suspend);
    } else if signal::is_in(noted, signal::SIGCONT) {
        app.demand = Some(Demand::Redraw);
    }
    None
}

/// Stops the process, as the signal would without a handler, until it is continued.
fn suspend() {
    let _ = signal::reset(signal::SIGTSTP);
    let _ = process::kill(process::pid(), signal::SIGTSTP);
    let _ = signal::note_early(&SIGNALS);
}

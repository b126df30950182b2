//! What keys do.

use super::app::{App, Demand};
use super::rows::{Sort, View};
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::time::Duration;

pub const HELP: &[&str] = &[
    "q, Ctrl-C       quit",
    "Tab, 1 2 3      view: workers, the requests that run, cores",
    "Up Down j k     select; PgUp PgDn Home End likewise",
    "Enter           the Python stacks of the selected worker, live; Esc closes them",
    "s               sort by the next column, or at once by",
    "  i r n l       id, rate, number of requests, average time",
    "  m b a         memory, busy cores, age of the oldest request",
    "o               the other way round",
    "/               show only rows with a text; Esc shows all again",
    "p, Space        pause, and go on",
    "+ -             longer and shorter interval",
    "Ctrl-L Ctrl-Z   draw anew, suspend",
    "",
    "AVG: each request counts as much as all before it, as uWSGI has it.",
    "Percentiles are of the requests that ended within the last 30 s.",
    "A worker's row shows its oldest request, and how many run beside it (+3).",
];

pub fn take(app: &mut App, event: &Event) {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => take_key(app, *key),
        _ => {}
    }
}

fn take_key(app: &mut App, key: KeyEvent) {
    match key.code {
        KeyCode::Char(c) if key.modifiers.contains(KeyModifiers::CONTROL) => take_control(app, c),
        code if app.is_typing => type_filter(app, code),
        KeyCode::Esc => close(app),
        KeyCode::Char(c) => take_char(app, c),
        code => take_other(app, code),
    }
}

fn take_control(app: &mut App, c: char) {
    match c {
        'c' | 'd' => app.demand = Some(Demand::Quit),
        'z' => app.demand = Some(Demand::Suspend),
        'l' => app.demand = Some(Demand::Redraw),
        'u' if app.is_typing => app.filter.clear(),
        _ => {}
    }
}

fn type_filter(app: &mut App, code: KeyCode) {
    match code {
        KeyCode::Char(c) => app.filter.push(c),
        KeyCode::Backspace => _ = app.filter.pop(),
        KeyCode::Enter => app.is_typing = false,
        KeyCode::Esc => {
            app.filter.clear();
            app.is_typing = false;
        }
        code => take_other(app, code),
    }
}

fn close(app: &mut App) {
    if app.shows_help {
        app.shows_help = false;
    } else if app.stacks.take().is_none() {
        app.filter.clear();
    }
}

fn take_char(app: &mut App, c: char) {
    match c {
        'q' => app.demand = Some(Demand::Quit),
        '?' | 'h' => app.shows_help = !app.shows_help,
        'p' | ' ' => app.is_paused = !app.is_paused,
        '/' => app.is_typing = true,
        'o' => app.reverse = !app.reverse,
        's' => sort_by(app, app.sorts[app.view as usize].next()),
        '1'..='3' => show(app, View::ALL[c as usize - '1' as usize]),
        'j' => move_by(app, 1),
        'k' => move_by(app, -1),
        '+' => app.interval = (app.interval * 2).min(Duration::from_secs(60)),
        '-' => app.interval = (app.interval / 2).max(Duration::from_millis(250)),
        _ => {
            if let Some(sort) = Sort::ALL.into_iter().find(|sort| sort.key() == c) {
                sort_by(app, sort);
            }
        }
    }
}

fn take_other(app: &mut App, code: KeyCode) {
    let page = app.height.max(2) as isize - 1;
    match code {
        KeyCode::Tab => show(app, app.view.next()),
        KeyCode::Enter => app.show_stacks(),
        KeyCode::Down => move_by(app, 1),
        KeyCode::Up => move_by(app, -1),
        KeyCode::PageDown => move_by(app, page),
        KeyCode::PageUp => move_by(app, -page),
        KeyCode::Home => move_by(app, isize::MIN),
        KeyCode::End => move_by(app, isize::MAX),
        _ => {}
    }
}

fn show(app: &mut App, view: View) {
    (app.view, app.stacks, app.first) = (view, None, 0);
}

fn sort_by(app: &mut App, sort: Sort) {
    app.sorts[app.view as usize] = sort;
    app.first = 0;
}

/// Moves the selection, or the stacks that are shown.
fn move_by(app: &mut App, rows: isize) {
    if let Some(stacks) = &mut app.stacks {
        let last = stacks.lines.as_ref().map_or(0, |lines| lines.len().saturating_sub(app.height));
        stacks.first = stacks.first.saturating_add_signed(rows).min(last);
        return;
    }
    let all = app.rows();
    let at = app.at(&all).saturating_add_signed(rows).min(all.len().saturating_sub(1));
    app.selected = all.get(at).map(|row| row.place);
}

#[cfg(test)]
mod tests {
    use super::super::arguments::{Parsed, parse};
    use super::super::document::{Document, Worker};
    use super::*;
    use std::time::Instant;

    fn app() -> App {
        let Parsed::Run(arguments) = parse(&["/x".to_owned()]) else { panic!() };
        let mut app = App::new(&arguments);
        let worker = |id| Worker { id, pid: id, ..Worker::default() };
        let workers = (1..=50).map(worker).collect();
        app.samples.add(Document { workers, ..Document::default() }, Instant::now());
        app.height = 10;
        app
    }

    fn press(app: &mut App, codes: &[KeyCode]) {
        for &code in codes {
            take(app, &Event::Key(KeyEvent::from(code)));
        }
    }

    #[test]
    fn the_selection_stays_within_the_rows() {
        let mut app = app();
        let mut selected = |codes: &[KeyCode]| {
            press(&mut app, codes);
            app.selected.unwrap().worker
        };
        assert_eq!(selected(&[KeyCode::Down, KeyCode::Char('j')]), 3);
        assert_eq!(selected(&[KeyCode::PageDown]), 12);
        assert_eq!(selected(&[KeyCode::End, KeyCode::Down]), 50);
        assert_eq!(selected(&[KeyCode::Home, KeyCode::Up]), 1);
    }

    #[test]
    fn a_filter_takes_letters_that_are_keys_otherwise() {
        let mut app = app();
        press(&mut app, &"/q".chars().map(KeyCode::Char).collect::<Vec<_>>());
        assert_eq!((app.filter.as_str(), app.demand), ("q", None));
        press(&mut app, &[KeyCode::Enter, KeyCode::Char('q')]);
        assert_eq!(app.demand, Some(Demand::Quit));
        press(&mut app, &[KeyCode::Esc]);
        assert_eq!(app.filter, "");
    }

    #[test]
    fn each_view_has_a_sequence_of_its_own() {
        let mut app = app();
        press(&mut app, &[KeyCode::Char('m'), KeyCode::Tab, KeyCode::Char('s'), KeyCode::Char('o')]);
        assert_eq!(app.sorts, [Sort::Memory, Sort::Id, Sort::Id]);
        assert!(app.view == View::Requests && app.reverse);
    }

    #[test]
    fn stacks_of_uwsgi_are_a_hint() {
        let mut app = app();
        press(&mut app, &[KeyCode::Enter]);
        let Some(Err(why)) = app.stacks.as_ref().map(|stacks| stacks.lines.clone()) else { panic!() };
        assert!(why.contains("py-tracebacker"));
        press(&mut app, &[KeyCode::Down, KeyCode::Esc]);
        assert!(app.stacks.is_none());
    }
}

//! Draws the view. Nothing is told by colour alone.

use super::app::App;
use super::keys::HELP;
use super::lines::Lines;
use super::reader::now;
use super::rows::{Row, Tone};
use super::text::escaped;
use super::units;
use crate::sys::clock;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

const BAR: Style = Style::new().reversed();

/// Lines of text from the top of the screen to the bottom.
struct Paper<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
    y: u16,
}

impl Paper<'_> {
    fn write(&mut self, text: &str, style: Style) {
        if self.y >= self.area.bottom() {
            return;
        }
        self.buffer.set_stringn(self.area.x, self.y, text, usize::from(self.area.width), style);
        self.y += 1;
    }

    /// A line whose style reaches from one side to the other.
    fn write_bar(&mut self, text: &str, style: Style) {
        let width = usize::from(self.area.width);
        self.write(&format!("{text:<width$}"), style);
    }

    fn write_wrapped(&mut self, text: &str) {
        let mut line = String::new();
        for word in text.split(' ') {
            if line.chars().count() + word.chars().count() >= usize::from(self.area.width) {
                self.write(&std::mem::take(&mut line), Style::new());
            }
            line.push_str(word);
            line.push(' ');
        }
        self.write(&line, Style::new());
    }

    /// Lines that are left, but for the last one.
    fn left(&self) -> usize {
        usize::from(self.area.bottom().saturating_sub(self.y).saturating_sub(1))
    }
}

pub fn draw(frame: &mut Frame<'_>, app: &mut App) {
    let area = frame.area();
    app.width = usize::from(area.width);
    let mut paper = Paper { buffer: frame.buffer_mut(), area, y: area.y };
    draw_head(&mut paper, app);
    if app.shows_help {
        HELP.iter().take(paper.left()).for_each(|line| paper.write(line, Style::new()));
    } else if app.stacks.is_some() {
        draw_stacks(&mut paper, app);
    } else {
        draw_table(&mut paper, app);
    }
    paper.y = area.bottom().saturating_sub(1);
    paper.write_bar(&footer(app), BAR);
}

fn draw_head(paper: &mut Paper<'_>, app: &App) {
    let lines = Lines { samples: &app.samples, width: app.width, utf8: app.utf8 };
    let clock = clock::format(now() as i64, c"%H:%M:%S");
    let room = app.width.saturating_sub(clock.len() + 1);
    let title: String = lines.title(&app.address).chars().take(room).collect();
    paper.write_bar(&format!("{title:<room$} {clock}"), BAR);
    lines.all().iter().for_each(|line| paper.write(line, Style::new()));
    match &app.lost {
        Some((since, why)) => {
            let age = since.elapsed().as_secs();
            let text = format!("LOST for {age} s, trying again: {}", escaped(why));
            paper.write_bar(&text, Style::new().fg(Color::Red).reversed());
        }
        None if app.is_paused => {
            paper.write_bar("PAUSED: p goes on", Style::new().fg(Color::Yellow).reversed())
        }
        None => {}
    }
}

fn draw_table(paper: &mut Paper<'_>, app: &mut App) {
    let rows = app.rows();
    paper.write_bar(&app.table().heading(), BAR);
    app.height = paper.left();
    let at = app.at(&rows);
    app.first = first_shown(app.first, at, app.height, rows.len());
    if rows.is_empty() {
        let why = if app.filter.is_empty() { "nothing runs" } else { "nothing has this text" };
        paper.write(why, Style::new().dim());
    }
    for (number, row) in rows.iter().enumerate().skip(app.first).take(app.height) {
        let is_selected = app.selected.is_some() && number == at;
        paper.write_bar(&row.text, style(row, is_selected));
    }
}

/// The least scrolling that has row `at` on the screen, and no room left below the last row.
fn first_shown(first: usize, at: usize, height: usize, count: usize) -> usize {
    let first = first.min(at).max((at + 1).saturating_sub(height));
    first.min(count.saturating_sub(height))
}

fn style(row: &Row, is_selected: bool) -> Style {
    let style = match row.tone {
        Tone::Plain => Style::new(),
        Tone::Idle => Style::new().dim(),
        Tone::Slow => Style::new().fg(Color::Yellow).bold(),
    };
    if is_selected { style.reversed() } else { style }
}

fn draw_stacks(paper: &mut Paper<'_>, app: &mut App) {
    let Some(stacks) = &mut app.stacks else { return };
    paper.write_bar(&format!("STACKS OF WORKER {}  (Esc: back to the table)", stacks.worker), BAR);
    app.height = paper.left();
    match &stacks.lines {
        Ok(lines) if lines.is_empty() => paper.write("asking...", Style::new().dim()),
        Ok(lines) => {
            stacks.first = stacks.first.min(lines.len().saturating_sub(app.height));
            let shown = lines.iter().skip(stacks.first).take(app.height);
            shown.for_each(|line| paper.write(&fitted(line, app.width), stack_style(line)));
        }
        Err(why) => paper.write_wrapped(&escaped(why)),
    }
}

/// A frame's line with its middle left out where there is no room: the line number stands at its end.
fn fitted(line: &str, width: usize) -> String {
    let (count, begin) = (line.chars().count(), width / 3);
    if count <= width || width < 12 {
        return line.to_owned();
    }
    let end = line.chars().skip(count - (width - begin - 3));
    line.chars().take(begin).chain("...".chars()).chain(end).collect()
}

fn stack_style(line: &str) -> Style {
    if line.starts_with(' ') { Style::new() } else { Style::new().bold() }
}

fn footer(app: &App) -> String {
    if app.is_typing {
        return format!("only rows with: {}_  (Enter: done, Esc: all rows)", escaped(&app.filter));
    }
    let filter = match app.filter.as_str() {
        "" => String::new(),
        filter => format!(" with {:?}", escaped(filter)),
    };
    let sort = app.sorts[app.view as usize].name();
    let reversed = if app.reverse { " reversed" } else { "" };
    let interval = units::age(app.interval.as_millis() as u64);
    let state = format!("{}{filter} by {sort}{reversed}, {interval}", app.view.name());
    format!("{state}  ? keys  q quit  Tab view  Enter stacks  s sort  / filter")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_frame_keeps_its_line_number() {
        let line = fitted(&format!("  view  /srv/{}/views.py:12", "x".repeat(100)), 40);
        assert!(line.starts_with("  view  ") && line.ends_with("/views.py:12") && line.len() == 40, "{line}");
    }

    #[test]
    fn the_selected_row_is_on_the_screen() {
        assert_eq!(first_shown(0, 0, 10, 50), 0);
        assert_eq!(first_shown(0, 10, 10, 50), 1);
        assert_eq!(first_shown(20, 15, 10, 50), 15);
        assert_eq!(first_shown(45, 49, 10, 50), 40);
        assert_eq!(first_shown(5, 3, 10, 4), 0);
        assert_eq!(first_shown(0, 0, 0, 0), 0);
    }
}

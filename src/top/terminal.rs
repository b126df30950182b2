//! The terminal while it belongs to the view, and as it was before.

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use std::io::{BufWriter, Result, Stdout, Write, stdout};
use std::panic;

use super::app::App;
use super::view;

/// A screen at once: a screen of 200 columns takes less.
const BUFFER_BYTES: usize = 1 << 16;

pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Screen {
    pub fn new() -> Result<Screen> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            leave();
            before(info);
        }));
        enter()?;
        let backend = CrosstermBackend::new(BufWriter::with_capacity(BUFFER_BYTES, stdout()));
        Terminal::new(backend).map(|terminal| Screen { terminal }).inspect_err(|_| leave())
    }

    /// Only what has changed is written, and the terminal shows it in one piece.
    pub fn draw(&mut self, app: &mut App) -> Result<()> {
        execute!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| view::draw(frame, app))?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Gives the terminal back until `meanwhile` returns, and draws all of it again.
    pub fn lend(&mut self, meanwhile: impl FnOnce()) -> Result<()> {
        leave();
        meanwhile();
        enter()?;
        // Not Terminal::clear, which asks the terminal where its cursor is, and waits for the answer.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn enter() -> Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen).inspect_err(|_| leave())
}

fn leave() {
    let _ = execute!(stdout(), EndSynchronizedUpdate, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    let _ = stdout().flush();
}

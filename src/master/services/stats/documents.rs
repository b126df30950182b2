//! Which document belongs to which path.

use super::request::Asked;
use super::view::View;
use crate::master::action::{Action, Reader, Ticket};
use crate::report::{Document, page};

pub enum Answer {
    Now(Document),
    /// Whoever executes this action gives the answer later, by `Action::Answer` with the ticket.
    Later(Action),
}

/// As from uWSGI, any path gets the JSON document, except for browsers, which ask for a page.
pub fn answer(asked: &Asked, ticket: Ticket, view: &View<'_>, only_metrics: bool) -> Answer {
    if only_metrics {
        return answer_for_metrics(asked, view);
    }
    Answer::Now(match asked.path.as_str() {
        "/metrics" => view.metrics(asked),
        "/history" => view.history(),
        "/stacks" => return stacks(asked, ticket, view).unwrap_or_else(Answer::Now),
        "/profile" => not_found(&asked.path),
        "/favicon.ico" => not_found(&asked.path),
        "/" if asked.accepts("text/html") => page::document(),
        "/" | "/stats" => view.json(),
        path if asked.accepts("text/html") => not_found(path),
        _ => view.json(),
    })
}

/// A `metrics-socket` answers for the metrics alone: whoever may reach it need not see more.
fn answer_for_metrics(asked: &Asked, view: &View<'_>) -> Answer {
    Answer::Now(match asked.path.as_str() {
        "/" | "/metrics" => view.metrics(asked),
        path => not_found(path),
    })
}

fn stacks(asked: &Asked, ticket: Ticket, view: &View<'_>) -> Result<Answer, Document> {
    let worker = worker(asked, view)?;
    Ok(Answer::Later(Action::ReadStacks(Reader::Document(ticket), worker)))
}

/// The worker that is asked for; `None`: all of them.
fn worker(asked: &Asked, view: &View<'_>) -> Result<Option<u32>, Document> {
    let Some(text) = asked.argument("worker") else { return Ok(None) };
    match text.parse() {
        Ok(id) if view.has_worker(id) => Ok(Some(id)),
        _ => Err(Document::refusal(404, &format!("there is no worker \"{text}\""))),
    }
}

fn not_found(path: &str) -> Document {
    Document::refusal(404, &format!("there is no {path}"))
}

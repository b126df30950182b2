//! Which document belongs to which path.

use super::request::Asked;
use super::view::View;
use crate::master::action::{Action, Ticket};
use crate::report::Document;

pub enum Answer {
    Now(Document),
    /// Whoever executes this action gives the answer later, by `Action::Answer` with the ticket.
    #[allow(dead_code)]
    Later(Action),
}

/// As from uWSGI, any path gets the JSON document, except for browsers, which ask for a page.
pub fn answer(asked: &Asked, _ticket: Ticket, view: &View<'_>, only_metrics: bool) -> Answer {
    if only_metrics {
        return answer_for_metrics(asked, view);
    }
    Answer::Now(match asked.path.as_str() {
        "/metrics" => view.metrics(asked),
        "/history" => view.history(),
        "/stacks" | "/profile" => not_found(&asked.path),
        "/favicon.ico" => not_found(&asked.path),
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

fn not_found(path: &str) -> Document {
    Document::refusal(404, &format!("there is no {path}"))
}

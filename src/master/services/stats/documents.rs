//! Which document belongs to which path.

use super::request::Asked;
use super::view::View;
use crate::master::action::{Action, ProfileRequest, Reader, Ticket};
use crate::report::{Document, page};
use std::time::Duration;

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
        "/profile" => return profile(asked, ticket, view).unwrap_or_else(Answer::Now),
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

/// Seconds that a profile takes, and samples a second, where nothing is said.
const PROFILE_SECONDS: f64 = 10.0;
const PROFILE_HZ: f64 = 100.0;

fn profile(asked: &Asked, ticket: Ticket, view: &View<'_>) -> Result<Answer, Document> {
    let seconds = number(asked, "seconds", PROFILE_SECONDS, (0.1, 60.0))?;
    let hz = number(asked, "hz", PROFILE_HZ, (1.0, 250.0))? as u64;
    let request = ProfileRequest { time: Duration::from_secs_f64(seconds), hz, worker: worker(asked, view)? };
    Ok(Answer::Later(Action::Profile(ticket, request)))
}

fn number(asked: &Asked, name: &str, default: f64, (least, most): (f64, f64)) -> Result<f64, Document> {
    let number = asked.argument(name).map_or(Ok(default), str::parse);
    number
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| Document::refusal(400, &format!("{name} is a number from {least} to {most}")))
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

//! Answers to requests that have begun and that no application answers: they go through the exchange.

use crate::log;
use crate::worker::body::error::BodyError;
use crate::worker::core::Core;
use crate::worker::response::Loss;
use crate::worker::response::wait::Guard;

/// No application is loaded that answers here.
pub fn answer_without_app(core: &Core, mut exchange: Guard<'_>) {
    if core.shared.context.settings.serves_files_only() {
        return exchange.answer_plain(404);
    }
    exchange.answer_plain(503);
    drop(exchange);
    log::say(&format!(
        "{}: no application is loaded for it; answered 503. Look for an error at start, or for a mount that fits",
        core.describe()
    ));
}

/// A body that could not be read ahead.
pub fn answer_broken_body(core: &Core, mut exchange: Guard<'_>, error: BodyError) {
    let status = error.status();
    exchange.answer_plain(status);
    drop(exchange);
    log::say(&format!("{}: {error}; answered {status}", core.describe()));
}

/// The application let through what reading the body has raised: the fault is the client's, and the answer is that of a
/// body that was read ahead.
pub fn blame_body(core: &Core, mut exchange: Guard<'_>, error: BodyError) {
    match error {
        // The client is gone, and this happens every minute: not worth a line.
        BodyError::Closed => exchange.give_up(Loss::Left),
        error => answer_broken_body(core, exchange, error),
    }
}

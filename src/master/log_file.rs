//! The file of the log.

use super::server::Server;
use super::workers::commands;
use crate::base::reason::reason;
use crate::log;
use crate::supervise::Children;
use std::sync::atomic::Ordering::AcqRel;

/// Opens it anew: here, and in every worker at its next step.
pub fn reopen(server: &mut Server, children: &Children, cause: &str) {
    let Some(path) = server.setup.log_file.clone() else {
        return log::say(&format!("{cause}: the log is no file of the server's; it stays as it is"));
    };
    if let Err(error) = log::open(&path, false) {
        return log::say(&format!("{cause}: cannot open {} anew: {}", path.display(), reason(error)));
    }
    server.setup.log_epoch = server.scoreboard().log_epoch().fetch_add(1, AcqRel) + 1;
    commands::wake_all(children);
    // Whoever reads this may rely on it.
    log::say(&format!("{cause}: {} opened anew", path.display()));
}

//! Requests that name a file.

use super::answer::{self, Answer};
use super::find::Lookup;
use crate::base::reason::reason;
use crate::log;
use crate::worker::core::Core;

/// Answers the request of a core from a file. `false`: it names none.
pub fn answer(core: &mut Core) -> bool {
    let Some(statics) = &core.shared.statics else { return false };
    // Other methods are the application's, as in uWSGI.
    if !matches!(core.request.get(core.request.known.method), b"GET" | b"HEAD") {
        return false;
    }
    let lookup = statics.find(&core.request, &mut core.buffers.path);
    let mut exchange = core.exchange.lock();
    let failed = |_| 500;
    let (status, why) = match lookup {
        Lookup::Nothing => return false,
        Lookup::File(found) => {
            let answer = Answer::new(statics, &core.request, &mut exchange, found, &mut core.buffers.path);
            (answer.write().err().map(failed), None)
        }
        Lookup::Directory => (answer::redirect(&core.request, &mut exchange).err().map(failed), None),
        Lookup::Forbidden(error) => (Some(403), Some(error)),
        Lookup::Failed(error) => (Some(503), Some(error)),
    };
    if let Some(status) = status {
        exchange.answer_plain(status);
    }
    exchange.set_static();
    drop(exchange);
    core.app = None;
    if let Some(error) = why {
        log::say(&format!("{}: cannot open the file: {}", core.describe(), reason(error)));
    }
    true
}

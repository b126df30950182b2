//! Requests that never reach the application: each gets an answer where the peer can read one, and one log line that
//! names the cause and the option to change.

use crate::log;
use crate::net::client::Client;
use crate::proto::http::status::Plain;
use crate::sys::{clock, epoll};
use crate::worker::Shared;
use crate::worker::core::Core;
use std::sync::atomic::Ordering::*;
use std::time::Duration;

impl Core {
    /// Answers and closes. Nothing is put on the scoreboard or counted as a request. Returns `false`: there is nothing to run.
    pub(in crate::worker) fn refuse(&mut self, mut client: Client, status: u16, why: &str) -> bool {
        let mut out = Vec::with_capacity(256);
        Plain::last(status, &self.shared.server_headers).push_to(&mut out);
        let _ = client.send(&out);
        self.shared.count_refused();
        log::say(&format!("worker {}: refused a request with {status}: {why}", self.shared.id));
        client.shutdown_send();
        discard(&client, self.shared.settings.requests.socket_timeout.min(Duration::from_secs(1)));
        false
    }
}

impl Shared {
    pub(in crate::worker) fn count_refused(&self) {
        self.slot.refused().fetch_add(1, Relaxed);
    }
}

/// Reads and drops what a refused peer still sends, for a moment, so that it can read its answer before the close resets
/// the connection (RFC 9112 §9.6).
fn discard(client: &Client, patience: Duration) {
    let mut buffer = [0; 16 * 1024];
    let deadline = clock::monotonic_us() + patience.as_micros() as u64;
    for _ in 0..1024 {
        match client.recv_waste(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let left = Duration::from_micros(deadline.saturating_sub(clock::monotonic_us()));
                if !epoll::wait_one(client, false, left).unwrap_or(false) {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

//! The log as a worker sees it: its request lines, the file that they go to, and what is said once a minute.

use super::context::Context;
use super::setup::Setup;
use crate::base::reason::reason;
use crate::log;
use crate::log::access::Log;
use crate::log::throttle::{Complaints, Throttle};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::*};

pub struct WorkerLog {
    pub access: Log,
    file: Option<Arc<PathBuf>>,
    epoch: AtomicU64,
    pub complaints: Complaints,
    /// Clients that speak HTTP where TLS is spoken.
    pub not_tls: Throttle,
    /// Answers of the application that set a Transfer-Encoding.
    pub set_codings: Throttle,
    /// Requests that were given up because memory was short.
    pub shed: Throttle,
}

impl WorkerLog {
    pub fn new(setup: &Setup) -> WorkerLog {
        WorkerLog {
            access: Log,
            file: setup.log_file.clone(),
            epoch: AtomicU64::new(setup.log_epoch),
            complaints: Complaints::new(setup.id),
            not_tls: Throttle::default(),
            set_codings: Throttle::default(),
            shed: Throttle::default(),
        }
    }

    /// Opens the log's file anew if the master has done so since the last time.
    pub fn follow(&self, context: &Context) {
        let epoch = context.scoreboard.log_epoch().load(Acquire);
        if self.epoch.load(Relaxed) != epoch
            && self.epoch.swap(epoch, AcqRel) != epoch
            && let Some(path) = &self.file
        {
            self.access.flush();
            if let Err(error) = log::open(path, false) {
                log::say(&format!("worker {}: cannot open the log anew: {}", context.id, reason(error)));
            }
        }
    }
}

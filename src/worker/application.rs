//! What workers and zygotes need of the language that the applications are written in, beside a runtime.

use super::shared::Shared;
use crate::config::Settings;
use crate::process::runtime::Runtime;
use std::sync::Arc;

/// The application could not be loaded; the log says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadFailed;

pub trait Application: Runtime {
    /// Can threads of one process run application code at the same time?
    fn is_parallel(&self) -> bool;

    /// Loads the applications and returns their mountpoints in load order.
    fn load(&mut self, settings: &Settings) -> std::result::Result<Vec<String>, LoadFailed>;

    /// After loading, before the first fork: makes what was loaded cheap to share.
    fn settle(&self);

    /// In each worker, before it is ready: what is wanted of it beside the applications.
    fn begin(&self, settings: &Settings);

    /// Runs every core of a worker until the command to leave; announces the worker when the first core can serve.
    fn serve(&self, shared: &Arc<Shared>);
}

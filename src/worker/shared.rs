//! What the threads of a worker share.

use super::accept::{Acceptor, intake};
use super::conn::places::Places;
use super::conn::table::ConnTable;
use super::context::Context;
use super::handoff::Handoff;
use super::harakiri::replies::HarakiriReplies;
use super::leaving::Leaving;
use super::lifeline::Lifeline;
use super::request::mounts::Mounts;
use super::setup::{Setup, most_connections, most_descriptors};
use super::statics::places::Statics;
use super::worker_log::WorkerLog;
use crate::sys::spool::Spool;
use crate::sys::{epoll, waiter};
use parking_lot::Mutex;
use std::io::Result;
use std::sync::Arc;

pub struct Shared {
    pub context: Context,
    pub table: ConnTable,
    pub acceptor: Acceptor,
    pub handoff: Handoff,
    pub replies: HarakiriReplies,
    pub log: WorkerLog,
    pub lifeline: Lifeline,
    pub leaving: Leaving,
    pub spool: Arc<Spool>,
    /// The applications.
    pub mounts: Arc<Mounts>,
    /// Where files are, if there are any.
    pub statics: Option<Box<Statics>>,
    /// Held by the thread that gives up requests because memory is short.
    pub shedding: Mutex<()>,
}

impl Shared {
    pub fn new(setup: &Setup, context: Context, mounts: Arc<Mounts>) -> Result<Arc<Shared>> {
        let settings = &context.settings;
        let places = Places::new(most_connections(settings), most_descriptors());
        let threads = context.scoreboard.threads();
        let table = ConnTable::new(settings, places, threads, context.slot, context.id)?;
        let acceptor = Acceptor::new(&setup.accepting, &context, &table, &setup.alive)?;
        if acceptor.watches_table() {
            intake::watch(table.epoll(), &setup.listeners, &setup.alive)?;
        }
        if let Some(mailbox) = setup.mailboxes.get(setup.slot) {
            table.epoll().add(&mailbox.taking, epoll::READ, intake::GIVEN)?;
        }
        waiter::prepare(threads);
        Ok(Arc::new(Shared {
            table,
            acceptor,
            handoff: Handoff::new(setup)?,
            replies: HarakiriReplies::new(&context),
            log: WorkerLog::new(setup),
            lifeline: Lifeline::new(setup),
            leaving: Leaving::default(),
            spool: setup.spool.clone(),
            mounts,
            statics: Statics::new(settings, context.id).map(Box::new),
            shedding: Mutex::default(),
            context,
        }))
    }
}

//! Processors that runnable threads share, and the lock of each process's interpreter.

use std::collections::{BTreeSet, VecDeque};

/// How long a thread keeps a processor that others want.
const SLICE_US: u64 = 3_000;
/// One that wakes up takes a processor from one that has had so much more.
const PREEMPTION_US: u64 = 1_000;
/// So much credit at most has one that has slept.
const CREDIT_US: u64 = 1_500;
/// sys.getswitchinterval()
pub const SWITCH_INTERVAL_US: u64 = 5_000;

/// A thread as the kernel sees it.
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// Processor time that it has had, with that of others as the measure.
    virtual_us: u64,
    /// Of the request that it runs.
    pub cpu_us: u64,
    /// Until its step is done.
    pub left_us: u64,
    on_since: Option<u64>,
    queued: bool,
    /// A planned end of its time on the processor is void when this has changed.
    pub plan: u64,
}

pub struct Processors {
    pub tasks: Vec<Task>,
    on: Vec<usize>,
    count: usize,
    queue: BTreeSet<(u64, usize)>,
    least_us: u64,
}

impl Processors {
    pub fn new(count: usize, tasks: usize) -> Processors {
        Processors {
            tasks: vec![Task::default(); tasks],
            on: Vec::new(),
            count,
            queue: BTreeSet::new(),
            least_us: 0,
        }
    }

    pub fn is_runnable(&self, task: usize) -> bool {
        self.tasks[task].queued || self.tasks[task].on_since.is_some()
    }

    pub fn is_on(&self, task: usize) -> bool {
        self.tasks[task].on_since.is_some()
    }

    pub fn cpu_us(&self, task: usize, now: u64) -> u64 {
        let task = &self.tasks[task];
        task.cpu_us + task.on_since.map_or(0, |since| now - since)
    }

    pub fn wake(&mut self, task: usize, now: u64) {
        let earliest = self.least_us.saturating_sub(CREDIT_US);
        let woken = &mut self.tasks[task];
        woken.virtual_us = woken.virtual_us.max(earliest);
        let virtual_us = woken.virtual_us;
        self.enqueue(task);
        let most = self.on.iter().copied().max_by_key(|&task| (self.virtual_us(task, now), task));
        if let Some(other) = most.filter(|&other| {
            self.on.len() == self.count && self.virtual_us(other, now) > virtual_us + PREEMPTION_US
        }) {
            self.stop(other, now);
            self.enqueue(other);
        }
    }

    fn virtual_us(&self, task: usize, now: u64) -> u64 {
        self.tasks[task].virtual_us + self.tasks[task].on_since.map_or(0, |since| now - since)
    }

    fn enqueue(&mut self, task: usize) {
        self.tasks[task].queued = true;
        self.queue.insert((self.tasks[task].virtual_us, task));
    }

    /// Takes a task off its processor, or out of the queue.
    pub fn stop(&mut self, task: usize, now: u64) {
        let stopped = &mut self.tasks[task];
        stopped.plan += 1;
        if std::mem::take(&mut stopped.queued) {
            self.queue.remove(&(stopped.virtual_us, task));
        } else if let Some(since) = stopped.on_since.take() {
            let had = now - since;
            stopped.virtual_us += had;
            stopped.cpu_us += had;
            stopped.left_us = stopped.left_us.saturating_sub(had);
            self.on.retain(|&other| other != task);
        }
    }

    /// Puts the next task on a processor that is free.
    pub fn start_next(&mut self, now: u64) -> Option<usize> {
        if self.on.len() == self.count {
            return None;
        }
        let (virtual_us, task) = self.queue.pop_first()?;
        self.least_us = self.least_us.max(virtual_us);
        let started = &mut self.tasks[task];
        started.queued = false;
        started.on_since = Some(now);
        self.on.push(task);
        Some(task)
    }

    /// How long a task that has begun to run runs before somebody looks.
    pub fn slice(&self, task: usize) -> u64 {
        self.tasks[task].left_us.min(SLICE_US)
    }

    /// A slice is over: `true` if the step is, too. Otherwise another may be due.
    pub fn end_slice(&mut self, task: usize, now: u64) -> bool {
        self.stop(task, now);
        if self.tasks[task].left_us > 0 {
            self.enqueue(task);
        }
        self.tasks[task].left_us == 0
    }
}

/// The lock of an interpreter. Whoever waits for it asks for it after each switch interval in which it did not change
/// hands, as CPython's threads do.
#[derive(Default)]
pub struct Gil {
    pub holder: Option<usize>,
    pub waiting: VecDeque<usize>,
    pub switches: u64,
    pub is_asked_for: bool,
}

impl Gil {
    /// `false`: another has it, and the thread waits.
    pub fn acquire(&mut self, thread: usize) -> bool {
        if self.holder.is_none() {
            self.take(thread);
            return true;
        }
        self.waiting.push_back(thread);
        false
    }

    fn take(&mut self, thread: usize) {
        self.holder = Some(thread);
        self.switches += 1;
        self.is_asked_for = false;
    }

    /// Returns who has it now.
    pub fn release(&mut self) -> Option<usize> {
        self.holder = None;
        let next = self.waiting.pop_front()?;
        self.take(next);
        Some(next)
    }

    /// A thread has waited for an interval since there had been `switches`.
    pub fn ask(&mut self, thread: usize, switches: u64) {
        self.is_asked_for |= self.switches == switches;
        if let Some(at) = self.waiting.iter().position(|&waiting| waiting == thread) {
            // It has left the queue of the condition variable for that.
            self.waiting.remove(at);
            self.waiting.push_back(thread);
        }
    }
}

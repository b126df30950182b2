//! CPython as the server's host language.

use super::app::{self, Apps};
use super::autoreload;
use super::dynamic::Dynamic;
use super::exceptions::traceback;
use super::ffi::PythonForkHooks;
use super::imports;
use super::profile;
use super::run::{flush_streams, run_core};
use super::timeout;
use crate::base::reason::reason;
use crate::config::Settings;
use crate::log;
use crate::process::runtime::Runtime;
use crate::process::signals::SERVICE_MANAGER;
use crate::shm::scoreboard::RestartRequest;
use crate::sys::epoll::{Epoll, Events};
use crate::sys::process::ForkHooks;
use crate::sys::{io, signal};
use crate::worker::application::{Application, LoadFailed};
use crate::worker::shared::Shared;
use crate::worker::thread::Thread;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::io::Result;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::*;
use std::time::Duration;

/// Python code recurses on the C stack; this is what its own threads get on Linux.
const STACK: usize = 8 * 1024 * 1024;
/// Less than this does not carry an import.
const MIN_STACK: usize = 256 * 1024;

pub struct Interpreter {
    /// The application that `serve()` was given.
    object: Option<Py<PyAny>>,
    apps: Apps,
    /// What `py-autoreload` compares with.
    modules: autoreload::Known,
    dynamic: Dynamic,
}

impl Interpreter {
    pub fn new(object: Option<Py<PyAny>>) -> Interpreter {
        Interpreter {
            object,
            apps: Apps::default(),
            dynamic: Dynamic::default(),
            modules: autoreload::Known::new(),
        }
    }

    fn run_thread(&self, py: Python<'_>, shared: &Arc<Shared>, index: usize) {
        let mut thread = match py.detach(|| Thread::new(shared.clone(), index)) {
            Ok(core) => core,
            Err(error) => return cannot_start(shared, index, &error),
        };
        thread.core.slot.ident().store(thread_ident(py), Relaxed);
        // Only the main thread runs Python's signal handlers.
        // In other threads and while exit handlers run, Python writes to the pipe when this one has left its loop.
        let wakeup = ManuallyDrop::new((index == 0).then(|| watch_signals(py)).flatten());
        if let Err(error) =
            run_core(py, &mut thread, &self.apps.callables, &self.dynamic, (index == 0).then_some(&*wakeup))
        {
            log::say(&format!(
                "worker {} core {index}: cannot go on\n{}",
                shared.context.id,
                traceback(py, &error)
            ));
            shared.lifeline.request_restart(RestartRequest::Broken);
        }
    }
}

fn cannot_start(shared: &Shared, index: usize, error: &std::io::Error) {
    log::say(&format!("worker {}: cannot start core {index}: {}", shared.context.id, reason(error)));
}

/// Python's handler of a signal only notes it; one that comes just before a wait would go unseen until the wait ends.
/// So Python also writes a byte into a pipe (signal.set_wakeup_fd), and that wakes the main thread.
fn watch_signals(py: Python<'_>) -> Option<OwnedFd> {
    let (reading, writing) = io::pipe(true).ok()?;
    signal::wake_on_input(reading.as_fd()).ok()?;
    let options = PyDict::new(py);
    options.set_item("warn_on_full_buffer", false).ok()?;
    // Not `signal`: each worker would import it, and enum, for itself.
    let module = py.import("_signal").ok()?;
    module.call_method("set_wakeup_fd", (writing.as_raw_fd(),), Some(&options)).ok()?;
    // Python keeps the number for as long as the process lives.
    std::mem::forget(writing);
    Some(reading)
}

fn thread_ident(py: Python<'_>) -> u64 {
    // Not `threading`: each worker would import it for itself.
    let ident = py.import("_thread").and_then(|thread| thread.call_method0("get_ident")?.extract());
    ident.unwrap_or(0)
}

/// New objects between two collections while an application is loaded, whose objects are there to stay.
const LOADING_THRESHOLD: u32 = 50_000;

/// Loads with the collector hardly ever running. An application that has thresholds of its own keeps them.
fn undisturbed<T>(py: Python<'_>, load: impl FnOnce() -> T) -> T {
    let Ok(gc) = py.import("gc") else { return load() };
    let thresholds = || gc.call_method0("get_threshold")?.extract::<(u32, u32, u32)>();
    let former = thresholds().ok().filter(|&(young, ..)| (1..LOADING_THRESHOLD).contains(&young));
    let seldom = former.map(|(_, middle, old)| (LOADING_THRESHOLD, middle, old));
    let set = |values: Option<(u32, u32, u32)>| {
        let _ = values.map(|values| gc.call_method1("set_threshold", values));
    };
    set(seldom);
    let loaded = load();
    if thresholds().ok() == seldom {
        set(former);
    }
    loaded
}

/// The service manager's variables in the environment (sd_listen_fds(3), sd_notify(3)) are not for the application: it
/// would take the descriptors for its own, or speak for the server. The master, which has the variables from before,
/// needs them at the next start in the same process.
fn forget_service_manager(py: Python<'_>) {
    for name in SERVICE_MANAGER {
        let gone =
            py.import("os").and_then(|os| os.getattr("environ")?.call_method1("pop", (name, py.None())));
        if let Err(error) = gone {
            log::say(&format!("cannot take {name} out of the environment: {error}"));
        }
    }
}

impl Application for Interpreter {
    fn is_parallel(&self) -> bool {
        cfg!(Py_GIL_DISABLED)
    }

    fn load(&mut self, settings: &Settings) -> std::result::Result<Vec<String>, LoadFailed> {
        Python::attach(forget_service_manager);
        let apps = Python::attach(|py| undisturbed(py, || app::load(py, settings, self.object.as_ref())));
        self.apps = apps.ok_or(LoadFailed)?;
        if settings.watch.python.is_some() {
            self.modules = Python::attach(|py| autoreload::known(py, &settings.watch.python_ignore));
        }
        Ok(self.apps.points.clone())
    }

    fn settle(&self) {
        // Frozen objects are left alone by the collector, whose marks would unshare their pages. A last collection
        // would cost a tenth of the start and finds next to nothing.
        let frozen = Python::attach(|py| py.import("gc")?.call_method0("freeze").map(drop));
        if frozen.is_err() {
            log::say("gc.freeze failed; workers will share less memory");
        }
    }

    fn begin(&self, settings: &Settings) {
        if !settings.python.imports.is_empty() {
            Python::attach(|py| imports::run(py, &settings.python.imports, "import"));
        }
    }

    fn serve(&self, shared: &Arc<Shared>) {
        if let Some(interval) = shared.context.settings.watch.python.filter(|_| shared.context.id == 1) {
            autoreload::start(shared, interval, self.modules.clone());
        }
        let stack = shared.context.settings.worker.thread_stack.map_or(STACK, |bytes| bytes.max(MIN_STACK));
        Python::attach(|py| {
            if shared.context.settings.harakiri.graceful_timeout.is_some()
                && let Err(error) = timeout::arm(py, shared)
            {
                log::say(&format!("harakiri-graceful-timeout cannot be used\n{}", traceback(py, &error)));
            }
            if let Err(error) = profile::arm(py, shared) {
                log::say(&format!("no profile can be taken\n{}", traceback(py, &error)));
            }
            py.detach(|| {
                std::thread::scope(|scope| {
                    for index in 1..shared.context.scoreboard.threads() {
                        let started = std::thread::Builder::new()
                            .name(format!("rwsgi core {index}"))
                            .stack_size(stack)
                            .spawn_scoped(scope, move || {
                                Python::attach(|py| self.run_thread(py, shared, index));
                            });
                        if let Err(error) = started {
                            cannot_start(shared, index, &error);
                        }
                    }
                    Python::attach(|py| self.run_thread(py, shared, 0));
                });
                profile::finish();
            });
        });
    }
}

impl Runtime for Interpreter {
    fn hooks(&self) -> &'static dyn ForkHooks {
        &PythonForkHooks
    }

    fn wind_up(&self) {
        Python::attach(|py| {
            // What Py_Finalize does first, as far as it makes sense in a process that ends by _exit.
            let has_threading = py
                .import("sys")
                .and_then(|sys| sys.getattr("modules")?.contains("threading"))
                .unwrap_or(true);
            for (module, function) in [("threading", "_shutdown"), ("atexit", "_run_exitfuncs")] {
                if module == "threading" && !has_threading {
                    continue;
                }
                let ran = py.import(module).and_then(|module| module.call_method0(function));
                if let Err(error) = ran {
                    log::say(&format!(
                        "{module}.{function} failed at the worker's end\n{}",
                        traceback(py, &error)
                    ));
                }
            }
            flush_streams(py);
        });
    }

    fn app_signals(&self, signals: &[i32]) -> u64 {
        let own = |py: Python<'_>, signal: i32| -> PyResult<bool> {
            let module = py.import("_signal")?;
            let handler = module.call_method1("getsignal", (signal,))?;
            Ok(handler.is_callable() && !handler.is(module.getattr("default_int_handler")?))
        };
        Python::attach(|py| {
            let is_own = |&&signal: &&i32| own(py, signal).unwrap_or(false);
            signals.iter().filter(is_own).fold(0, |set, signal| set | 1 << signal)
        })
    }

    fn arm_dump(&self, to: BorrowedFd<'_>) {
        let armed = Python::attach(|py| -> PyResult<()> {
            let options = PyDict::new(py);
            options.set_item("file", to.as_raw_fd())?;
            options.set_item("all_threads", true)?;
            // Afterwards faulthandler raises the signal again for the handler that was there before: ours.
            options.set_item("chain", true)?;
            py.import("faulthandler")?.call_method("register", (signal::dump(),), Some(&options)).map(drop)
        });
        if armed.is_err() {
            log::say("faulthandler cannot be used: a killed worker will leave no stack");
        }
    }

    fn reports_faults(&self) -> bool {
        let enabled =
            |py: Python<'_>| py.import("faulthandler")?.call_method0("is_enabled")?.extract::<bool>();
        Python::attach(|py| enabled(py).unwrap_or(false))
    }

    fn wait(&self, epoll: &Epoll, events: &mut Events, timeout: Option<Duration>) -> Result<()> {
        Python::attach(|py| py.detach(|| epoll.wait(events, timeout)))
    }

    fn read(&self, fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
        Python::attach(|py| py.detach(|| io::read(fd, buffer)))
    }
}

//! One core's loop: a request in, the application called, its answer out.

use super::dynamic::Dynamic;
use super::environ::Environ;
use super::exceptions::{self, traceback};
use super::filewrapper::{self, FileWrapper};
use super::input::Input;
use super::response::{COMPLETE, StartResponse};
use super::{attached, ffi};
use crate::log;
use crate::shm::scoreboard::RestartRequest;
use crate::sys::{io, process};
use crate::worker::core::Core;
use crate::worker::request::failure;
use crate::worker::response::WriteError;
use crate::worker::shared::Shared;
use crate::worker::thread::{Next, Thread};
use pyo3::exceptions::{PyAssertionError, PyOSError, PySystemExit, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use std::os::fd::{AsFd, OwnedFd};

/// The objects that a core uses for request after request.
pub struct Engine<'a> {
    apps: &'a [Py<PyAny>],
    dynamic: &'a Dynamic,
    environ: Environ,
    input: Py<Input>,
    start_response: Py<StartResponse>,
}

/// Runs a thread's core until the worker leaves. `main` is given to the thread that Python's signal handlers run in:
/// the pipe that Python writes to when a signal comes, if there is one.
pub fn run_core(
    py: Python<'_>,
    thread: &mut Thread,
    apps: &[Py<PyAny>],
    dynamic: &Dynamic,
    main: Option<&Option<OwnedFd>>,
) -> PyResult<()> {
    let mut engine = Engine::new(py, &thread.core, apps, dynamic)?;
    if main.is_some() {
        thread.shared.lifeline.announce(thread.shared.context.scoreboard);
    }
    loop {
        match py.detach(|| thread.advance()) {
            Next::Run => engine.answer(py, &mut thread.core),
            Next::Signal => {
                run_handlers(py, &thread.core, main);
                thread.obey_signals();
            }
            Next::Leave => {
                // A signal that came with the command has its handler run, too.
                run_handlers(py, &thread.core, main);
                return Ok(());
            }
        }
    }
}

fn run_handlers(py: Python<'_>, core: &Core, main: Option<&Option<OwnedFd>>) {
    let Some(pipe) = main else { return };
    if let Some(pipe) = pipe {
        let mut numbers = [0; 64];
        while io::read(pipe.as_fd(), &mut numbers).is_ok_and(|got| got == numbers.len()) {}
    }
    if let Err(error) = py.check_signals() {
        interrupted(py, core, &error);
    }
}

/// A signal handler of the application raised, outside any request: sys.exit() asks for the end of this worker.
fn interrupted(py: Python<'_>, core: &Core, error: &PyErr) {
    if !error.is_instance_of::<PySystemExit>(py) {
        let text = traceback(py, error);
        log::say(&format!("worker {}: a signal handler raised\n{text}", core.shared.context.id));
    }
    core.shared.lifeline.request_restart(RestartRequest::Leave);
}

impl<'a> Engine<'a> {
    pub fn new(
        py: Python<'_>,
        core: &Core,
        apps: &'a [Py<PyAny>],
        dynamic: &'a Dynamic,
    ) -> PyResult<Engine<'a>> {
        let input = Py::new(py, Input::new(core.exchange.clone()))?;
        let start_response = Py::new(py, StartResponse::new(py, core.exchange.clone())?)?;
        let base = base_environ(py, &core.shared, core.index)?;
        let mut environ = Environ::new(base);
        environ.set_fixed(intern!(py, "wsgi.input"), input.bind(py).as_any())?;
        Ok(Engine { apps, dynamic, environ, input, start_response })
    }

    /// Has the application answer the request that the core has taken.
    fn answer(&mut self, py: Python<'_>, core: &mut Core) {
        let outcome = if core.is_dynamic() {
            core.app = None;
            self.dynamic.find(py, &core.request).and_then(|app| self.call(py, core, &app))
        } else if let Some(app) = core.app.and_then(|index| self.apps.get(index)) {
            self.call(py, core, app.bind(py))
        } else {
            return failure::answer_without_app(core, attached::lock(py, &core.exchange));
        };
        if let Err(error) = outcome {
            self.failed(py, core, &error);
        }
    }

    fn call(&mut self, py: Python<'_>, core: &Core, app: &Bound<'_, PyAny>) -> PyResult<()> {
        self.attach_objects(py, core)?;
        let environ = self.environ.build(py, &core.request)?;
        let result = app.call1((environ, self.start_response.bind(py)))?;
        self.deliver(py, core, &result)?;
        end_copy(py, core, None);
        complete(py, core);
        Ok(())
    }

    /// Lends the core's objects to this request, or makes new ones when the app has kept those of an earlier request.
    fn attach_objects(&mut self, py: Python<'_>, core: &Core) -> PyResult<()> {
        let serial = attached::lock(py, &core.exchange).serial;
        // Ours, and those of the two dicts that `Environ` keeps.
        if ffi::references(&self.input) > 3 {
            self.input = Py::new(py, Input::new(core.exchange.clone()))?;
            self.environ.set_fixed(intern!(py, "wsgi.input"), self.input.bind(py).as_any())?;
        }
        if ffi::references(&self.start_response) > 1 || self.start_response.get().write_is_held() {
            self.start_response = Py::new(py, StartResponse::new(py, core.exchange.clone())?)?;
        }
        self.input.get().attach_to(serial);
        self.start_response.get().attach_to(py, serial);
        Ok(())
    }

    /// Sends what the application returned, and closes it, once, whatever happens.
    fn deliver(&self, py: Python<'_>, core: &Core, result: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(body) = single(result) {
            return self.send(py, core, body.as_bytes(), true).map(drop);
        }
        let sent = match result.cast_exact::<FileWrapper>() {
            Ok(file) => self.send_file(py, core, file),
            Err(_) => self.iterate(py, core, result, false),
        };
        let Some(close) = closing(result) else { return sent };
        if sent.is_ok() {
            end_copy(py, core, None);
            send_end(py, core);
        }
        if let Err(error) = close.and_then(|close| close.call0()) {
            self.close_failed(py, core, &error, sent.is_ok());
        }
        sent
    }

    /// `is_file`: what stops at the length that was announced has no more to do than to be closed.
    fn iterate(&self, py: Python<'_>, core: &Core, result: &Bound<'_, PyAny>, is_file: bool) -> PyResult<()> {
        // PEP 3333: with one element the length of the body is known.
        let only_one = result.len().is_ok_and(|length| length == 1);
        for chunk in result.try_iter()? {
            let chunk = chunk?;
            let Ok(bytes) = chunk.cast::<PyBytes>() else {
                let kind = chunk.get_type().name()?.to_string();
                return Err(PyTypeError::new_err(format!("the application yielded {kind}, not bytes")));
            };
            // PEP 3333: headers go out with the first bytes that are not empty.
            let wants_more = if bytes.as_bytes().is_empty() {
                wants_more_without_bytes(py, core)
            } else {
                self.send(py, core, bytes.as_bytes(), only_one)? && wants_more(py, core, is_file)
            };
            if !wants_more {
                break;
            }
        }
        self.check_started(py, core)
    }

    fn check_started(&self, py: Python<'_>, core: &Core) -> PyResult<()> {
        end_copy(py, core, None);
        let exchange = attached::lock(py, &core.exchange);
        if exchange.head.is_set() || exchange.is_gone() {
            return Ok(());
        }
        drop(exchange);
        Err(PyAssertionError::new_err("the application did not call start_response"))
    }

    /// Sends a piece of the body; `false`: nothing more can be sent.
    fn send(&self, py: Python<'_>, core: &Core, bytes: &[u8], whole: bool) -> PyResult<bool> {
        end_copy(py, core, None);
        let mut exchange = attached::lock(py, &core.exchange);
        if !exchange.head.is_set() {
            drop(exchange);
            self.check_started(py, core)?;
            exchange = attached::lock(py, &core.exchange);
        }
        match attached::write_with(py, &core.exchange, exchange, bytes, whole) {
            Ok(()) => Ok(true),
            Err(WriteError::Gone | WriteError::Complete | WriteError::Over) => Ok(false),
        }
    }

    /// sendfile where the wrapped object is a plain file, blocks where it only acts as one.
    fn send_file(&self, py: Python<'_>, core: &Core, wrapper: &Bound<'_, FileWrapper>) -> PyResult<()> {
        end_copy(py, core, None);
        let file = filewrapper::descriptor(wrapper).and_then(|(fd, place)| {
            let file = io::numbered(fd)?;
            Some((file, place, io::stored_size(file)?.checked_sub(place)?))
        });
        let Some((file, place, length)) = file else { return self.iterate(py, core, wrapper, true) };
        self.check_started(py, core)?;
        let serial = attached::lock(py, &core.exchange).serial;
        let _ = py.detach(|| core.exchange.send_file(serial, file, place, length));
        Ok(())
    }

    /// The application raised. The client gets a 500 if nothing has gone out yet, the log the traceback.
    fn failed(&self, py: Python<'_>, core: &Core, error: &PyErr) {
        end_copy(py, core, Some(error));
        if error.is_instance_of::<PyOSError>(py) && self.answer_clients_fault(py, core, error) {
            return;
        }
        // Runs code of the application, which may use the exchange: not while it is locked.
        let stack = traceback(py, error);
        let mut exchange = attached::lock(py, &core.exchange);
        let answer = if exchange.is_complete() {
            "its answer was complete"
        } else if exchange.head_sent() {
            exchange.abort();
            "its answer had begun and was cut off"
        } else if core.shared.context.settings.python.catch_exceptions {
            exchange.answer_text(500, &stack);
            "answered 500, with the traceback (catch-exceptions)"
        } else {
            exchange.answer_plain(500);
            "answered 500"
        };
        drop(exchange);
        self.note_exception(py, core, error, &stack, answer);
    }

    /// Where the exception is the one that reading the body has raised, answers as if the body had been read ahead.
    /// `false`: the fault is the application's.
    fn answer_clients_fault(&self, py: Python<'_>, core: &Core, error: &PyErr) -> bool {
        let exchange = attached::lock(py, &core.exchange);
        let (is_gone, is_complete, fault) =
            (exchange.is_gone(), exchange.is_complete(), exchange.body_fault());
        drop(exchange);
        // The client went away and the app noticed: the access log has it.
        if is_gone || fault.is_none() && !is_complete {
            return is_gone;
        }
        // Code of the application may make it: nothing is locked.
        let text = error.value(py).to_string();
        let Some(fault) = fault.filter(|fault| fault.to_string() == text) else {
            return is_complete && text == COMPLETE;
        };
        failure::blame_body(core, attached::lock(py, &core.exchange), fault);
        true
    }

    /// close() raised. The answer is what it would have been without.
    fn close_failed(&self, py: Python<'_>, core: &Core, error: &PyErr, is_whole: bool) {
        end_copy(py, core, Some(error));
        let stack = traceback(py, error);
        let is_whole = is_whole && !attached::lock(py, &core.exchange).is_gone();
        let answer = if is_whole { "its answer is whole, close() failed" } else { "close() failed" };
        self.note_exception(py, core, error, &stack, answer);
    }

    fn note_exception(&self, py: Python<'_>, core: &Core, error: &PyErr, stack: &str, answer: &str) {
        core.count_exception();
        let name = error.get_type(py).name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
        // A name that is made at run time may hold anything.
        let line = format!("{} in {}; {answer}", name.replace('\n', "\\x0a"), core.describe());
        report(py, &line, stack);
        if exceptions::ask_for_reload(py, &core.shared.context.settings.recycle, error) {
            core.shared.lifeline.request_restart(RestartRequest::Exception);
        }
    }
}

/// The application is done.
fn complete(py: Python<'_>, core: &Core) {
    if !attached::lock(py, &core.exchange).complete() {
        log::say(&format!(
            "{}: the application returned while another thread was in write(); its answer was cut off",
            core.describe()
        ));
    }
}

/// The client does not wait for the end of the answer until close() returns.
fn send_end(py: Python<'_>, core: &Core) {
    complete(py, core);
    let mut exchange = attached::lock(py, &core.exchange);
    let serial = exchange.serial;
    let is_sent = exchange.try_end();
    drop(exchange);
    if !is_sent {
        py.detach(|| core.exchange.send_end(serial));
    }
}

/// A piece was sent: may more follow? An iterable whose answer is complete is asked for one piece more, since code may
/// stand behind the last one (a middleware's commit); a file has none, and a HEAD is to change nothing.
fn wants_more(py: Python<'_>, core: &Core, is_file: bool) -> bool {
    let exchange = attached::lock(py, &core.exchange);
    !(exchange.is_gone() || exchange.is_answered_head() || is_file && exchange.is_complete())
}

/// The application yielded b"".
fn wants_more_without_bytes(py: Python<'_>, core: &Core) -> bool {
    end_copy(py, core, None);
    let mut exchange = attached::lock(py, &core.exchange);
    !(exchange.is_complete() || exchange.look_for_client() || exchange.note_empty_piece())
}

/// A child that the application forked has come back from it: by `sys.exit()`, as children do, or by a mistake. The
/// answer is the parent's to send; a child that went on would be a worker that the master does not know and that
/// outlives the server.
#[inline]
fn end_copy(py: Python<'_>, core: &Core, error: Option<&PyErr>) {
    if process::is_copy() {
        leave_as_copy(py, core, error);
    }
}

#[cold]
fn leave_as_copy(py: Python<'_>, core: &Core, error: Option<&PyErr>) -> ! {
    let exit = error.filter(|error| error.is_instance_of::<PySystemExit>(py));
    let status = exit.map_or(1, |exit| exit.value(py).getattr("code").map_or(1, |code| exit_status(&code)));
    if exit.is_none() {
        let text = error.map_or_else(String::new, |error| traceback(py, error));
        log::say(&format!(
            "{}: a child that the application forked came back from it; it ends (os._exit() or sys.exit() is its end)\n{text}",
            core.describe()
        ));
    }
    flush_streams(py);
    process::exit_now(status)
}

/// The exit status of `sys.exit(code)`.
fn exit_status(code: &Bound<'_, PyAny>) -> i32 {
    if code.is_none() { 0 } else { code.extract().unwrap_or(1) }
}

/// What the application has printed goes out.
pub fn flush_streams(py: Python<'_>) {
    for stream in ["stdout", "stderr"] {
        let _ = py.import("sys").and_then(|sys| sys.getattr(stream)?.call_method0("flush"));
    }
}

/// Line and traceback go where the application's own messages go: to a stream that it has put in the place of
/// `sys.stderr`, or else into the log. Python's stream would wait for the log's reader.
fn report(py: Python<'_>, line: &str, traceback: &str) {
    let text = format!("{line}\n{traceback}");
    let written = replaced_stderr(py)
        .is_some_and(|stderr| stderr.call_method1(intern!(py, "write"), (log::dated(&text),)).is_ok());
    if !written {
        log::say(&text);
    }
}

fn replaced_stderr(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    let sys = py.import(intern!(py, "sys")).ok()?;
    let stderr = sys.getattr(intern!(py, "stderr")).ok()?;
    let is_first = stderr.is(&sys.getattr(intern!(py, "__stderr__")).ok()?);
    (!is_first && !stderr.is_none()).then_some(stderr)
}

/// The body of an answer that is one bytes object, the most common kind.
#[inline]
fn single<'py>(result: &Bound<'py, PyAny>) -> Option<Bound<'py, PyBytes>> {
    let item = if let Ok(list) = result.cast_exact::<PyList>() {
        (list.len() == 1).then(|| list.get_item(0).ok())??
    } else if let Ok(tuple) = result.cast_exact::<PyTuple>() {
        (tuple.len() == 1).then(|| tuple.get_item(0).ok())??
    } else {
        // Iterating bytes yields numbers; uWSGI sends them whole, and so do we.
        result.clone()
    };
    item.cast_into_exact::<PyBytes>().ok()
}

/// PEP 3333: close() is called on every path.
fn closing<'py>(result: &Bound<'py, PyAny>) -> Option<PyResult<Bound<'py, PyAny>>> {
    result.getattr_opt(intern!(result.py(), "close")).transpose()
}

/// What every environ of a core begins with.
fn base_environ<'py>(py: Python<'py>, shared: &Shared, core: usize) -> PyResult<Bound<'py, PyDict>> {
    let environ = PyDict::new(py);
    let settings = &shared.context.settings;
    environ.set_item("SCRIPT_NAME", "")?;
    environ.set_item("wsgi.version", (1, 0))?;
    environ.set_item("wsgi.url_scheme", "http")?;
    environ.set_item("wsgi.errors", py.import("sys")?.getattr("stderr")?)?;
    if !settings.python.no_file_wrapper {
        environ.set_item("wsgi.file_wrapper", py.get_type::<FileWrapper>())?;
    }
    environ.set_item("wsgi.input_terminated", true)?;
    environ.set_item("wsgi.multithread", settings.instance.threads > 1)?;
    environ.set_item("wsgi.multiprocess", settings.instance.processes > 1)?;
    environ.set_item("wsgi.run_once", false)?;
    // Bytes, as uWSGI has them; the version is that of the uWSGI whose behaviour this is.
    environ.set_item("uwsgi.version", PyBytes::new(py, b"2.0.31"))?;
    environ.set_item("uwsgi.node", PyBytes::new(py, crate::sys::user::host_name().as_bytes()))?;
    if settings.instance.threads > 1 {
        environ.set_item("uwsgi.core", core)?;
    }
    environ.set_item("rwsgi.version", env!("CARGO_PKG_VERSION"))?;
    Ok(environ)
}

//! A whole server without Python: master, zygote and workers, whose application is a few lines of Rust. What the log says
//! is what is waited for.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rwsgi::config::{self, Settings, Sources};
use rwsgi::log;
use rwsgi::master::configuration::Configuration;
use rwsgi::master::startup::serve;
use rwsgi::process::runtime::Runtime;
use rwsgi::sys::epoll::{self, Epoll, Events};
use rwsgi::sys::process::{self, Ended, ForkHooks, Resource};
use rwsgi::sys::{io, signal};
use rwsgi::worker::application::{Application, LoadFailed};
use rwsgi::worker::core::Core;
use rwsgi::worker::shared::Shared;
use rwsgi::worker::thread::{Next, Thread};
use std::cell::Cell;
use std::io::{Read, Result, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const PEM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/localhost.pem");
const DEADLINE: Duration = Duration::from_secs(60);
/// More processes than a user has.
const MANY: u64 = 4096;

// ── the application ──

struct NoHooks;

impl ForkHooks for NoHooks {
    fn before(&self) {}
    fn after_in_parent(&self) {}
    fn after_in_child(&self) {}
}

/// Answers with the text that it was loaded with and the pid of its worker.
struct Text {
    folder: PathBuf,
    text: String,
    is_limited: Cell<bool>,
}

impl Runtime for Text {
    fn hooks(&self) -> &'static dyn ForkHooks {
        &NoHooks
    }

    fn wind_up(&self) {}

    fn app_signals(&self, _: &[i32]) -> u64 {
        0
    }

    fn arm_dump(&self, _: BorrowedFd<'_>) {}

    fn wait(&self, epoll: &Epoll, events: &mut Events, timeout: Option<Duration>) -> Result<()> {
        epoll.wait(events, timeout)
    }

    /// A zygote reads what its master wants. As long as there is a file `no-fork`, its user may start no process.
    fn read(&self, fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
        let read = io::read(fd, buffer);
        let may_not_fork = self.folder.join("no-fork").exists();
        if may_not_fork != self.is_limited.replace(may_not_fork) {
            process::set_limit(Resource::Processes, if may_not_fork { 0 } else { MANY }).unwrap();
        }
        read
    }
}

impl Application for Text {
    fn is_parallel(&self) -> bool {
        true
    }

    fn load(&mut self, _: &Settings) -> std::result::Result<Vec<String>, LoadFailed> {
        self.text = std::fs::read_to_string(self.folder.join("text")).map_err(|_| LoadFailed)?;
        Ok(vec![String::new()])
    }

    fn settle(&self) {}

    fn begin(&self, _: &Settings) {}

    fn serve(&self, shared: &Arc<Shared>) {
        let mut thread = Thread::new(shared.clone(), 0).unwrap();
        shared.lifeline.announce(shared.context.scoreboard);
        loop {
            match thread.advance() {
                Next::Run => self.answer(&thread.core),
                Next::Signal => thread.obey_signals(),
                Next::Leave => return,
            }
        }
    }
}

impl Text {
    fn answer(&self, core: &Core) {
        match core.request.get(core.request.known.uri) {
            b"/panic" => panic!("no such answer"),
            b"/close-listener" => io::close(&[core.shared.context.listeners[0].fd.as_raw_fd()]),
            b"/forever" => {
                log::say("a request without an end");
                (0..60).for_each(|_| epoll::sleep(Duration::from_secs(1)));
            }
            _ => {}
        }
        let mut exchange = core.lock();
        exchange.start(b"200 OK").unwrap();
        let text = format!("{} {}", self.text, process::pid());
        exchange.try_write(text.as_bytes(), true).unwrap();
        exchange.complete();
    }
}

// ── the server ──

struct Server {
    folder: PathBuf,
    pid: i32,
    has_ended: bool,
    _alone: MutexGuard<'static, ()>,
}

/// A process that is forked has a copy of what other tests have open: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn load(arguments: &[String]) -> std::result::Result<config::Loaded, config::ConfigError> {
    config::load(&Sources { arguments: arguments.to_vec(), ..Sources::default() })
}

fn live(folder: &Path, arguments: Vec<String>) -> i32 {
    log::start();
    let settings = load(&arguments).unwrap().settings;
    let configuration = Configuration::new(Box::new(move || load(&arguments)));
    let mut text = Text { folder: folder.to_owned(), text: String::new(), is_limited: Cell::new(false) };
    serve::serve(&mut text, settings, configuration)
}

impl Server {
    /// Starts one whose application answers with `text`; `None`: it cannot be loaded.
    fn begin(text: Option<&str>, options: &[&str]) -> Server {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Relaxed);
        let folder = std::env::temp_dir().join(format!("rwsgi-server-{}-{number}", process::pid()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        text.into_iter().for_each(|text| std::fs::write(folder.join("text"), text).unwrap());
        let log = folder.join("log");
        let mut arguments: Vec<String> = vec!["--wsgi".into(), "text:app".into(), "--need-app".into()];
        arguments.extend(["--logto".to_owned(), log.display().to_string()]);
        arguments.extend(options.iter().map(ToString::to_string));
        let alone = alone();
        let pid = process::fork(&NoHooks, || live(&folder, arguments)).unwrap();
        Server { folder, pid, has_ended: false, _alone: alone }
    }

    /// The same when it serves over HTTP with two workers.
    fn serving(options: &[&str]) -> Server {
        let options = [&["--http-socket", "127.0.0.1:0", "--processes", "2"], options].concat();
        let server = Server::begin(Some("one"), &options);
        server.wait_for("rwsgi ", " serves text:app on ");
        server
    }

    fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The first whole line of the log that holds both.
    fn wait_for(&self, this: &str, that: &str) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            let log = self.log();
            let whole = &log[..log.rfind('\n').map_or(0, |end| end + 1)];
            if let Some(line) = whole.lines().find(|line| line.contains(this) && line.contains(that)) {
                return line.to_owned();
            }
            assert!(Instant::now() < until, "{this:?} {that:?} is not in the log:\n{log}");
            epoll::sleep(Duration::from_millis(2));
        }
    }

    fn connect(&self, scheme: &str) -> TcpStream {
        let line = self.wait_for("serves ", scheme);
        let (_, address) = line.split_once(&format!("{scheme}127.0.0.1:")).unwrap();
        let port: String = address.chars().take_while(char::is_ascii_digit).collect();
        let client = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        client
    }

    /// What the client is answered: the first line, and the rest.
    fn ask(&self, path: &str) -> (String, String) {
        exchange(&mut self.connect("http://"), path)
    }

    /// The text and the worker of an answer.
    fn answer(&self) -> (String, i32) {
        let (status, rest) = self.ask("/");
        assert_eq!(status, "HTTP/1.1 200 OK");
        let (_, body) = rest.split_once("\r\n\r\n").unwrap();
        let (text, pid) = body.split_once(' ').unwrap();
        (text.to_owned(), pid.parse().unwrap())
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.join(file), text).unwrap();
    }

    fn signal(&self, signal: i32) {
        process::kill(self.pid, signal).unwrap();
    }

    fn end(&mut self) -> Ended {
        self.has_ended = true;
        process::wait_for(self.pid).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.has_ended {
            self.signal(signal::SIGKILL);
            self.end();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn exchange(client: &mut (impl Read + Write), path: &str) -> (String, String) {
    write!(client, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    let (status, rest) = answer.split_once("\r\n").unwrap_or((&answer, ""));
    (status.to_owned(), rest.to_owned())
}

/// A client that trusts this certificate alone.
fn tls(socket: TcpStream) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(PEM).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    rustls::StreamOwned::new(rustls::ClientConnection::new(Arc::new(config), name).unwrap(), socket)
}

fn tls_socket() -> String {
    format!("127.0.0.1:0,{PEM},{PEM}")
}

// ── what the master does ──

#[test]
fn a_worker_that_ends_is_replaced() {
    for how in [&[][..], &["--lazy-apps"]] {
        let server = Server::serving(how);
        let (text, pid) = server.answer();
        assert_eq!(text, "one");
        process::kill(pid, signal::SIGKILL).unwrap();
        let line = server.wait_for(&format!("(pid {pid}) was killed by SIGKILL"), "; replacing it");
        let (worker, _) = line.split_once(" (pid").unwrap();
        let (_, worker) = worker.split_once("worker ").unwrap();
        server.wait_for(&format!("worker {worker} (pid "), " is ready");
        assert_ne!(server.answer().1, pid);
    }
}

#[test]
fn a_hup_starts_a_generation_and_a_term_ends_the_server() {
    let mut server = Server::serving(&[]);
    server.write("text", "two");
    assert_eq!(server.answer().0, "one");
    server.signal(signal::SIGHUP);
    server.wait_for("SIGHUP: starting generation 2", "");
    server.wait_for("generation 2 serves; the old workers finish", "");
    let until = Instant::now() + DEADLINE;
    while server.answer().0 != "two" {
        assert!(Instant::now() < until);
    }
    server.signal(signal::SIGTERM);
    server.wait_for("SIGTERM: stopping", "");
    assert_eq!(server.end(), Ended::Exited(0));
}

#[test]
fn a_generation_that_does_not_load_is_given_up() {
    let server = Server::serving(&[]);
    std::fs::remove_file(server.folder.join("text")).unwrap();
    server.signal(signal::SIGHUP);
    server.wait_for("generation 2 is given up, generation 1 serves on", "");
    assert_eq!(server.answer().0, "one");
    server.write("text", "three");
    server.signal(signal::SIGHUP);
    server.wait_for("generation 2 serves", "");
}

#[test]
fn a_first_generation_that_does_not_load_ends_the_server() {
    let mut server = Server::begin(None, &["--http-socket", "127.0.0.1:0"]);
    server.wait_for("nothing to serve, stopping", "");
    assert!(matches!(server.end(), Ended::Exited(1..)));
}

#[test]
fn a_usr1_writes_the_status_into_the_log() {
    let server = Server::serving(&[]);
    server.signal(signal::SIGUSR1);
    server.wait_for("status: Serving, generation 1", "");
    server.wait_for("worker 2 (pid ", ": ready, generation 1");
}

#[test]
fn a_panic_is_told_in_the_log_and_its_worker_is_replaced() {
    let server = Server::serving(&[]);
    assert_eq!(server.ask("/panic").0, "");
    server.wait_for("thread '", "panicked at tests/rust/server.rs");
    server.wait_for("no such answer", "");
    server.wait_for("ended by a bug of rwsgi (see the panic above)", "");
    server.wait_for("worker ", " is ready");
    assert_eq!(server.answer().0, "one");
}

#[test]
fn harakiri_answers_clients_with_and_without_tls() {
    for scheme in ["http://", "https://"] {
        let server = Server::serving(&["--harakiri", "1", "--https-socket", &tls_socket()]);
        let client = server.connect(scheme);
        let (status, _) = match scheme {
            "http://" => exchange(&mut { client }, "/forever"),
            _ => exchange(&mut tls(client), "/forever"),
        };
        assert_eq!(status, "HTTP/1.1 504 Gateway Timeout");
        server.wait_for("was killed by harakiri; replacing it", "");
    }
}

#[test]
fn requests_that_wait_for_a_thread_are_answered_before_harakiri() {
    let server = Server::serving(&["--processes", "1", "--harakiri", "1", "--https-socket", &tls_socket()]);
    let mut waiting = tls(server.connect("https://"));
    // Nothing of this one has come when the worker is killed.
    let mut silent = tls(server.connect("https://"));
    for client in [&mut waiting, &mut silent] {
        client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = [0; 1024];
        let length = client.read(&mut answer).unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    let mut late = tls(server.connect("https://"));
    late.write_all(b"GET /forever HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    server.wait_for("a request without an end", "");
    assert_eq!(exchange(&mut waiting, "/").0, "HTTP/1.1 503 Service Unavailable");
    let mut answer = String::new();
    late.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    answer.clear();
    let _ = silent.read_to_string(&mut answer);
    assert_eq!(answer, "");
    server.wait_for("was killed by harakiri; replacing it", "");
}

#[test]
fn a_worker_whose_listener_was_closed_is_replaced() {
    let server = Server::serving(&["--processes", "1", "--http-connections", "1"]);
    let mut client = server.connect("http://");
    client.write_all(b"GET /close-listener HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(client.read(&mut [0; 1024]).unwrap() > 0);
    // There is room for another.
    drop(client);
    server.wait_for("worker 1: cannot listen: ", "");
    server.wait_for("worker 1 (pid ", "has left after 1 requests");
    assert_eq!(server.answer().0, "one");
}

#[test]
fn what_cannot_be_forked_is_tried_again() {
    // Root may have any number of processes.
    let user = if rwsgi::sys::user::is_root() { &["--uid", "65534"][..] } else { &[] };
    let options = [&["--http-socket", "127.0.0.1:0"], user].concat();
    let server = Server::begin(Some("one"), &options);
    server.wait_for("rwsgi ", " serves text:app on ");
    let (_, pid) = server.answer();
    server.write("no-fork", "");
    process::kill(pid, signal::SIGKILL).unwrap();
    server.wait_for("zygote: cannot fork worker 1: ", "");
    std::fs::remove_file(server.folder.join("no-fork")).unwrap();
    server.wait_for("worker 1 (pid ", " is ready");
    assert_ne!(server.answer().1, pid);
}

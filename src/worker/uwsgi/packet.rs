//! Requests on uwsgi sockets.

use crate::log;
use crate::net::client::Client;
use crate::proto::uwsgi::{self, BlockError, Head, Limits, PacketError};
use crate::sys::{clock, epoll, process};
use crate::worker::Shared;
use crate::worker::conns::Conn;
use crate::worker::core::Core;
use crate::worker::request::vars;
use crate::worker::response::{self, Speaks};
use std::io::{ErrorKind, Result};
use std::time::Duration;

/// How often a thread lets others run before it gives up waiting for the bytes of a new connection.
const YIELDS: u32 = 4;
/// How long it waits for them then. A connection in the table is worse off: its request may come while the only thread
/// runs another, and a worker that is killed takes it along.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long a thread has no patience after a peer has used it up: silent peers cost it no more than this.
const IMPATIENT_US: u64 = 1_000_000;

/// How far the receiving of a packet has come.
enum Got {
    Whole,
    /// Some of it; the rest may take its time.
    Part,
    Closed,
}

impl Core {
    /// Reads a packet from a connection that has bytes, or is new. `true`: there is a request to run.
    pub(in crate::worker) fn read_packet(&mut self, mut conn: Conn) -> bool {
        self.request.clear();
        let yields = if conn.buf.is_empty() { YIELDS } else { 0 };
        self.request.text.append(&mut conn.buf);
        let Some(client) = &mut conn.client else { return false };
        let got = match self.receive_packet(client, yields) {
            Ok(Got::Part) if !self.shared.has_private_epoll() => self.wait_for_packet(client),
            Ok(Got::Part) if conn.key.is_none() => self.wait_a_little(client),
            got => got,
        };
        if let Ok(Got::Part) = got {
            // As much as has come, and not the core's buffer.
            conn.buf = self.request.text.as_slice().to_vec();
            conn.heard_us = clock::monotonic_us();
            self.keep(conn);
            return false;
        }
        // Its request has it now: what is left of the answer comes as a new one.
        self.shared.forget(&conn);
        match (got, conn.client) {
            (Ok(Got::Whole), Some(client)) => self.take_packet(client),
            _ => false,
        }
    }

    fn limits(&self) -> Limits {
        let settings = &self.shared.settings;
        Limits { block: settings.requests.buffer_size, vars: settings.requests.max_vars }
    }

    /// Receives as far as it goes without waiting. A front end connects and writes in one go: when its connection is here
    /// and its bytes are not, they come within microseconds, and yielding for them is cheaper than going to sleep.
    fn receive_packet(&mut self, client: &mut Client, mut yields: u32) -> Result<Got> {
        let limits = self.limits();
        loop {
            let text = &mut self.request.text;
            let most = limits.block + uwsgi::HEAD_LEN - text.len().min(limits.block);
            match client.recv(text, most) {
                Ok(0) => return Ok(Got::Closed),
                Ok(_) => match uwsgi::parse(text, &limits) {
                    Ok(None) => {}
                    // What is wrong with it is told by whoever takes it.
                    Ok(Some(_)) | Err(_) => return Ok(Got::Whole),
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if yields == 0 {
                        return Ok(Got::Part);
                    }
                    yields -= 1;
                    process::yield_now();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Where threads wait in shared lines nobody watches single connections: this thread waits for the rest itself.
    fn wait_for_packet(&mut self, client: &mut Client) -> Result<Got> {
        let timeout = self.shared.settings.requests.socket_timeout;
        let deadline = clock::monotonic_us() + timeout.as_micros() as u64;
        loop {
            let left = Duration::from_micros(deadline.saturating_sub(clock::monotonic_us()));
            if left.is_zero() || !epoll::wait_one(&*client, false, left)? {
                self.shared.too_slow(self.request.text.len());
                return Ok(Got::Closed);
            }
            match self.receive_packet(client, 0)? {
                Got::Part => {}
                done => return Ok(done),
            }
        }
    }

    /// The bytes of a new connection are late: its sender was put aside in the middle, or there is none.
    fn wait_a_little(&mut self, client: &mut Client) -> Result<Got> {
        if clock::monotonic_us() >= self.impatient_until_us {
            if epoll::wait_one(&*client, false, PATIENCE)? {
                return self.receive_packet(client, YIELDS);
            }
            self.impatient_until_us = clock::monotonic_us() + IMPATIENT_US;
        }
        Ok(Got::Part)
    }

    /// The packet in `request.text` is whole, or wrong.
    fn take_packet(&mut self, mut client: Client) -> bool {
        let limits = self.limits();
        let (head, end) = match uwsgi::parse(&self.request.text, &limits) {
            Ok(Some(packet)) => (packet.head, packet.len()),
            Err(PacketError::TooLarge) => {
                let text =
                    format!("the request variables are longer than buffer-size = {} allows", limits.block);
                return self.refuse(client, 431, &text);
            }
            Err(PacketError::Http) => {
                let text = "an HTTP client came to a socket that speaks the uwsgi protocol; the option for it is http, and \
                            nginx's directive for this socket is uwsgi_pass";
                return self.refuse(client, 400, text);
            }
            Ok(None) | Err(_) => return self.refuse(client, 400, "a bad uwsgi packet"),
        };
        match head.modifier1 {
            uwsgi::WSGI | uwsgi::WSGI_STRIP => {}
            uwsgi::PING => {
                let pong = Head { modifier1: uwsgi::PING, size: 0, modifier2: 1 };
                let _ = client.send(&pong.to_bytes());
                return false;
            }
            other => {
                let text = format!("unavailable modifier requested: {other} (rwsgi speaks 0, 30 and ping)");
                return self.refuse(client, 501, &text);
            }
        }
        if head.size == 0 {
            return self.refuse(
                client,
                400,
                "an empty uwsgi packet: does the front end send its uwsgi_params?",
            );
        }
        match self.request.index(end, limits.vars) {
            Ok(()) => self.begin_packet(client, head, end),
            Err(BlockError::TooMany) => {
                let text = format!("more request variables than max-vars allows ({})", limits.vars);
                self.refuse(client, 431, &text)
            }
            Err(error) => self.refuse(client, 400, &format!("a bad uwsgi packet: {error}")),
        }
    }

    /// Checks what the packet asks for, chooses the app, and begins the exchange.
    fn begin_packet(&mut self, client: Client, head: Head, end: usize) -> bool {
        let settings = self.shared.settings.clone();
        if self.request.wants_code() && !settings.apps.dynamic_apps {
            self.note_code_request();
        }
        let Ok(length) = vars::content_length(self.request.get(self.request.known.content_length)) else {
            return self.refuse(client, 400, "CONTENT_LENGTH is not a number");
        };
        let memory = Some(settings.requests.post_buffering).filter(|&memory| memory > 0);
        if let Some(length) = length
            && let Some((option, most)) = self.exceeded(length, memory, false)
        {
            let text = format!("a body of {length} bytes is more than {option} = {most} allows");
            return self.refuse(client, 413, &text);
        }
        let received = self.request.text.len();
        self.choose_app();
        if head.modifier1 == uwsgi::WSGI_STRIP {
            self.strip_script_name();
        }
        let request = &self.request;
        let chunked = request.get(request.known.transfer_encoding).eq_ignore_ascii_case(b"chunked");
        let mut exchange = self.exchange.lock();
        let first = &request.text[end..received];
        if length.is_none() && chunked {
            exchange.body.begin_chunked(settings.requests.limit_post, first);
        } else {
            exchange.body.begin_sized(length.unwrap_or(0), first);
        }
        let is_head = request.get(request.known.method) == b"HEAD";
        let limits = response::Limits { room: 0, timeout: settings.requests.socket_timeout };
        exchange.begin(client, Speaks::Uwsgi, limits, request.get(request.known.protocol), is_head);
        drop(exchange);
        self.start()
    }

    /// modifier1 30: PATH_INFO still begins with SCRIPT_NAME.
    fn strip_script_name(&mut self) {
        let script_name = self.request.value_at(self.request.known.script_name);
        let path = self.request.value_at(self.request.known.path_info);
        if !script_name.is_empty() && path.starts_with(script_name) {
            let taken = script_name.len();
            self.request.cut_path(taken);
        }
    }

    /// Whoever reaches the socket could run code of its own: such variables stand in environ and do nothing.
    fn note_code_request(&self) {
        log::say(&format!(
            "worker {}: a request asked to load code (UWSGI_FILE, UWSGI_MODULE or the like); ignored, since \
             dynamic-apps is not set",
            self.shared.id
        ));
    }
}

impl Shared {
    /// A peer that did not send its request in time has been dropped.
    pub(in crate::worker) fn too_slow(&self, bytes: usize) {
        self.count_refused();
        log::say(&format!(
            "worker {}: a peer sent only {bytes} bytes of a request within socket-timeout = {} s; closed",
            self.id,
            self.settings.requests.socket_timeout.as_secs()
        ));
    }
}

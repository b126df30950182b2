//! Packets of front ends that speak uwsgi: received, parsed, checked.

use crate::config::Protocol;
use crate::log;
use crate::net::client::Client;
use crate::proto::http::Body;
use crate::proto::uwsgi::{self, BlockError, Head, Limits, PacketError};
use crate::sys::{clock, epoll, process};
use crate::worker::conn::Conn;
use crate::worker::core::Core;
use crate::worker::request::pipeline::{self, Announced, Arrived, Ready, Verdict};
use crate::worker::request::vars::{NotALength, Request, content_length};
use crate::worker::request::{Taken, canned};
use crate::worker::response::{self, Speaks};
use crate::worker::shared::Shared;
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

/// Reads a packet from a connection that has bytes, or is new.
pub fn read(core: &mut Core, mut conn: Conn) -> Taken {
    core.request.clear();
    let yields = if conn.buf.is_empty() { YIELDS } else { 0 };
    core.request.text.append(&mut conn.buf);
    let Some(client) = &mut conn.client else { return Taken::Nothing };
    let got = match receive(core, client, yields) {
        Ok(Got::Part) if !core.shared.acceptor.watches_table() => wait(core, client),
        Ok(Got::Part) if conn.key.is_none() => wait_a_little(core, client),
        got => got,
    };
    if let Ok(Got::Part) = got {
        // As much as has come, and not the core's buffer.
        conn.buf = core.request.text.as_slice().to_vec();
        conn.heard_us = clock::monotonic_us();
        core.keep(conn);
        return Taken::Nothing;
    }
    // Its request has it now: what is left of the answer comes as a new one.
    core.shared.table.forget(&conn);
    match (got, conn.client) {
        (Ok(Got::Whole), Some(client)) => take(core, client, conn.listener),
        _ => Taken::Nothing,
    }
}

fn limits(shared: &Shared) -> Limits {
    let requests = &shared.context.settings.requests;
    Limits { block: requests.buffer_size, vars: requests.max_vars }
}

/// Receives as far as it goes without waiting. A front end connects and writes in one go: when its connection is here and
/// its bytes are not, they come within microseconds, and yielding for them is cheaper than going to sleep.
fn receive(core: &mut Core, client: &mut Client, mut yields: u32) -> Result<Got> {
    let limits = limits(&core.shared);
    loop {
        let text = &mut core.request.text;
        let most = limits.block + uwsgi::HEAD_LEN - text.len().min(limits.block);
        match client.recv(text, most) {
            Ok(0) => return Ok(Got::Closed),
            Ok(_) => match uwsgi::parse(text, &limits) {
                Ok(None) => {}
                // Its error is reported when it is parsed.
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

/// Where threads wait in the accept queues no thread watches the table: this thread waits for the rest itself.
fn wait(core: &mut Core, client: &mut Client) -> Result<Got> {
    let timeout = core.shared.context.settings.requests.socket_timeout;
    let deadline = clock::monotonic_us() + timeout.as_micros() as u64;
    loop {
        let left = Duration::from_micros(deadline.saturating_sub(clock::monotonic_us()));
        if left.is_zero() || !epoll::wait_one(&*client, false, left)? {
            canned::note_slow_peer(&core.shared, core.request.text.len());
            return Ok(Got::Closed);
        }
        match receive(core, client, 0)? {
            Got::Part => {}
            done => return Ok(done),
        }
    }
}

/// The bytes of a new connection are late: its sender was put aside in the middle, or there is none.
fn wait_a_little(core: &mut Core, client: &mut Client) -> Result<Got> {
    if clock::monotonic_us() >= core.impatient_until_us {
        if epoll::wait_one(&*client, false, PATIENCE)? {
            return receive(core, client, YIELDS);
        }
        core.impatient_until_us = clock::monotonic_us() + IMPATIENT_US;
    }
    Ok(Got::Part)
}

/// What is wrong with a packet: the status that it is answered with, and the log's line.
type Fault = (u16, String);

/// The packet in `request.text` is whole, or wrong.
fn take(core: &mut Core, mut client: Client, listener: usize) -> Taken {
    let limits = limits(&core.shared);
    let (head, end) = match uwsgi::parse(&core.request.text, &limits) {
        Ok(Some(packet)) => (packet.head, packet.len()),
        Ok(None) => return refuse(core, client, listener, (400, "a bad uwsgi packet".to_owned())),
        Err(error) => return refuse(core, client, listener, packet_fault(error, &limits)),
    };
    if head.modifier1 == uwsgi::PING {
        let pong = Head { modifier1: uwsgi::PING, size: 0, modifier2: 1 };
        let _ = client.send(&pong.to_bytes());
        return Taken::Nothing;
    }
    match index(&mut core.request, head, end, &limits) {
        Ok(()) => begin(core, client, listener, head, end),
        Err(fault) => refuse(core, client, listener, fault),
    }
}

fn packet_fault(error: PacketError, limits: &Limits) -> Fault {
    match error {
        PacketError::TooLarge => {
            let block = limits.block;
            (431, format!("the request variables are longer than buffer-size = {block} allows"))
        }
        PacketError::Http => {
            let text = "an HTTP client came to a socket that speaks the uwsgi protocol; the option for it is http, and \
                        nginx's directive for this socket is uwsgi_pass";
            (400, text.to_owned())
        }
        PacketError::Block(_) => (400, "a bad uwsgi packet".to_owned()),
    }
}

/// Finds the variables of a packet that asks for something which there is.
fn index(request: &mut Request, head: Head, end: usize, limits: &Limits) -> std::result::Result<(), Fault> {
    if !matches!(head.modifier1, uwsgi::WSGI | uwsgi::WSGI_STRIP) {
        let other = head.modifier1;
        return Err((501, format!("unavailable modifier requested: {other} (rwsgi speaks 0, 30 and ping)")));
    }
    if head.size == 0 {
        let text = "an empty uwsgi packet: does the front end send its uwsgi_params?";
        return Err((400, text.to_owned()));
    }
    request.index(end, limits.vars).map_err(|error| match error {
        BlockError::TooMany => {
            (431, format!("more request variables than max-vars allows ({})", limits.vars))
        }
        error => (400, format!("a bad uwsgi packet: {error}")),
    })
}

/// Judges what the packet asks for, and has it run.
fn begin(core: &mut Core, client: Client, listener: usize, head: Head, end: usize) -> Taken {
    if core.request.wants_code() && !core.shared.context.settings.apps.dynamic_apps {
        note_code_request(&core.shared);
    }
    let requests = &core.shared.context.settings.requests;
    let Ok(body) = body_of(&core.request) else {
        return refuse(core, client, listener, (400, "CONTENT_LENGTH is not a number".to_owned()));
    };
    let memory = Some(requests.post_buffering).filter(|&memory| memory > 0);
    let announced = Announced { body, expects_continue: false, memory };
    match pipeline::judge(core, listener, &core.request, announced) {
        Verdict::Run => {}
        Verdict::Answer(canned) => {
            canned::answer(&core.shared, conn_of(client, listener), &canned, false);
            return Taken::Nothing;
        }
        Verdict::Refuse(status, text) => return refuse(core, client, listener, (status, text)),
    }
    let ready = Ready {
        client,
        listener,
        head_bytes: end,
        speaks: Speaks::Uwsgi,
        // Of what a front end does not take at once only files wait in the table.
        limits: response::Limits { room: 0, timeout: requests.socket_timeout },
        expects_continue: false,
        body: Arrived::InText(body, end),
        strips_script_name: head.modifier1 == uwsgi::WSGI_STRIP,
    };
    pipeline::run(core, ready)
}

fn body_of(request: &Request) -> std::result::Result<Body, NotALength> {
    let is_chunked = || request.get(request.known.transfer_encoding).eq_ignore_ascii_case(b"chunked");
    Ok(match content_length(request.get(request.known.content_length))? {
        None if is_chunked() => Body::Chunked,
        None | Some(0) => Body::None,
        Some(length) => Body::Length(length),
    })
}

fn refuse(core: &Core, client: Client, listener: usize, (status, why): Fault) -> Taken {
    canned::refuse_known(&core.shared, conn_of(client, listener), status, &why, core.request.request_id())
}

/// The connection of a client that has left the table for its request.
fn conn_of(client: Client, listener: usize) -> Conn {
    Conn::new(client, Protocol::Uwsgi, listener, clock::monotonic_us())
}

/// Whoever reaches the socket could run code of its own: such variables stand in environ and do nothing.
fn note_code_request(shared: &Shared) {
    log::say(&format!(
        "worker {}: a request asked to load code (UWSGI_FILE, UWSGI_MODULE or the like); ignored, since dynamic-apps is \
         not set",
        shared.context.id
    ));
}

//! What happens to a request that is whole and sound, whichever protocol it came by.
//!
//! [`judge`] sees its head, before anything of its body is waited for: what a socket sends on to https, probes, limits to
//! the length of a body. [`run`] sees its variables, when its body is here as far as it is read ahead in the table. From
//! there on it is a request on the scoreboard, and is answered by the first that has an answer: (routes and the cache, to
//! come), files, the application. What a uwsgi socket's `post-buffering` wants of the body is read last.

use super::canned::Canned;
use super::lifecycle::Shown;
use super::probes::Readiness;
use super::{Head, Taken, failure, ids, lifecycle, probes};
use crate::config::Settings;
use crate::net::client::Client;
use crate::proto::http::Body;
use crate::worker::body::error::BodyError;
use crate::worker::body::spool::Storage;
use crate::worker::core::Core;
use crate::worker::response::{Limits, Speaks};
use crate::worker::statics;

/// What the head of a request says of its body.
#[derive(Clone, Copy, Debug)]
pub struct Announced {
    pub body: Body,
    /// The client asks first (RFC 9110 §10.1.1).
    pub expects_continue: bool,
    /// How much of it may stay in memory where it is read ahead.
    pub memory: Option<usize>,
}

/// What is decided from the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is to be run.
    Run,
    Answer(Canned),
    Refuse(u16, String),
}

/// Decides from the head of a request that came through this listener.
#[inline]
pub fn judge(core: &Core, listener: usize, head: &impl Head, announced: Announced) -> Verdict {
    match core.shared.context.listeners[listener].to_https {
        Some(port) => Verdict::Answer(probes::redirect(head, &core.http.host_name, port)),
        None => judge_here(&core.shared.context.settings, head, announced, || probes::readiness(core)),
    }
}

/// The same where requests are not sent on.
#[inline]
fn judge_here(
    settings: &Settings,
    head: &impl Head,
    announced: Announced,
    is_ready: impl FnOnce() -> Readiness,
) -> Verdict {
    if let Some(canned) = probes::answer(&settings.http, head, is_ready) {
        return Verdict::Answer(canned);
    }
    match exceeded(settings, announced) {
        Some((length, option, most)) => {
            let text = format!("a body of {length} bytes is more than {option} = {most} allows");
            Verdict::Refuse(413, text)
        }
        None => Verdict::Run,
    }
}

/// The length of a body, and the limit that it is over.
fn exceeded(settings: &Settings, announced: Announced) -> Option<(u64, &'static str, u64)> {
    let Body::Length(length) = announced.body else { return None };
    let goes_to_file = announced.memory.is_some_and(|memory| length > memory as u64);
    let (requests, http) = (&settings.requests, &settings.http);
    let limits = [
        ("limit-post", Some(requests.limit_post)),
        ("post-buffering-limit", Some(requests.post_buffering_limit).filter(|_| goes_to_file)),
        ("http-manage-expect", http.expect_limit.filter(|_| announced.expects_continue)),
    ];
    let mut known = limits.into_iter().filter_map(|(option, limit)| Some((option, limit?)));
    let (option, most) = known.find(|&(_, limit)| limit > 0 && length > limit)?;
    Some((length, option, most))
}

/// The body of a request that is to be run.
#[derive(Clone, Copy, Debug)]
pub enum Arrived {
    /// There is none.
    Nothing,
    /// It has begun in the exchange.
    Begun,
    /// Its first bytes stand behind the variables, from this place in their text on.
    InText(Body, usize),
}

/// A request that is to be run: its variables are the core's.
pub struct Ready {
    pub client: Client,
    /// The listener that it came through.
    pub listener: usize,
    /// Bytes of its head, or of its packet.
    pub head_bytes: usize,
    pub speaks: Speaks,
    pub limits: Limits,
    pub expects_continue: bool,
    pub body: Arrived,
    /// PATH_INFO still begins with SCRIPT_NAME (modifier1 30).
    pub strips_script_name: bool,
}

/// Begins the exchange, and has the request answered.
pub fn run(core: &mut Core, ready: Ready) -> Taken {
    let strips = ready.strips_script_name;
    let broken = begin(core, ready);
    core.app = core.shared.mounts.choose(&mut core.request);
    if strips {
        core.request.strip_script_name();
    }
    if statics::serve::answer(core) {
        lifecycle::finish(core);
        return Taken::Nothing;
    }
    match broken.map_or_else(|| buffer_body(core), Err) {
        Ok(()) => Taken::Request,
        Err(error) => {
            // The request ends here, answered and logged like any other.
            failure::answer_broken_body(core, core.lock(), error);
            lifecycle::finish(core);
            Taken::Nothing
        }
    }
}

/// Begins the exchange and puts the request on the scoreboard. Returns what is wrong with the body already.
fn begin(core: &mut Core, ready: Ready) -> Option<BodyError> {
    let Ready { listener, head_bytes, .. } = ready;
    let shown = Shown { client: ready.client.scoreboard_word(), listener, head_bytes };
    let tracing = &core.shared.context.settings.tracing;
    let mut exchange = core.exchange.lock();
    match ready.body {
        Arrived::Nothing => _ = exchange.body.begin(Body::None, 0, b""),
        Arrived::Begun => {}
        Arrived::InText(body, at) => {
            let limit = core.shared.context.settings.requests.limit_post;
            exchange.body.begin(body, limit, &core.request.text[at..]);
        }
    }
    // What it appends would stand among the bytes of a body.
    ids::settle(&mut core.request, tracing, &mut core.buffers.random);
    let request = &core.request;
    let known = &request.known;
    let is_head = request.get(known.method) == b"HEAD";
    exchange.begin(ready.client, ready.speaks, ready.limits, request.get(known.protocol), is_head);
    if tracing.request_id.is_on() && tracing.in_response {
        exchange.set_request_id(request.request_id());
    }
    if ready.expects_continue {
        exchange.expect_continue();
    }
    let broken = exchange.body.failed();
    drop(exchange);
    lifecycle::show(core, shown);
    broken
}

/// Reads the body of a uwsgi request ahead, if it is to be. Of an HTTP request it has been, while the connection waited in
/// the table.
fn buffer_body(core: &Core) -> Result<(), BodyError> {
    let requests = &core.shared.context.settings.requests;
    if requests.post_buffering == 0 || core.current.is_some() {
        return Ok(());
    }
    let (memory, file) = (requests.post_buffering, requests.post_buffering_limit);
    core.exchange.buffer_body(Storage { memory, file, may_open: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::uwsgi;
    use crate::worker::request::vars::Request;

    /// A request as a front end sends it.
    fn request(method: &str, path: &str) -> Request {
        let mut request = Request { text: vec![0; uwsgi::HEAD_LEN], ..Request::default() };
        for (name, value) in [("REQUEST_METHOD", method), ("PATH_INFO", path)] {
            uwsgi::push_var(&mut request.text, name.as_bytes(), value.as_bytes()).unwrap();
        }
        request.index(request.text.len(), 100).unwrap();
        request
    }

    #[test]
    fn probes_go_before_limits_and_the_application() {
        let mut settings = Settings::default();
        settings.requests.limit_post = 5;
        settings.http.readyz = Some("/readyz".to_owned());
        let judged = |method, path, length| {
            let body = if length == 0 { Body::None } else { Body::Length(length) };
            let announced = Announced { body, expects_continue: false, memory: None };
            match judge_here(&settings, &request(method, path), announced, || Err("stopping")) {
                Verdict::Run => 0,
                Verdict::Answer(canned) => canned.code,
                Verdict::Refuse(status, _) => status,
            }
        };
        assert_eq!(judged("GET", "/readyz", 6), 503);
        assert_eq!(judged("POST", "/readyz", 6), 413);
        assert_eq!(judged("POST", "/readyz", 5), 0);
        assert_eq!(judged("GET", "/", 0), 0);
    }

    fn over(settings: &Settings, length: u64, expects_continue: bool) -> Option<&'static str> {
        let announced = Announced { body: Body::Length(length), expects_continue, memory: Some(10) };
        exceeded(settings, announced).map(|(_, option, _)| option)
    }

    #[test]
    fn each_limit_has_its_bodies() {
        let mut settings = Settings::default();
        assert_eq!(over(&settings, 1 << 30, true), None);
        settings.requests.limit_post = 100;
        settings.requests.post_buffering_limit = 50;
        settings.http.expect_limit = Some(20);
        for (length, expects_continue, expected) in [
            (10, false, None),
            (20, true, None),
            (21, true, Some("http-manage-expect")),
            (50, false, None),
            (51, false, Some("post-buffering-limit")),
            (51, true, Some("post-buffering-limit")),
            (101, false, Some("limit-post")),
        ] {
            assert_eq!(over(&settings, length, expects_continue), expected, "{length}");
        }
    }

    #[test]
    fn what_stays_in_memory_has_no_limit_of_files() {
        let mut settings = Settings::default();
        settings.requests.post_buffering_limit = 5;
        assert_eq!(over(&settings, 10, false), None);
        assert_eq!(over(&settings, 11, false), Some("post-buffering-limit"));
        let streamed = Announced { body: Body::Length(11), expects_continue: false, memory: None };
        assert_eq!(exceeded(&settings, streamed), None);
        assert_eq!(exceeded(&settings, Announced { body: Body::Chunked, ..streamed }), None);
    }
}

//! A request for a document: GET or HEAD, by a name that is known, from a page that may ask.

use super::hosts::Hosts;
use crate::proto::http::names::{self, Id};
use crate::proto::http::{Head, Limits, Progress, Request, head};
use crate::report::Document;

/// A head that is longer is refused.
pub const MAX_HEAD: usize = 8192;
const LIMITS: Limits = Limits { request_line: 4096, headers: 100, head: MAX_HEAD };

const ACCEPT: Id = names::id_of("accept");

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// HEAD: the answer has no body.
    pub head_only: bool,
    pub path: String,
    /// Without the question mark.
    pub query: String,
    pub accept: String,
}

impl Asked {
    /// Is this media type named in the request?
    pub fn accepts(&self, media_type: &str) -> bool {
        self.accept.split(',').any(|range| {
            let name = range.split(';').next().unwrap_or_default();
            name.trim().eq_ignore_ascii_case(media_type)
        })
    }

    /// The value of a name in the query.
    pub fn argument(&self, name: &str) -> Option<&str> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
    }
}

/// The answer to what is no request, or not one that is answered.
pub struct Refusal {
    pub document: Document,
    /// RFC 9110 §9.3.2: the answer to HEAD has no body, whatever it is.
    pub head_only: bool,
}

/// The bytes of a request that have come so far.
#[derive(Default)]
pub struct Reading {
    pub bytes: Vec<u8>,
    progress: Progress,
}

impl Reading {
    /// `None`: the head is not whole yet. An error is the answer.
    pub fn parse(&mut self, hosts: Option<&Hosts<'_>>) -> Option<Result<Asked, Refusal>> {
        let mut parsed = Head::default();
        match head::parse(&self.bytes, &LIMITS, &mut self.progress, &mut parsed) {
            Ok(None) => None,
            Ok(Some(_)) => {
                let request = Request::new(&self.bytes, &parsed);
                let head_only = request.method() == b"HEAD";
                Some(check(&request, hosts).map_err(|document| Refusal { document, head_only }))
            }
            Err(reject) => {
                let document = Document::refusal(reject.status, reject.reason);
                Some(Err(Refusal { document, head_only: self.bytes.starts_with(b"HEAD ") }))
            }
        }
    }
}

fn check(request: &Request<'_>, hosts: Option<&Hosts<'_>>) -> Result<Asked, Document> {
    let head_only = match request.method() {
        b"GET" => false,
        b"HEAD" => true,
        _ => return Err(Document::refusal(405, "only GET and HEAD are answered")),
    };
    check_host(request, hosts)?;
    if is_foreign(request) {
        return Err(Document::refusal(403, "pages of other sites may not ask"));
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let path = text(request.path());
    let path = if path.is_empty() { "/".to_owned() } else { path };
    let accept = request.fields().filter(|(_, _, id)| *id == ACCEPT).map(|(_, value, _)| text(value));
    let accept = accept.collect::<Vec<_>>().join(",");
    Ok(Asked { head_only, path, query: text(request.query()), accept })
}

/// RFC 9112 §3.2: HTTP/1.1 needs one Host; a browser that was led here by a name of another site sends that name.
fn check_host(request: &Request<'_>, hosts: Option<&Hosts<'_>>) -> Result<(), Document> {
    let Some(hosts) = hosts else { return Ok(()) };
    let count = request.fields().filter(|(_, _, id)| *id == names::HOST).count();
    if count > 1 || (count == 0 && request.minor() > 0) {
        return Err(Document::refusal(400, "HTTP/1.1 needs one Host header"));
    }
    let host = String::from_utf8_lossy(request.host());
    if count == 0 || hosts.has(&host) {
        return Ok(());
    }
    let text = format!("\"{host}\" is no name of this server; stats-host = NAME makes it one");
    Err(Document::refusal(421, &text))
}

/// Fetch metadata (W3C): does a page of another site ask, other than by a link that was followed to the page itself?
fn is_foreign(request: &Request<'_>) -> bool {
    let value = |wanted: &str| {
        let found = request.fields().find(|(name, ..)| name.eq_ignore_ascii_case(wanted.as_bytes()));
        found.map(|(_, value, _)| value)
    };
    let is_own = matches!(value("sec-fetch-site"), None | Some(b"same-origin" | b"none"));
    let follows_link =
        value("sec-fetch-mode") == Some(b"navigate") && value("sec-fetch-dest") == Some(b"document");
    !(is_own || follows_link && request.path() == b"/")
}

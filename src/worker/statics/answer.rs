//! The answer that a file gives to a request: status, headers, and which of its bytes.

use super::find::Found;
use super::places::Statics;
use super::variant::Variant;
use crate::base::date::http_date;
use crate::config::statics::{Expires, Handing, Subject};
use crate::net::send_queue::SendQueue;
use crate::proto::http::conditional::{self, Conditions, Validators, Verdict};
use crate::proto::http::range::{self, Wanted};
use crate::proto::http::response::HeadError;
use crate::sys::clock;
use crate::sys::files::Metadata;
use crate::worker::request::vars::Request;
use crate::worker::response::Exchange;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

type Done = Result<(), HeadError>;

pub struct Answer<'a> {
    statics: &'a Statics,
    request: &'a Request,
    exchange: &'a mut Exchange,
    variant: Variant,
    /// Content-Type.
    kind: &'a [u8],
    etag: String,
    now: i64,
}

impl<'a> Answer<'a> {
    /// `path` is that of the file below its root, with NUL.
    pub fn new(
        statics: &'a Statics,
        request: &'a Request,
        exchange: &'a mut Exchange,
        found: Found,
        path: &mut Vec<u8>,
    ) -> Answer<'a> {
        let now = clock::wall_secs();
        let kind = statics.types.of(&path[..path.len() - 1]);
        let accepted = request.find(b"HTTP_ACCEPT_ENCODING").unwrap_or_default();
        let variant = statics.choose(found, path, accepted);
        let etag = etag(&variant.facts, variant.coding, now);
        Answer { statics, request, exchange, variant, kind, etag, now }
    }

    pub fn write(mut self) -> Done {
        match conditional::judge(&self.conditions(), &self.validators()) {
            Verdict::Send => {}
            Verdict::NotModified => {
                // RFC 9110 §15.4.5: what a 200 would have said of its freshness.
                self.exchange.start(b"304 Not Modified")?;
                self.put_expires()?;
                self.put_validators()?;
                return self.finish(SendQueue::default());
            }
            Verdict::Failed => {
                self.exchange.start(b"412 Precondition Failed")?;
                return self.finish(SendQueue::default());
            }
        }
        match self.statics.settings.statics.handing {
            Handing::Server => self.send(),
            Handing::Accel => self.hand_on("X-Accel-Redirect"),
            Handing::Sendfile => self.hand_on("X-Sendfile"),
        }
    }

    // ── what it depends on ──

    fn conditions(&self) -> Conditions<'a> {
        Conditions {
            if_match: self.request.find(b"HTTP_IF_MATCH"),
            if_none_match: self.request.find(b"HTTP_IF_NONE_MATCH"),
            if_modified_since: self.request.find(b"HTTP_IF_MODIFIED_SINCE"),
            if_unmodified_since: self.request.find(b"HTTP_IF_UNMODIFIED_SINCE"),
        }
    }

    fn validators(&self) -> Validators<'_> {
        let modified = self.variant.facts.modified.0;
        Validators {
            etag: self.etag.as_bytes(),
            // RFC 9110 §8.8.2.1: not later than the answer itself.
            modified: modified.min(self.now).max(0) as u64,
            date_is_strong: modified < self.now,
        }
    }

    fn wanted(&self) -> Wanted {
        let request = self.request;
        // RFC 9110 §14.2: Range is defined for GET.
        let header = request.find(b"HTTP_RANGE").filter(|_| request.get(request.known.method) == b"GET");
        let Some(header) = header else { return Wanted::Whole };
        let condition = request.find(b"HTTP_IF_RANGE");
        match condition.is_none_or(|value| conditional::range_counts(value, &self.validators())) {
            true => range::wanted(header, self.variant.facts.size),
            false => Wanted::Whole,
        }
    }

    // ── headers, in uWSGI's order ──

    fn put(&mut self, name: &str, value: impl AsRef<[u8]>) -> Done {
        self.exchange.head.header(name.as_bytes(), value.as_ref())
    }

    fn put_expires(&mut self) -> Done {
        let request = self.request;
        let fits = |rule: &&Expires| match &rule.of {
            Subject::File(pattern) => pattern.matches(&self.variant.real),
            Subject::PathInfo(pattern) => pattern.matches(request.value_at(request.known.path_info)),
            Subject::Uri(pattern) => pattern.matches(request.get(request.known.uri)),
            Subject::Type(name) => name.as_bytes() == self.kind,
        };
        let statics = self.statics;
        let Some(rule) = statics.settings.statics.expires.iter().find(fits) else { return Ok(()) };
        let time = rule.time.as_secs();
        let from = if rule.from_change { self.variant.facts.modified.0 } else { self.now };
        self.put("Expires", http_date(from.max(0) as u64 + time))?;
        if rule.from_change || statics.has_cache_control {
            return Ok(());
        }
        self.put("Cache-Control", format!("max-age={time}"))
    }

    fn put_coding(&mut self) -> Done {
        match self.variant.coding {
            Some(coding) => self.put("Content-Encoding", coding),
            None => Ok(()),
        }
    }

    fn put_validators(&mut self) -> Done {
        self.put("Last-Modified", http_date(self.validators().modified))?;
        let etag = std::mem::take(&mut self.etag);
        self.put("ETag", etag)?;
        if self.variant.varies {
            self.put("Vary", "Accept-Encoding")?;
        }
        Ok(())
    }

    /// Ends the head. Of an answer without a body (304) there is no length.
    fn finish(mut self, body: SendQueue) -> Done {
        if self.exchange.head.allows_body() {
            self.put("Content-Length", body.len().to_string())?;
        }
        self.exchange.attach(body);
        Ok(())
    }

    // ── bytes ──

    fn send(mut self) -> Done {
        let size = self.variant.facts.size;
        let wanted = self.wanted();
        if wanted == Wanted::Unsatisfiable {
            self.exchange.start(b"416 Range Not Satisfiable")?;
            self.put("Content-Range", format!("bytes */{size}"))?;
            return self.finish(SendQueue::default());
        }
        self.exchange.start(if wanted == Wanted::Whole { b"200 OK" } else { b"206 Partial Content" })?;
        self.put_expires()?;
        self.put_coding()?;
        let body = match wanted {
            Wanted::Parts(parts) if parts.len() > 1 => self.put_parts(&parts)?,
            Wanted::Parts(parts) => self.put_one(parts.first().cloned().unwrap_or(0..size), true)?,
            _ => self.put_one(0..size, false)?,
        };
        self.put_validators()?;
        self.put("Accept-Ranges", "bytes")?;
        self.finish(body)
    }

    fn body(&mut self) -> SendQueue {
        self.variant.file.take().map_or_else(SendQueue::default, |file| {
            SendQueue::of_file(file, self.statics.settings.statics.copies)
        })
    }

    fn put_one(&mut self, range: Range<u64>, is_part: bool) -> Result<SendQueue, HeadError> {
        self.put("Content-Type", self.kind)?;
        if is_part {
            self.put("Content-Range", content_range(&range, self.variant.facts.size))?;
        }
        let mut body = self.body();
        body.push_stretch(range.start, range.end - range.start);
        Ok(body)
    }

    /// RFC 9110 §14.6: each part with its own type and place.
    fn put_parts(&mut self, ranges: &[Range<u64>]) -> Result<SendQueue, HeadError> {
        // Nobody can write a file beforehand in which it stands.
        let boundary = format!("{:016x}", RandomState::new().hash_one(self.now));
        self.put("Content-Type", format!("multipart/byteranges; boundary={boundary}"))?;
        let mut body = self.body();
        for range in ranges {
            let place = content_range(range, self.variant.facts.size);
            let mut head = format!("\r\n--{boundary}\r\nContent-Type: ").into_bytes();
            head.extend_from_slice(self.kind);
            head.extend_from_slice(format!("\r\nContent-Range: {place}\r\n\r\n").as_bytes());
            body.push_bytes(head);
            body.push_stretch(range.start, range.end - range.start);
        }
        body.push_bytes(format!("\r\n--{boundary}--\r\n").into_bytes());
        Ok(body)
    }

    /// The front end sends the file; it decides on ranges, too.
    fn hand_on(mut self, name: &str) -> Done {
        self.exchange.start(b"200 OK")?;
        self.put_expires()?;
        self.put_coding()?;
        self.put("Content-Type", self.kind)?;
        let mut place = Vec::new();
        push_escaped(&mut place, &self.variant.real);
        self.put(name, place)?;
        self.put_validators()?;
        self.exchange.attach(SendQueue::default());
        Ok(())
    }
}

/// Sends the client to a directory's own address, with its slash, so that the relative links of its index work.
pub fn redirect(request: &Request, exchange: &mut Exchange) -> Done {
    let mut place = Vec::new();
    for part in [request.known.script_name, request.known.path_info] {
        push_escaped(&mut place, request.value_at(part));
    }
    // Two slashes at the start would name another host.
    let slashes = place.iter().take_while(|&&byte| byte == b'/').count();
    place.splice(..slashes, [b'/']);
    place.push(b'/');
    if let Some(query) = request.find(b"QUERY_STRING") {
        place.push(b'?');
        place.extend_from_slice(query);
    }
    exchange.start(b"301 Moved Permanently")?;
    exchange.head.header(b"Location", &place)?;
    exchange.head.header(b"Content-Length", b"0")?;
    exchange.attach(SendQueue::default());
    Ok(())
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

/// Size and time of the last change, not the inode: the same file has the same tag on every machine. It is weak for a
/// second after a change, since another one may come in the same tick of the file system's clock (RFC 9110 §8.8.1).
fn etag(facts: &Metadata, coding: Option<&str>, now: i64) -> String {
    let (seconds, nanos) = facts.modified;
    let weak = if seconds >= now { "W/" } else { "" };
    let (dash, coding) = coding.map_or(("", ""), |coding| ("-", coding));
    format!("{weak}\"{seconds:x}.{nanos:x}-{:x}{dash}{coding}\"", facts.size)
}

/// Appends a path as it stands in a URI.
fn push_escaped(out: &mut Vec<u8>, path: &[u8]) {
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}

//! One request: its variables as they came, and the positions of those that the server itself reads.

use crate::base::bytes::parse_decimal;
use crate::proto::http::framing::MAX_LENGTH;
use crate::proto::trace;
use crate::proto::uwsgi::{self, BlockError, Vars};
use std::ops::Range;

/// A stretch of [`Request::text`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
}

impl Span {
    fn of(text: &[u8], part: &[u8]) -> Span {
        // Vars hands out parts of `text`, so the distance is within it.
        Span { start: (part.as_ptr() as usize - text.as_ptr() as usize) as u32, len: part.len() as u32 }
    }

    pub fn range(self) -> Range<usize> {
        self.start as usize..(self.start + self.len) as usize
    }

    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Var {
    pub key: Span,
    pub value: Span,
}

/// The variables that steer the server. A repeated variable: the last one counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    pub method: Span,
    pub uri: Span,
    pub protocol: Span,
    pub path_info: Option<usize>,
    pub script_name: Option<usize>,
    pub app_id: Span,
    pub remote_addr: Span,
    pub forwarded_for: Span,
    pub remote_user: Span,
    pub host: Span,
    pub content_length: Span,
    pub transfer_encoding: Span,
    pub forwarded: Span,
    pub forwarded_host: Span,
    pub https: Span,
    pub scheme: Span,
    pub request_id: Span,
    pub traceparent: Span,
    wants_code: bool,
}

/// A client's `Proxy` header, which means nothing. Programs of a CGI environment take their proxy from this name
/// (CVE-2016-1000110, "httpoxy"): it never gets there.
const HTTP_PROXY: &[u8] = b"HTTP_PROXY";

/// The buffers of a core: cleared, never freed, between requests.
#[derive(Default)]
pub struct Request {
    /// The packet: 4 bytes of head, then the block of variables; what mounts change is appended behind it.
    pub text: Vec<u8>,
    pub vars: Vec<Var>,
    pub known: Known,
    /// Bytes of the block as it was received, for the log.
    pub block_len: usize,
    /// The peer is a front end whose variables say what the client's own scheme is.
    pub trusted: bool,
    /// The scheme of a request that came without such a front end.
    pub told_scheme: Option<&'static [u8]>,
}

impl Request {
    pub fn clear(&mut self) {
        self.text.clear();
        self.vars.clear();
        self.known = Known::default();
        self.block_len = 0;
        self.trusted = true;
        self.told_scheme = None;
    }

    #[inline]
    pub fn get(&self, span: Span) -> &[u8] {
        &self.text[span.range()]
    }

    /// Indexes the block that stands in `text[4..end]`.
    pub fn index(&mut self, end: usize, max_vars: usize) -> Result<(), BlockError> {
        self.vars.clear();
        self.known = Known::default();
        let text = &self.text[..end];
        self.block_len = end - uwsgi::HEAD_LEN;
        for pair in Vars::new(&text[uwsgi::HEAD_LEN..]) {
            let (key, value) = pair?;
            if self.vars.len() == max_vars {
                return Err(BlockError::TooMany);
            }
            if key == HTTP_PROXY {
                continue;
            }
            let var = Var { key: Span::of(text, key), value: Span::of(text, value) };
            self.known.note(key, value, var.value, self.vars.len());
            self.vars.push(var);
        }
        Ok(())
    }

    /// `https` or `http` or what the front end said.
    pub fn scheme(&self) -> &[u8] {
        if !self.trusted {
            return self.told_scheme.unwrap_or(b"http");
        }
        if !self.known.scheme.is_empty() {
            return self.get(self.known.scheme);
        }
        match self.get(self.known.https) {
            [b'1', ..] | [b'o' | b'O', b'n' | b'N', ..] => b"https",
            _ => b"http",
        }
    }

    /// Did the client ask to have code loaded (UWSGI_FILE and the like)?
    pub fn wants_code(&self) -> bool {
        self.known.wants_code
    }

    /// Empty: it has none. Sane once [`super::ids::settle`] has seen it.
    pub fn request_id(&self) -> &[u8] {
        self.get(self.known.request_id)
    }

    /// The trace that it belongs to, once [`super::ids::settle`] has seen its `traceparent`. Empty: none.
    pub fn trace_id(&self) -> &[u8] {
        trace::trace_id(self.get(self.known.traceparent)).unwrap_or_default()
    }

    /// What chooses the app: UWSGI_APPID, else SCRIPT_NAME.
    pub fn app_key(&self) -> &[u8] {
        match self.get(self.known.app_id) {
            b"" => self.value_at(self.known.script_name),
            id => id,
        }
    }

    /// A variable by its name; the last one counts.
    pub fn find(&self, key: &[u8]) -> Option<&[u8]> {
        let var = self.vars.iter().rev().find(|var| self.get(var.key) == key)?;
        Some(self.get(var.value)).filter(|value| !value.is_empty())
    }

    pub fn value_at(&self, index: Option<usize>) -> &[u8] {
        index.and_then(|index| self.vars.get(index)).map_or(b"", |var| self.get(var.value))
    }

    fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(bytes);
        Span { start, len: bytes.len() as u32 }
    }

    /// Gives a variable another value, or makes it. Of a repeated one the last is changed, which is the one that counts.
    pub fn set(&mut self, key: &[u8], value: &[u8]) {
        let span = self.append(value);
        let found = self.vars.iter().rposition(|var| self.get(var.key) == key);
        let index = found.unwrap_or(self.vars.len());
        match found {
            Some(index) => self.vars[index].value = span,
            None => {
                let key = self.append(key);
                self.vars.push(Var { key, value: span });
            }
        }
        self.known.note(key, value, span, index);
    }

    /// Takes a variable out that the server does not know by itself.
    pub fn remove(&mut self, key: &[u8]) {
        while let Some(index) = self.vars.iter().position(|var| self.get(var.key) == key) {
            self.vars.remove(index);
            let indexes = [&mut self.known.path_info, &mut self.known.script_name];
            indexes.into_iter().flatten().filter(|at| **at > index).for_each(|at| *at -= 1);
        }
    }

    /// Moves the first `taken` bytes of PATH_INFO over to SCRIPT_NAME, which becomes `mountpoint`.
    pub fn mount(&mut self, mountpoint: &[u8], taken: usize) {
        let script_name = self.append(mountpoint);
        match self.known.script_name {
            Some(index) => self.vars[index].value = script_name,
            None => {
                let key = self.append(b"SCRIPT_NAME");
                self.known.script_name = Some(self.vars.len());
                self.vars.push(Var { key, value: script_name });
            }
        }
        self.cut_path(taken);
    }

    /// modifier1 30: PATH_INFO still begins with SCRIPT_NAME.
    pub fn strip_script_name(&mut self) {
        let script_name = self.value_at(self.known.script_name);
        if !script_name.is_empty() && self.value_at(self.known.path_info).starts_with(script_name) {
            let taken = script_name.len();
            self.cut_path(taken);
        }
    }

    /// Drops the first `taken` bytes of PATH_INFO.
    pub fn cut_path(&mut self, taken: usize) {
        if let Some(index) = self.known.path_info {
            let value = &mut self.vars[index].value;
            let taken = (taken as u32).min(value.len);
            value.start += taken;
            value.len -= taken;
        }
    }
}

impl super::Head for Request {
    fn method(&self) -> &[u8] {
        self.get(self.known.method)
    }

    fn path(&self) -> &[u8] {
        self.value_at(self.known.path_info)
    }

    fn query(&self) -> &[u8] {
        self.find(b"QUERY_STRING").unwrap_or_default()
    }

    fn host(&self) -> &[u8] {
        self.get(self.known.host)
    }
}

impl Known {
    #[inline]
    fn note(&mut self, key: &[u8], value: &[u8], span: Span, index: usize) {
        match key {
            b"REQUEST_METHOD" => self.method = span,
            b"REQUEST_URI" => self.uri = span,
            b"SERVER_PROTOCOL" => self.protocol = span,
            b"PATH_INFO" => self.path_info = Some(index),
            b"SCRIPT_NAME" => self.script_name = Some(index),
            b"CONTENT_LENGTH" => self.content_length = span,
            b"REMOTE_ADDR" => self.remote_addr = span,
            b"REMOTE_USER" => self.remote_user = span,
            b"HTTP_HOST" => self.host = span,
            b"HTTPS" | b"HTTP_X_FORWARDED_SSL" => self.https = span,
            b"UWSGI_SCHEME" | b"HTTP_X_FORWARDED_PROTO" => self.scheme = span,
            b"HTTP_FORWARDED" => self.forwarded = span,
            b"HTTP_X_FORWARDED_HOST" => self.forwarded_host = span,
            b"HTTP_X_FORWARDED_FOR" => self.forwarded_for = span,
            b"HTTP_TRANSFER_ENCODING" => self.transfer_encoding = span,
            b"HTTP_X_REQUEST_ID" => self.request_id = span,
            b"HTTP_TRACEPARENT" => self.traceparent = span,
            b"UWSGI_APPID" => self.app_id = span,
            b"UWSGI_SCRIPT"
            | b"UWSGI_MODULE"
            | b"UWSGI_CALLABLE"
            | b"UWSGI_FILE"
            | b"UWSGI_HOME"
            | b"UWSGI_PYHOME"
            | b"UWSGI_CHDIR"
            | b"UWSGI_SETENV"
            | b"UWSGI_POSTFILE"
            | b"UWSGI_TOUCH_RELOAD"
            | b"UWSGI_CACHE_GET" => self.wants_code |= !value.is_empty(),
            _ => {}
        }
    }
}

/// A Content-Length that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotALength;

/// A Content-Length as RFC 9110 §8.6 has it: digits and nothing else. Absent or empty is `Ok(None)`.
pub fn content_length(value: &[u8]) -> Result<Option<u64>, NotALength> {
    if value.is_empty() {
        return Ok(None);
    }
    parse_decimal(value).filter(|&length| length <= MAX_LENGTH).map(Some).ok_or(NotALength)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(vars: &[(&str, &str)]) -> Request {
        let mut request = Request { text: vec![0; 4], trusted: true, ..Request::default() };
        for (key, value) in vars {
            uwsgi::push_var(&mut request.text, key.as_bytes(), value.as_bytes()).unwrap();
        }
        request.index(request.text.len(), 100).unwrap();
        request
    }

    #[test]
    fn the_last_of_a_repeated_variable_counts() {
        let request = request(&[("REQUEST_METHOD", "GET"), ("REQUEST_METHOD", "PUT")]);
        assert_eq!(request.get(request.known.method), b"PUT");
    }

    #[test]
    fn a_client_names_no_proxy() {
        let request =
            request(&[("HTTP_PROXY", "evil"), ("REQUEST_METHOD", "GET"), ("HTTP_PROXY_AUTHORIZATION", "x")]);
        assert_eq!((request.find(b"HTTP_PROXY"), request.vars.len()), (None, 2));
        assert_eq!(request.find(b"HTTP_PROXY_AUTHORIZATION"), Some(&b"x"[..]));
    }

    #[test]
    fn the_scheme_follows_the_front_end() {
        assert_eq!(request(&[]).scheme(), b"http");
        assert_eq!(request(&[("HTTPS", "on")]).scheme(), b"https");
        assert_eq!(request(&[("HTTPS", "off")]).scheme(), b"http");
        assert_eq!(request(&[("HTTPS", "on"), ("UWSGI_SCHEME", "http")]).scheme(), b"http");
    }

    #[test]
    fn mounting_moves_the_path() {
        let mut request = request(&[("PATH_INFO", "/blog/2026"), ("X", "y")]);
        request.mount(b"/blog", 5);
        assert_eq!(request.value_at(request.known.script_name), b"/blog");
        assert_eq!(request.value_at(request.known.path_info), b"/2026");
    }

    #[test]
    fn a_content_length_is_digits() {
        assert_eq!(content_length(b""), Ok(None));
        assert_eq!(content_length(b"0042"), Ok(Some(42)));
        for bad in [&b"+1"[..], b"-1", b"1 ", b"1,1", b"9223372036854775808", b"99999999999999999999", b"0x1"]
        {
            assert_eq!(content_length(bad), Err(NotALength));
        }
    }

    #[test]
    fn code_is_asked_for_by_name() {
        assert!(request(&[("UWSGI_FILE", "/tmp/x.py")]).wants_code());
        assert!(!request(&[("UWSGI_SCHEME", "https")]).wants_code());
    }
}

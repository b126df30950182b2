//! Conditional requests (RFC 9110 §13): may the answer be sent, or does the client have it already?

use crate::base::bytes::trim_ows;
use crate::base::date::parse_http_date;

/// The headers of a request that make it conditional. Absent ones are `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions<'a> {
    pub if_match: Option<&'a [u8]>,
    pub if_none_match: Option<&'a [u8]>,
    pub if_modified_since: Option<&'a [u8]>,
    pub if_unmodified_since: Option<&'a [u8]>,
}

/// What is known of the file that would be sent.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// With its quotes, and with `W/` in front when it is weak.
    pub etag: &'a [u8],
    /// Last-Modified, in seconds since 1970.
    pub modified: u64,
    /// Dates count seconds: one of a file that has changed within the last of them may stand for two states of it
    /// (RFC 9110 §8.8.2.2).
    pub date_is_strong: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Send,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// For GET and HEAD, in the order of RFC 9110 §13.2.2.
pub fn judge(conditions: &Conditions, file: &Validators) -> Verdict {
    if let Some(list) = conditions.if_match {
        if !any_matches(list, |tag| is_strong(tag) && tag == file.etag) {
            return Verdict::Failed;
        }
    } else if let Some(date) = conditions.if_unmodified_since.and_then(parse_http_date)
        && file.modified > date
    {
        return Verdict::Failed;
    }
    if let Some(list) = conditions.if_none_match {
        if any_matches(list, |tag| opaque(tag) == opaque(file.etag)) {
            return Verdict::NotModified;
        }
    } else if let Some(date) = conditions.if_modified_since.and_then(parse_http_date)
        && file.modified <= date
    {
        return Verdict::NotModified;
    }
    Verdict::Send
}

/// Does `If-Range` let the Range header count (RFC 9110 §13.1.5)? Only an exact and strong match does.
pub fn range_counts(if_range: &[u8], file: &Validators) -> bool {
    let value = trim_ows(if_range);
    if value.starts_with(b"\"") || value.starts_with(b"W/") {
        return is_strong(value) && value == file.etag;
    }
    file.date_is_strong && parse_http_date(value) == Some(file.modified)
}

fn is_strong(tag: &[u8]) -> bool {
    tag.starts_with(b"\"")
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// `*`, or a list of entity tags. What is no tag ends the list.
fn any_matches(list: &[u8], mut matches: impl FnMut(&[u8]) -> bool) -> bool {
    let mut rest = trim_ows(list);
    if rest == b"*" {
        return true;
    }
    while let Some((tag, behind)) = next_tag(rest) {
        if matches(tag) {
            return true;
        }
        rest = behind;
    }
    false
}

/// The tag at the start of a list, commas in front of it skipped, and what stands behind. A comma may be part of a tag.
fn next_tag(list: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = list.iter().position(|byte| !b", \t".contains(byte))?;
    let list = &list[start..];
    let open = if list.starts_with(b"W/") { 2 } else { 0 };
    let text = list.get(open..)?.strip_prefix(b"\"")?;
    let close = open + 1 + text.iter().position(|&byte| byte == b'"')?;
    Some(list.split_at(close + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const FILE: Validators = Validators { etag: b"\"a,b\"", modified: 784_111_777, date_is_strong: true };

    fn judged(headers: &[(&str, &str)]) -> Verdict {
        let find = |name| headers.iter().find(|(is, _)| *is == name).map(|(_, value)| value.as_bytes());
        let conditions = Conditions {
            if_match: find("match"),
            if_none_match: find("none-match"),
            if_modified_since: find("modified"),
            if_unmodified_since: find("unmodified"),
        };
        judge(&conditions, &FILE)
    }

    #[test]
    fn one_condition() {
        use Verdict::*;
        for (name, value, expected) in [
            ("match", "*", Send),
            ("match", "\"a,b\"", Send),
            ("match", "\"x\", \"a,b\"", Send),
            ("match", "\"x\"", Failed),
            ("match", "W/\"a,b\"", Failed),
            ("match", "a,b", Failed),
            ("match", "", Failed),
            ("none-match", "*", NotModified),
            ("none-match", "\"a,b\"", NotModified),
            ("none-match", "W/\"a,b\"", NotModified),
            ("none-match", ", \"x\" ,W/\"a,b\"", NotModified),
            ("none-match", "\"a\"", Send),
            ("none-match", "\"b\"", Send),
            ("none-match", "a,b", Send),
            ("none-match", "\"a,b", Send),
            ("modified", MODIFIED, NotModified),
            ("modified", BEFORE, Send),
            ("modified", "yesterday", Send),
            ("modified", "Sunday, 06-Nov-94 08:49:37 GMT", NotModified),
            ("modified", "Sun Nov  6 08:49:37 1994", NotModified),
            ("unmodified", MODIFIED, Send),
            ("unmodified", BEFORE, Failed),
            ("unmodified", "yesterday", Send),
        ] {
            assert_eq!(judged(&[(name, value)]), expected, "{name}: {value}");
        }
    }

    #[test]
    fn precedence() {
        use Verdict::*;
        // Tags replace dates; If-Match goes first.
        assert_eq!(judged(&[("match", "\"a,b\""), ("unmodified", BEFORE)]), Send);
        assert_eq!(judged(&[("none-match", "\"x\""), ("modified", MODIFIED)]), Send);
        assert_eq!(judged(&[("match", "\"x\""), ("none-match", "\"a,b\"")]), Failed);
        assert_eq!(judged(&[("match", "\"a,b\""), ("none-match", "\"a,b\"")]), NotModified);
        assert_eq!(judged(&[("unmodified", MODIFIED), ("modified", MODIFIED)]), NotModified);
        assert_eq!(judged(&[]), Send);
    }

    #[test]
    fn if_range_is_exact() {
        let weak = Validators { etag: b"W/\"a,b\"", ..FILE };
        let fresh = Validators { date_is_strong: false, ..FILE };
        assert!(range_counts(b"\"a,b\"", &FILE) && range_counts(MODIFIED.as_bytes(), &FILE));
        assert!(!range_counts(b"\"x\"", &FILE) && !range_counts(BEFORE.as_bytes(), &FILE));
        assert!(!range_counts(b"W/\"a,b\"", &FILE) && !range_counts(b"W/\"a,b\"", &weak));
        assert!(!range_counts(b"*", &FILE) && !range_counts(b"", &FILE));
        assert!(!range_counts(MODIFIED.as_bytes(), &fresh));
    }
}

//! Which bytes of a file a `Range` header asks for (RFC 9110 §14).

use crate::base::bytes::{parse_decimal, trim_ows};
use std::ops::Range;

/// A header with more ranges than this is ignored, as a likely denial of service (RFC 9110 §17.15).
pub const MAX_RANGES: usize = 32;

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it, with 200: no range, or one that is to be ignored.
    Whole,
    /// These, with 206, in the order in which they were asked for. Never empty.
    Parts(Vec<Range<u64>>),
    /// 416.
    Unsatisfiable,
}

/// Reads the value of a `Range` header for a file of `size` bytes.
pub fn wanted(header: &[u8], size: u64) -> Wanted {
    // RFC 9110 §14.2: unknown units, and what is no range at all, are ignored. So are ranges of nothing: there is no
    // Content-Range that could tell of them.
    let Some(set) = byte_set(header).filter(|_| size > 0) else { return Wanted::Whole };
    let mut parts = Vec::with_capacity(1);
    for (count, spec) in set.split(|&byte| byte == b',').map(trim_ows).enumerate() {
        if count == MAX_RANGES {
            return Wanted::Whole;
        }
        match one(spec, size) {
            Some(Some(part)) => parts.push(part),
            Some(None) => {}
            // An empty element of a list is none (RFC 9110 §5.6.1.2).
            None if spec.is_empty() => {}
            None => return Wanted::Whole,
        }
    }
    if parts.is_empty() { Wanted::Unsatisfiable } else { Wanted::Parts(merged(parts)) }
}

/// What stands behind `bytes=`. The unit's case does not matter (RFC 9110 §14.1).
fn byte_set(header: &[u8]) -> Option<&[u8]> {
    let (unit, set) = header.split_at_checked(6)?;
    let set = trim_ows(set);
    (unit.eq_ignore_ascii_case(b"bytes=") && !set.iter().all(|byte| b", \t".contains(byte))).then_some(set)
}

/// `first-last`, `first-` or `-length`. `Some(None)`: nothing of it is in the file; `None`: it is no range.
fn one(spec: &[u8], size: u64) -> Option<Option<Range<u64>>> {
    let dash = spec.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    if first.is_empty() {
        let length = parse_decimal(last)?.min(size);
        return Some((length > 0).then(|| size - length..size));
    }
    let first = parse_decimal(first)?;
    let end = if last.is_empty() { size } else { parse_decimal(last)?.saturating_add(1) };
    if end <= first && !last.is_empty() {
        return None;
    }
    Some((first < size).then(|| first..end.min(size)))
}

/// Ranges that overlap or touch become one (RFC 9110 §15.3.7.2), in the order of the file; others stay as they are.
fn merged(parts: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut sorted = parts.clone();
    sorted.sort_by_key(|part| part.start);
    let mut out: Vec<Range<u64>> = Vec::with_capacity(sorted.len());
    for part in sorted {
        match out.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => out.push(part),
        }
    }
    if out.len() == parts.len() { parts } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(header: &str, size: u64) -> String {
        match wanted(header.as_bytes(), size) {
            Wanted::Whole => "whole".to_owned(),
            Wanted::Unsatisfiable => "unsatisfiable".to_owned(),
            Wanted::Parts(parts) => {
                parts.iter().map(|p| format!("{}-{}", p.start, p.end - 1)).collect::<Vec<_>>().join(",")
            }
        }
    }

    #[test]
    fn ranges() {
        for (header, expected) in [
            ("bytes=0-0", "0-0"),
            ("bytes=0-99", "0-99"),
            ("bytes=10-", "10-99"),
            ("bytes=10-1000", "10-99"),
            ("bytes=-1", "99-99"),
            ("bytes=-1000", "0-99"),
            ("BYTES=5-6", "5-6"),
            ("bytes= 1-2 , 4-5 ", "1-2,4-5"),
            ("bytes=4-5,1-2", "4-5,1-2"),
            ("bytes=1-2,,4-5,", "1-2,4-5"),
            ("bytes=0-10,5-20", "0-20"),
            ("bytes=0-4,5-9", "0-9"),
            ("bytes=50-60,0-10,55-70", "0-10,50-70"),
            ("bytes=0-1,200-300", "0-1"),
            ("bytes=0-99999999999999999999999", "0-99"),
            ("bytes=100-", "unsatisfiable"),
            ("bytes=100-200", "unsatisfiable"),
            ("bytes=-0", "unsatisfiable"),
            ("bytes=99999999999999999999999-", "unsatisfiable"),
            ("bytes=200-300,400-", "unsatisfiable"),
        ] {
            assert_eq!(text(header, 100), expected, "{header}");
        }
    }

    #[test]
    fn what_is_no_range_is_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=2-1",
            "bytes=1-2,x",
            "bytes=+1-2",
            "bytes=1--2",
            "bytes=1-2-3",
            "bytes=0x1-2",
            "items=0-1",
            "bytes:0-1",
            "bytes =0-1",
            "0-1",
        ] {
            assert_eq!(text(header, 100), "whole", "{header}");
        }
        assert_eq!(text("bytes=0-1", 0), "whole");
        let many = |count| {
            format!(
                "bytes={}",
                (0..count).map(|i| format!("{}-{}", 3 * i, 3 * i)).collect::<Vec<_>>().join(",")
            )
        };
        assert_eq!(wanted(many(MAX_RANGES + 1).as_bytes(), 1000), Wanted::Whole);
        assert!(
            matches!(wanted(many(MAX_RANGES).as_bytes(), 1000), Wanted::Parts(parts) if parts.len() == MAX_RANGES)
        );
    }
}

//! JSON as uWSGI writes it. It escapes little: a cwd, a name or a request's variable may hold quotes, control characters
//! and bytes that are no UTF-8.

use serde_json::Value;

/// The value of a document that is JSON, or nearly.
pub fn parse(bytes: &[u8]) -> Result<Value, String> {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    let text = String::from_utf8_lossy(bytes);
    serde_json::from_str(&mended(&text)).map_err(|error| why(bytes, &text, &error))
}

fn why(bytes: &[u8], text: &str, error: &serde_json::Error) -> String {
    let begin = text.trim_start();
    let count = bytes.len();
    if begin.is_empty() {
        return "it closes the connection without a word: no stats server, or one that is just ending"
            .to_owned();
    }
    if begin.starts_with('<') {
        return "it answers with HTML: this is no stats server".to_owned();
    }
    if !begin.starts_with('{') {
        return format!("its answer ({count} bytes) is no JSON: this is no stats server");
    }
    if error.is_eof() {
        return format!("its JSON is cut off after {count} bytes");
    }
    format!("its JSON is broken: {error}")
}

/// Escapes within strings what has to be escaped there.
fn mended(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text.char_indices().peekable();
    let mut is_string = false;
    while let Some((at, c)) = rest.next() {
        match c {
            '"' if !is_string => is_string = true,
            '"' if ends_string(&text[at + 1..]) => is_string = false,
            '"' => out.push('\\'),
            '\\' if is_string => {
                out.push(c);
                match rest.peek() {
                    Some(&(at, next)) if is_escape(&text[at..]) => {
                        rest.next();
                        out.push(next);
                        continue;
                    }
                    _ => {}
                }
            }
            _ if is_string && u32::from(c) < 0x20 => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

/// Does what follows a quote go on with the document?
fn ends_string(rest: &str) -> bool {
    let next = rest.trim_start().chars().next();
    next.is_none_or(|next| matches!(next, ',' | ':' | ']' | '}'))
}

/// RFC 8259 §7, behind a backslash.
fn is_escape(rest: &str) -> bool {
    let bytes = rest.as_bytes();
    match bytes.first() {
        Some(b'u') => bytes.len() > 4 && bytes[1..5].iter().all(u8::is_ascii_hexdigit),
        Some(first) => b"\"\\/bfnrt".contains(first),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_uwsgi_does_not_escape() {
        let value =
            parse(b"{\"cwd\":\"/a \"b\" c\",\"vars\":[\n\t\"A=\x01\xff\\x\",\"B=\\\"\\n\",\"\"],\"n\":-1}")
                .unwrap();
        assert_eq!(value["cwd"], "/a \"b\" c");
        assert_eq!(value["vars"][0], "A=\u{1}\u{fffd}\\x");
        assert_eq!(value["vars"][1], "B=\"\n");
        assert_eq!(value["n"], -1);
        assert_eq!(parse(br#"{"a":"\u12","b":"\ud800"}"#).map(|value| value["a"].clone()).ok(), None);
        assert_eq!(parse(br#"{"a":"\u12"}"#).unwrap()["a"], "\\u12");
    }

    #[test]
    fn what_is_no_document_is_named() {
        for (bytes, word) in [
            (&b""[..], "without a word"),
            (b"<html>", "HTML"),
            (b"\x16\x03\x01\x02\0", "no JSON"),
            (b"220 ESMTP", "no JSON"),
            (b"{\"a\":[1,", "cut off after 8 bytes"),
            (b"{\"a\":\"b", "cut off"),
            (b"{\"a\":1,,}", "broken"),
        ] {
            let why = parse(bytes).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }
}

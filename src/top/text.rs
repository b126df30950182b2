//! Text that others have written: of a client in a URI, of a server in a name. A terminal must not act on it.

use crate::log::printable;

/// One line, with nothing in it that a terminal acts on.
pub fn escaped(text: &str) -> String {
    printable(text).replace('\t', "\\x09").replace('\n', "\\x0a")
}

/// The same for JSON: there what is left is written as an escape that means the same.
pub fn escaped_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if escaped(c.encode_utf8(&mut [0; 4])).starts_with(c) { out.push(c) } else { push_unit(&mut out, c) }
    }
    out
}

fn push_unit(out: &mut String, c: char) {
    c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_to_act_on() {
        assert_eq!(escaped("/a\x1b[2J\r\n\t\u{9b}\u{202e}ü"), "/a\\x1b[2J\\x0d\\x0a\\x09\\x9b\\u202eü");
        assert_eq!(escaped_json("{\"a\":\"\u{9b}ü\\n\"}"), "{\"a\":\"\\u009bü\\n\"}");
    }
}

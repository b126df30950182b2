//! What others have said (a client, an application, the system) as part of a log that people read and programs split
//! into lines.

/// Appends a text as one entry: later lines are indented, so that none of them can pass for an entry of its own, and
/// what a terminal would act on is escaped. A backslash stays as it is: tracebacks are full of them.
pub fn push_entry(out: &mut String, text: &str) {
    for (at, line) in text.trim_end().split('\n').enumerate() {
        if at > 0 {
            out.push_str("\n  ");
        }
        push_line(out, line);
    }
}

fn push_line(out: &mut String, line: &str) {
    for c in line.chars() {
        match u32::from(c) {
            _ if !is_unsafe(c) => out.push(c),
            code @ ..=0xff => out.push_str(&format!("\\x{code:02x}")),
            code => out.push_str(&format!("\\u{code:04x}")),
        }
    }
}

/// Control characters (C0, DEL, C1), line separators, and marks that change the direction of the text around them.
fn is_unsafe(c: char) -> bool {
    (c.is_control() && c != '\t')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text of several lines for a terminal: only what it would act on is escaped.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        push_line(&mut out, line.trim_end_matches('\n'));
        out.push_str(&line[line.trim_end_matches('\n').len()..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> String {
        let mut out = String::new();
        push_entry(&mut out, text);
        out
    }

    #[test]
    fn ordinary_text_stays() {
        let text = "Grüße, 世界: C:\\new\\x\ttab 'quoted' 🦀";
        assert_eq!(entry(text), text);
    }

    #[test]
    fn no_line_but_the_first_begins_at_the_margin() {
        assert_eq!(entry("one\nSat Nov 28 - forged\n\n  more\n"), "one\n  Sat Nov 28 - forged\n  \n    more");
    }

    #[test]
    fn what_a_terminal_acts_on_is_escaped() {
        assert_eq!(entry("\x1b[2J\r\x07\x7f\0"), "\\x1b[2J\\x0d\\x07\\x7f\\x00");
        assert_eq!(entry("\u{9b}31m\u{85}\u{2028}\u{202e}"), "\\x9b31m\\x85\\u2028\\u202e");
        assert_eq!(printable("a\x1b\nb\n"), "a\\x1b\nb\n");
    }
}

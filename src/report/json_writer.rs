//! JSON in the form in which uWSGI writes it: a line an item and a tab a level, or no white space at all.

use std::fmt::{Display, Write};

pub struct JsonWriter {
    out: String,
    minified: bool,
    level: usize,
    /// Nothing stands in the innermost list or object so far.
    is_first: bool,
}

impl JsonWriter {
    pub fn new(minified: bool) -> JsonWriter {
        JsonWriter { out: String::with_capacity(16 * 1024), minified, level: 0, is_first: true }
    }

    pub fn finish(self) -> String {
        self.out
    }

    // ── fields of an object ──

    pub fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        push_text(&mut self.out, value);
    }

    pub fn number(&mut self, key: &str, value: impl Display) {
        self.key(key);
        let _ = write!(self.out, "{value}");
    }

    /// 0 or 1, as in uWSGI's document.
    pub fn bit(&mut self, key: &str, value: bool) {
        self.number(key, u8::from(value));
    }

    pub fn list(&mut self, key: &str, items: impl FnOnce(&mut JsonWriter)) {
        self.key(key);
        self.nest(['[', ']'], items);
    }

    /// uWSGI puts the tabs of a line in front of such an object.
    pub fn nested(&mut self, key: &str, fields: impl FnOnce(&mut JsonWriter)) {
        self.key(key);
        self.tabs();
        self.nest(['{', '}'], fields);
    }

    // ── items of a list ──

    pub fn object(&mut self, fields: impl FnOnce(&mut JsonWriter)) {
        self.begin_item();
        self.tabs();
        self.nest(['{', '}'], fields);
    }

    /// uWSGI writes strings in lists without tabs.
    pub fn string(&mut self, value: &str) {
        self.begin_item();
        push_text(&mut self.out, value);
    }

    pub fn value(&mut self, value: impl Display) {
        self.begin_item();
        let _ = write!(self.out, "{value}");
    }

    // ── layout ──

    fn key(&mut self, key: &str) {
        self.begin_item();
        self.tabs();
        push_text(&mut self.out, key);
        self.out.push(':');
    }

    fn begin_item(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(',');
            self.new_line();
        }
    }

    fn nest(&mut self, [open, close]: [char; 2], content: impl FnOnce(&mut JsonWriter)) {
        self.out.push(open);
        self.new_line();
        self.level += 1;
        self.is_first = true;
        content(self);
        self.level -= 1;
        self.is_first = false;
        self.new_line();
        self.tabs();
        self.out.push(close);
    }

    fn new_line(&mut self) {
        if !self.minified {
            self.out.push('\n');
        }
    }

    fn tabs(&mut self) {
        if !self.minified {
            self.out.extend(std::iter::repeat_n('\t', self.level));
        }
    }
}

/// RFC 8259 §7. What is not ASCII stays as it is; U+2028 and U+2029 are escaped for those who read it as JavaScript.
fn push_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(minified: bool) -> String {
        let mut json = JsonWriter::new(minified);
        json.object(|json| {
            json.text("a", "b\"\\\n\u{1}é\u{2028}");
            json.list("empty", |_| {});
            json.list("list", |json| {
                json.string("x");
                json.string("");
            });
            json.nested("info", |json| json.number("n", 1.5));
            json.list("objects", |json| json.object(|json| json.bit("is", true)));
        });
        json.finish()
    }

    #[test]
    fn it_looks_as_uwsgi_writes_it() {
        let expected = "{\n\t\"a\":\"b\\\"\\\\\\n\\u0001é\\u2028\",\n\t\"empty\":[\n\n\t],\n\t\"list\":[\n\"x\",\n\"\"\n\t],\n\
                        \t\"info\":\t{\n\t\t\"n\":1.5\n\t},\n\t\"objects\":[\n\t\t{\n\t\t\t\"is\":1\n\t\t}\n\t]\n}";
        assert_eq!(write(false), expected);
    }

    #[test]
    fn without_white_space() {
        let expected = "{\"a\":\"b\\\"\\\\\\n\\u0001é\\u2028\",\"empty\":[],\"list\":[\"x\",\"\"],\"info\":{\"n\":1.5},\
                        \"objects\":[{\"is\":1}]}";
        assert_eq!(write(true), expected);
    }
}

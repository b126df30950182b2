//! XML: `<uwsgi>` with an element an option. Of entities only the predefined ones are known, so nothing can grow.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::{DEFAULT_SECTION, Fault, Lines, Parsed};

/// The levels are the root, `<uwsgi>`, an option, and a part of `<app>`.
const MAX_DEPTH: usize = 16;

pub fn parse(text: &str, section: Option<&str>) -> Result<Parsed, Fault> {
    let mut reader = Reader::from_str(text);
    let mut walk = Walk { section, parsed: Parsed::default(), open: Vec::new(), inside: None, read: false };
    let mut lines = Lines::new(text);
    loop {
        let line = lines.at(usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX));
        let event = reader.read_event().map_err(|error| {
            let line = lines.at(usize::try_from(reader.error_position()).unwrap_or(usize::MAX));
            Fault::new(line, format!("this is no XML: {error}"), "")
        })?;
        match event {
            Event::Start(tag) => walk.start(&tag, line)?,
            Event::Empty(tag) => {
                walk.start(&tag, line)?;
                walk.end()?;
            }
            Event::End(_) => walk.end()?,
            Event::Text(text) => walk.text(&text.decode().unwrap_or_default()),
            Event::CData(text) => walk.cdata(&text.decode().unwrap_or_default(), line)?,
            Event::GeneralRef(name) => {
                let character = reference(&name, line)?;
                walk.text(&character);
            }
            Event::Eof if walk.open.is_empty() => return Ok(walk.parsed),
            Event::Eof => {
                let name = walk.open.last().map_or("", |element| element.name.as_str());
                return Err(Fault::new(line, format!("this is no XML: <{name}> is not closed"), ""));
            }
            Event::DocType(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

struct Walk<'a> {
    section: Option<&'a str>,
    parsed: Parsed,
    open: Vec<Element>,
    /// The level of the `<uwsgi>` that is being read.
    inside: Option<usize>,
    /// Only the first one that fits counts.
    read: bool,
}

#[derive(Default)]
struct Element {
    name: String,
    line: u32,
    text: String,
    /// It had nothing in it.
    empty: bool,
    /// The path of `<app mountpoint="/path">`.
    mountpoint: Option<String>,
}

impl Walk<'_> {
    fn start(&mut self, tag: &BytesStart<'_>, line: u32) -> Result<(), Fault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Fault::new(
                line,
                format!("elements stand in each other {MAX_DEPTH} levels deep"),
                "",
            ));
        }
        if let Some(outer) = self.open.last_mut() {
            outer.empty = false;
        }
        let name = String::from_utf8_lossy(tag.name().as_ref()).into_owned();
        let level = self.open.len();
        if self.inside.is_none() && !self.read && name == DEFAULT_SECTION && level < 2 {
            self.enter(tag, level, line)?;
        }
        let mountpoint = attribute(tag, "mountpoint", line)?;
        self.open.push(Element { name, line, empty: true, mountpoint, ..Element::default() });
        Ok(())
    }

    /// As in uWSGI a `<uwsgi>` that is the whole file counts, whatever its id is.
    fn enter(&mut self, tag: &BytesStart<'_>, level: usize, line: u32) -> Result<(), Fault> {
        let id = attribute(tag, "id", line)?;
        let fits = self.section.is_none() || id.as_deref() == self.section;
        if fits || level == 0 {
            self.inside = Some(level);
            self.parsed.found = true;
        }
        if let (false, 0, Some(section)) = (fits, level, self.section) {
            let text = format!("<uwsgi> is the whole file and is read, though its id is not \"{section}\"");
            self.parsed.note(line, text);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        let Some(element) = self.open.pop() else { return Ok(()) };
        match self.inside {
            Some(level) if self.open.len() == level => {
                self.inside = None;
                self.read = true;
                Ok(())
            }
            Some(level) if self.open.len() == level + 1 => self.option(element),
            Some(level) if self.open.len() == level + 2 => self.part(element),
            _ => Ok(()),
        }
    }

    /// An empty element is 1, as in uWSGI.
    fn option(&mut self, element: Element) -> Result<(), Fault> {
        if element.name == "app" {
            return Ok(());
        }
        let value = if element.empty { "1" } else { element.text.trim() };
        self.parsed.push(element.line, &element.name, value)
    }

    /// `<app mountpoint="/x"><script>module</script></app>` is a mount.
    fn part(&mut self, element: Element) -> Result<(), Fault> {
        let Some(outer) = self.open.last() else { return Ok(()) };
        let target = element.text.trim();
        match (outer.name.as_str(), element.name.as_str(), &outer.mountpoint) {
            ("app", "script", Some(path)) => {
                let mount = format!("{path}={target}");
                self.parsed.push(element.line, "mount", mount)
            }
            ("app", "script", None) => self.parsed.push(element.line, "module", target),
            (outer, inner, _) => {
                let text = format!("<{inner}> stands in <{outer}>");
                Err(Fault::new(element.line, text, "an option has no elements in it"))
            }
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(element) = self.open.last_mut() {
            element.empty &= text.is_empty();
            element.text.push_str(text);
        }
    }

    /// Outside of an option it is Python code, which uWSGI runs.
    fn cdata(&mut self, text: &str, line: u32) -> Result<(), Fault> {
        match self.inside {
            Some(level) if self.open.len() == level + 1 => self.parsed.push(line, "eval", text),
            _ => {
                self.text(text);
                Ok(())
            }
        }
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str, line: u32) -> Result<Option<String>, Fault> {
    let wrong = |why: String| Fault::new(line, format!("this is no XML: {why}"), "");
    let Some(attribute) = tag.try_get_attribute(name).map_err(|e| wrong(e.to_string()))? else {
        return Ok(None);
    };
    let value = String::from_utf8_lossy(&attribute.value).into_owned();
    let value = quick_xml::escape::unescape(&value).map_err(|e| wrong(e.to_string()))?;
    Ok(Some(value.into_owned()))
}

/// `&amp;`, `&#65;`.
fn reference(name: &BytesRef<'_>, line: u32) -> Result<String, Fault> {
    if let Ok(Some(character)) = name.resolve_char_ref() {
        return Ok(character.to_string());
    }
    let name = name.decode().unwrap_or_default();
    resolve_predefined_entity(&name).map(str::to_owned).ok_or_else(|| {
        let remedy = "write the text itself; definitions of entities are not read";
        Fault::new(line, format!("unknown entity \"&{name};\""), remedy)
    })
}

#[cfg(test)]
mod tests {
    use super::super::TOO_DEEP;
    use super::*;

    #[test]
    fn options_are_elements() {
        let text = "<?xml version=\"1.0\"?>\n<uwsgi id = \"x\">\n<a>1</a>\n<b/>\n<c>x &amp; &#65;<!-- no -->\n</c><d><![CDATA[<5>]]></d><e></e><f> </f>\n<app mountpoint=\"/x\">\n<script>mod</script></app></uwsgi>\n";
        assert_eq!(
            parse(text, None).unwrap().lines(),
            ["3:a=1", "4:b=1", "5:c=x & A", "6:d=<5>", "6:e=1", "6:f=", "8:mount=/x=mod"]
        );
    }

    #[test]
    fn a_section_is_an_id() {
        let text = "<r><uwsgi id=\"a\"><k>1</k></uwsgi>\n<other id=\"b\"><k>2</k></other>\n<uwsgi id=\"b\"><k>3</k></uwsgi><uwsgi id=\"b\"><k>4</k></uwsgi></r>";
        assert_eq!(parse(text, Some("b")).unwrap().lines(), ["3:k=3"]);
        assert_eq!(parse(text, None).unwrap().lines(), ["1:k=1"]);
        assert!(!parse(text, Some("c")).unwrap().found);
        assert_eq!(parse("<uwsgi id='q'><k>1</k></uwsgi>", Some("z")).unwrap().lines(), ["1:k=1"]);
    }

    #[test]
    fn mistakes_have_a_line() {
        for (text, line) in [
            ("<uwsgi>\n<a>1</b></uwsgi>", 2),
            ("<uwsgi>\n<a>", 2),
            ("<uwsgi>\n\n<a>&lol;</a></uwsgi>", 3),
            ("<!DOCTYPE a [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>\n<uwsgi><a>&a;</a></uwsgi>", 2),
            (&"<a>".repeat(TOO_DEEP), 1),
        ] {
            assert_eq!(parse(text, None).map(|p| p.items).unwrap_err().line, line, "{text:.60}");
        }
        assert!(parse("<uwsgi><h><i>1</i></h></uwsgi>", None).is_err());
    }
}

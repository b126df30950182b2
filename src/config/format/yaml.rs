//! YAML 1.2: the top-level key `uwsgi`, its lists repeating the option.
//!
//! Texts stay as they were written: what `true`, `0644` or `1:2` mean is for the option to say, not for YAML.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScanError, Span};

use super::{DEFAULT_SECTION, Fault, Parsed};

const MAX_DEPTH: usize = 32;
/// Aliases of aliases make few lines mean many: so many nodes are looked at.
const MAX_STEPS: usize = 200_000;

pub fn parse(text: &str, section: Option<&str>) -> Result<Parsed, Fault> {
    let wanted = section.unwrap_or(DEFAULT_SECTION);
    let mut flat = Flat { parsed: Parsed::default(), steps: 0 };
    for document in documents(text)? {
        let Kind::Map(entries) = &document.kind else { continue };
        for (key, value) in entries {
            if !matches!(&key.kind, Kind::Text(name) if name == wanted) {
                continue;
            }
            flat.parsed.found = true;
            match &value.kind {
                Kind::Map(options) => flat.options(options, 0)?,
                Kind::Text(text) if text.is_empty() => {}
                _ => {
                    let remedy = "write NAME: VALUE, indented, on the lines below it";
                    return Err(Fault::new(value.line, format!("\"{wanted}\" has no options"), remedy));
                }
            }
        }
    }
    Ok(flat.parsed)
}

struct Node {
    line: u32,
    kind: Kind,
}

enum Kind {
    Text(String),
    List(Vec<Rc<Node>>),
    Map(Vec<(Rc<Node>, Rc<Node>)>),
}

/// The documents of a stream. An alias shares its node, so a tree is never larger than its text.
fn documents(text: &str) -> Result<Vec<Rc<Node>>, Fault> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| no_yaml(&error))?;
        builder.event(event, span)?;
    }
    Ok(builder.documents)
}

fn no_yaml(error: &ScanError) -> Fault {
    let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
    let has_tab = error.info().contains("tab");
    let remedy = if has_tab { "indent with blanks, not with tabs" } else { "" };
    Fault::new(line.max(1), format!("this is no YAML: {}", error.info()), remedy)
}

#[derive(Default)]
struct Builder {
    /// Lists and maps that are not closed yet; a map is a list of keys and values until it is.
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    documents: Vec<Rc<Node>>,
}

struct Open {
    line: u32,
    anchor: usize,
    is_map: bool,
    nodes: Vec<Rc<Node>>,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        let line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
        match event {
            Event::Scalar(text, _, anchor, _) => {
                self.add(Node { line, kind: Kind::Text(text.into_owned()) }, anchor);
            }
            Event::SequenceStart(anchor, _) => self.start(line, anchor, false)?,
            Event::MappingStart(anchor, _) => self.start(line, anchor, true)?,
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => self.attach(Rc::clone(node)),
                None => return Err(Fault::new(line, "an alias stands in what it is an alias of", "")),
            },
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, line: u32, anchor: usize, is_map: bool) -> Result<(), Fault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Fault::new(
                line,
                format!("lists and maps stand in each other {MAX_DEPTH} levels deep"),
                "",
            ));
        }
        self.open.push(Open { line, anchor, is_map, nodes: Vec::new() });
        Ok(())
    }

    fn end(&mut self) {
        let Some(Open { line, anchor, is_map, nodes }) = self.open.pop() else { return };
        let kind = if is_map { Kind::Map(pairs(nodes)) } else { Kind::List(nodes) };
        self.add(Node { line, kind }, anchor);
    }

    fn add(&mut self, node: Node, anchor: usize) {
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.attach(node);
    }

    fn attach(&mut self, node: Rc<Node>) {
        match self.open.last_mut() {
            Some(open) => open.nodes.push(node),
            None => self.documents.push(node),
        }
    }
}

fn pairs(nodes: Vec<Rc<Node>>) -> Vec<(Rc<Node>, Rc<Node>)> {
    let mut nodes = nodes.into_iter();
    let mut pairs = Vec::new();
    while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
        pairs.push((key, value));
    }
    pairs
}

struct Flat {
    parsed: Parsed,
    steps: usize,
}

impl Flat {
    fn options(&mut self, entries: &[(Rc<Node>, Rc<Node>)], depth: usize) -> Result<(), Fault> {
        entries.iter().try_for_each(|(key, value)| match &key.kind {
            Kind::Text(name) => self.option(key.line, name, value, depth),
            _ => Err(Fault::new(key.line, "a name is expected here", "write NAME: VALUE")),
        })
    }

    /// Maps in maps are flattened by their inner keys, as uWSGI does with libyaml; that also serves `<<`.
    fn option(&mut self, line: u32, name: &str, value: &Node, depth: usize) -> Result<(), Fault> {
        self.steps += 1;
        if self.steps > MAX_STEPS || depth > MAX_DEPTH {
            return Err(Fault::new(line, "aliases make this file too large", "write the options out"));
        }
        match &value.kind {
            Kind::Text(text) => self.parsed.push(line, name, text.as_str()),
            Kind::List(items) => {
                items.iter().try_for_each(|item| self.option(item.line, name, item, depth + 1))
            }
            Kind::Map(entries) => self.options(entries, depth + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::TOO_DEEP;
    use super::*;

    #[test]
    fn real_yaml() {
        let text = "---\nother: {x: 1}\nuwsgi:\n  master: true # yes\n  socket:\n    - :1\n    - \"a b\"\n  chmod: 0660\n  t: ~\n  e:\n  long: >\n    a\n    b\n";
        assert_eq!(
            parse(text, None).unwrap().lines(),
            [
                "4:master=true",
                "6:socket=:1",
                "7:socket=a b",
                "8:chmod=0660",
                "9:t=~",
                "10:e=",
                "11:long=a b\n"
            ]
        );
        assert_eq!(parse(text, Some("other")).unwrap().lines(), ["2:x=1"]);
        let text = "base: &b\n  a: 1\nuwsgi:\n  <<: *b\n  n: {m: 2}\n";
        assert_eq!(parse(text, None).unwrap().lines(), ["2:a=1", "5:m=2"]);
    }

    #[test]
    fn mistakes_have_a_line() {
        assert_eq!(parse("uwsgi:\n  a: 1\n b: 2\n", None).unwrap_err().line, 3);
        assert_eq!(parse("uwsgi:\n\ta: 1\n", None).unwrap_err().line, 2);
        assert!(parse("uwsgi: 4\n", None).is_err());
        assert!(!parse("a: 4\n", None).unwrap().found);
        assert!(parse("uwsgi: &a\n  b: *a\n", None).is_err());
        assert!(parse(&"[".repeat(TOO_DEEP), None).is_err());
    }

    #[test]
    fn aliases_of_aliases_end() {
        let level = |i: usize| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(","));
        let bomb = (1..9).map(level).fold("a0: &a0 [x]\n".to_owned(), |text, line| text + &line);
        assert!(parse(&format!("{bomb}uwsgi:\n  k: *a8\n"), None).is_err());
    }
}

//! A rendering as it goes to whoever asked for it.

use std::rc::Rc;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// As in HTTP.
    pub status: u16,
    pub content_type: &'static str,
    /// Shared by all that read it.
    pub body: Rc<[u8]>,
}

impl Document {
    pub fn new(content_type: &'static str, body: impl Into<Vec<u8>>) -> Document {
        Document { status: 200, content_type, body: body.into().into() }
    }

    pub fn json(body: impl Into<Vec<u8>>) -> Document {
        Document::new("application/json", body)
    }

    /// What is wrong with a request, as a line of text.
    pub fn refusal(status: u16, text: &str) -> Document {
        Document { status, ..Document::new("text/plain; charset=utf-8", format!("{text}\n")) }
    }
}

//! The chunked coding (RFC 9112 §7.1), taken apart as it arrives, and put together. Data is handed out as ranges of the
//! input, never copied.

use std::ops::Range;

use super::Reject;
use super::chars::{TOKEN, hex_value, span_of_class};
use crate::base::bytes::{find_control, push_hex};

/// Bytes of chunk extensions in one body. No extension has a meaning here; a body made of them is an attack.
pub const MAX_EXTENSIONS: u32 = 4096;
/// Bytes of the trailer section.
pub const MAX_TRAILERS: u32 = 8192;
/// Digits of a chunk size, leading zeros included: all that 64 bits can hold.
const MAX_DIGITS: u8 = 16;

/// What [`Decoder::feed`] came upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes of the body: this range of the input.
    Data(Range<usize>),
    /// The input is used up.
    More,
    /// The body is whole; what was not consumed belongs to the next request.
    End,
}

/// The state of one chunked body.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    state: State,
    /// The size that is being read, then the bytes of the chunk that are still to come.
    left: u64,
    digits: u8,
    extensions: u32,
    trailers: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    /// In white space behind a size: only an extension may follow.
    SizeBlank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line, or of the empty line that ends the body.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

impl Decoder {
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Goes on with `input`, which begins where the last call left off. Returns how many bytes were consumed (a piece
    /// of data included) and what was found. Call again with the rest until it says `More` or `End`.
    pub fn feed(&mut self, input: &[u8]) -> Result<(usize, Piece), Reject> {
        let mut at = 0;
        while at < input.len() && self.state != State::End {
            if self.state == State::Data {
                let end = at + self.left.min((input.len() - at) as u64) as usize;
                self.left -= (end - at) as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                return Ok((end, Piece::Data(at..end)));
            }
            at = self.step(input, at)?;
        }
        Ok((at, if self.state == State::End { Piece::End } else { Piece::More }))
    }

    /// One step through what is not data. Returns where the next one starts.
    fn step(&mut self, input: &[u8], at: usize) -> Result<usize, Reject> {
        let byte = input[at];
        self.state = match self.state {
            State::Size => self.size(byte)?,
            State::SizeBlank => self.blank(byte)?,
            State::Extension => return self.extension(input, at),
            State::SizeLf => {
                expect(byte, b'\n', BAD_SIZE_LINE)?;
                self.digits = 0;
                if self.left == 0 { State::Trailer } else { State::Data }
            }
            State::DataCr => {
                expect(byte, b'\r', BAD_TERMINATOR)?;
                State::DataLf
            }
            State::DataLf => {
                expect(byte, b'\n', BAD_TERMINATOR)?;
                State::Size
            }
            State::Trailer if byte == b'\r' => State::EndLf,
            State::Trailer => {
                if span_of_class(&input[at..=at], 0, TOKEN).0 == 0 {
                    return Err(BAD_TRAILER);
                }
                State::TrailerName
            }
            State::TrailerName => return self.trailer_name(input, at),
            State::TrailerValue => return self.trailer_value(input, at),
            State::TrailerLf => {
                expect(byte, b'\n', BAD_TRAILER)?;
                State::Trailer
            }
            State::EndLf => {
                expect(byte, b'\n', BAD_TRAILER)?;
                State::End
            }
            State::Data | State::End => return Ok(at),
        };
        Ok(at + 1)
    }

    /// RFC 9112 §7.1: `1*HEXDIG`, and nothing may make it overflow. White space in front of it is refused, and behind
    /// it unless an extension follows.
    #[inline]
    fn size(&mut self, byte: u8) -> Result<State, Reject> {
        if let Some(digit) = hex_value(byte) {
            if self.digits == MAX_DIGITS {
                return Err(Reject::bad("a chunk size overflows", "RFC 9112 §7.1"));
            }
            self.digits += 1;
            self.left = self.left << 4 | u64::from(digit);
            return Ok(State::Size);
        }
        match byte {
            b'\r' if self.digits > 0 => Ok(State::SizeLf),
            b';' if self.digits > 0 => Ok(State::Extension),
            b' ' | b'\t' if self.digits > 0 => {
                self.count_extensions(1)?;
                Ok(State::SizeBlank)
            }
            _ => Err(BAD_SIZE),
        }
    }

    /// RFC 9112 §7.1.1: white space before a semicolon MUST be parsed and removed (RFC 9110 §5.6.3).
    fn blank(&mut self, byte: u8) -> Result<State, Reject> {
        match byte {
            b' ' | b'\t' => {
                self.count_extensions(1)?;
                Ok(State::SizeBlank)
            }
            b';' => Ok(State::Extension),
            _ => Err(BAD_SIZE),
        }
    }

    fn count_extensions(&mut self, more: usize) -> Result<(), Reject> {
        self.extensions = self.extensions.saturating_add(more as u32);
        if self.extensions > MAX_EXTENSIONS {
            return Err(Reject::bad("too many chunk extensions", "RFC 9112 §7.1.1"));
        }
        Ok(())
    }

    /// RFC 9112 §7.1.1: extensions that are not known MUST be ignored; their number is limited. No value of one, not
    /// even a quoted string, can hold a control byte but HTAB (RFC 9110 §5.6.4), so CR always ends the line.
    fn extension(&mut self, input: &[u8], at: usize) -> Result<usize, Reject> {
        let end = find_control(input, at);
        self.count_extensions(end - at)?;
        match input.get(end) {
            None => Ok(end),
            Some(b'\r') => {
                self.state = State::SizeLf;
                Ok(end + 1)
            }
            Some(_) => Err(BAD_SIZE_LINE),
        }
    }

    fn trailer_name(&mut self, input: &[u8], at: usize) -> Result<usize, Reject> {
        let (end, _) = span_of_class(input, at, TOKEN);
        self.count_trailers(end - at)?;
        match input.get(end) {
            None => Ok(end),
            Some(b':') => {
                self.state = State::TrailerValue;
                Ok(end + 1)
            }
            Some(_) => Err(BAD_TRAILER),
        }
    }

    fn trailer_value(&mut self, input: &[u8], at: usize) -> Result<usize, Reject> {
        let end = find_control(input, at);
        self.count_trailers(end - at)?;
        match input.get(end) {
            None => Ok(end),
            Some(b'\r') => {
                self.state = State::TrailerLf;
                self.count_trailers(4)?;
                Ok(end + 1)
            }
            Some(_) => Err(BAD_TRAILER),
        }
    }

    fn count_trailers(&mut self, more: usize) -> Result<(), Reject> {
        self.trailers = self.trailers.saturating_add(more as u32);
        if self.trailers > MAX_TRAILERS {
            return Err(Reject::new(431, "the trailer section is too large", "RFC 6585 §5"));
        }
        Ok(())
    }
}

const BAD_SIZE: Reject = Reject::bad("a chunk size is not hexadecimal", "RFC 9112 §7.1");
const BAD_SIZE_LINE: Reject = Reject::bad("a chunk size line does not end in CRLF", "RFC 9112 §7.1");
const BAD_TERMINATOR: Reject = Reject::bad("a chunk does not end in CRLF", "RFC 9112 §7.1");
const BAD_TRAILER: Reject = Reject::bad("a trailer line is not a header field", "RFC 9112 §7.1.2");

#[inline]
fn expect(byte: u8, wanted: u8, reject: Reject) -> Result<(), Reject> {
    if byte == wanted { Ok(()) } else { Err(reject) }
}

/// After the data of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";
/// After the last chunk: there are no trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Appends what stands before the data of a chunk. A chunk of no bytes would end the body: then nothing is written, and
/// neither data nor [`CHUNK_END`] may be.
pub fn push_chunk_size(out: &mut Vec<u8>, length: usize) {
    if length > 0 {
        push_hex(out, length as u64);
        out.extend_from_slice(CHUNK_END);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks() {
        let mut out = Vec::new();
        push_chunk_size(&mut out, 0);
        push_chunk_size(&mut out, 255);
        assert_eq!(out, b"ff\r\n");
    }
}

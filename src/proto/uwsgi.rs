//! The uwsgi packet: a 4-byte head (modifier1, u16le size, modifier2) and a block of
//! `u16le length, key, u16le length, value` (docs/protocol.md, shared spec uwsgi-protocol §1).

use std::fmt;

/// Bytes of the packet's head.
pub const HEAD_LEN: usize = 4;

/// modifier1 of a WSGI request.
pub const WSGI: u8 = 0;
/// modifier1 of a WSGI request whose PATH_INFO still begins with SCRIPT_NAME.
pub const WSGI_STRIP: u8 = 30;
/// modifier1 of a ping; its answer carries the same modifier and modifier2 = 1.
pub const PING: u8 = 100;

/// The decoded 4-byte head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub modifier1: u8,
    pub size: u16,
    pub modifier2: u8,
}

impl Head {
    /// Decodes the head, or `None` while fewer than [`HEAD_LEN`] bytes have arrived.
    pub fn parse(bytes: &[u8]) -> Option<Head> {
        match *bytes {
            [modifier1, low, high, modifier2, ..] => {
                Some(Head { modifier1, size: u16::from_le_bytes([low, high]), modifier2 })
            }
            _ => None,
        }
    }

    pub fn to_bytes(self) -> [u8; HEAD_LEN] {
        let [low, high] = self.size.to_le_bytes();
        [self.modifier1, low, high, self.modifier2]
    }
}

/// Why a block of variables is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockError {
    /// A length points past the end of the block.
    Truncated,
    /// A key of no bytes.
    EmptyKey,
    /// More variables than `max-vars` allows.
    TooMany,
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BlockError::Truncated => "a length points past the end of the packet",
            BlockError::EmptyKey => "a variable has an empty name",
            BlockError::TooMany => "more request variables than max-vars allows",
        })
    }
}

impl std::error::Error for BlockError {}

/// Walks the variables of a block. Stops for good after the first error.
#[derive(Clone, Debug)]
pub struct Vars<'a> {
    rest: &'a [u8],
}

impl<'a> Vars<'a> {
    pub fn new(block: &'a [u8]) -> Vars<'a> {
        Vars { rest: block }
    }

    fn take(&mut self) -> Result<&'a [u8], BlockError> {
        let (len, rest) = self.rest.split_first_chunk::<2>().ok_or(BlockError::Truncated)?;
        let (item, rest) =
            rest.split_at_checked(u16::from_le_bytes(*len) as usize).ok_or(BlockError::Truncated)?;
        self.rest = rest;
        Ok(item)
    }

    fn pair(&mut self) -> Result<(&'a [u8], &'a [u8]), BlockError> {
        let key = self.take()?;
        if key.is_empty() {
            return Err(BlockError::EmptyKey);
        }
        Ok((key, self.take()?))
    }
}

impl<'a> Iterator for Vars<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), BlockError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let pair = self.pair();
        if pair.is_err() {
            self.rest = &[];
        }
        Some(pair)
    }
}

/// Appends one variable to a block. Fails when either side is longer than 65,535 bytes or the key is empty.
pub fn push_var(block: &mut Vec<u8>, key: &[u8], value: &[u8]) -> Result<(), BlockError> {
    if key.is_empty() {
        return Err(BlockError::EmptyKey);
    }
    let lengths = (u16::try_from(key.len()), u16::try_from(value.len()));
    let (Ok(key_len), Ok(value_len)) = lengths else { return Err(BlockError::Truncated) };
    block.extend_from_slice(&key_len.to_le_bytes());
    block.extend_from_slice(key);
    block.extend_from_slice(&value_len.to_le_bytes());
    block.extend_from_slice(value);
    Ok(())
}

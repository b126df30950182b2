//! The uwsgi packet: a 4-byte head (modifier1, u16le size, modifier2) and a block of
//! `u16le length, key, u16le length, value`.

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

/// What a packet may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the block of variables (`buffer-size`).
    pub block: usize,
    /// Number of variables: two for each of `max-vars`, as uWSGI counts.
    pub vars: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { block: 4096, vars: 128 }
    }
}

/// Why a packet is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketError {
    /// These are the first bytes of an HTTP request.
    Http,
    /// The block is larger than `buffer-size`.
    TooLarge,
    Block(BlockError),
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PacketError::Http => f.write_str("an HTTP request"),
            PacketError::TooLarge => f.write_str("the packet is larger than buffer-size allows"),
            PacketError::Block(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PacketError {}

/// A whole packet at the start of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    pub head: Head,
    pub block: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Bytes of the packet; the body starts there.
    pub fn len(&self) -> usize {
        HEAD_LEN + self.block.len()
    }

    pub fn is_empty(&self) -> bool {
        self.block.is_empty()
    }

    /// Its variables, checked as they are walked.
    pub fn vars(&self, limits: &Limits) -> Vars<'a> {
        Vars { rest: self.block, left: limits.vars }
    }
}

/// Finds the packet at the start of `buf`. `Ok(None)`: more bytes are needed. A block that is too large is refused as
/// soon as its head is here; the content of the block is not looked at.
#[inline]
pub fn parse<'a>(buf: &'a [u8], limits: &Limits) -> Result<Option<Packet<'a>>, PacketError> {
    let Some(head) = Head::parse(buf) else { return Ok(None) };
    if is_http(buf) {
        return Err(PacketError::Http);
    }
    if usize::from(head.size) > limits.block {
        return Err(PacketError::TooLarge);
    }
    let block = buf.get(HEAD_LEN..HEAD_LEN + usize::from(head.size));
    Ok(block.map(|block| Packet { head, block }))
}

/// Does it begin like an HTTP request? As packets such bytes would be long ones, whose end never comes, with modifiers
/// that mean nothing here.
#[inline]
fn is_http(buf: &[u8]) -> bool {
    const METHODS: [&[u8; HEAD_LEN]; 7] = [b"GET ", b"HEAD", b"POST", b"PUT ", b"PATC", b"DELE", b"OPTI"];
    buf[0].is_ascii_uppercase() && METHODS.iter().any(|method| buf.starts_with(*method))
}

/// Walks the variables of a block. Stops for good after the first error.
#[derive(Clone, Debug)]
pub struct Vars<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Vars<'a> {
    /// Without a limit to their number, which the size of a block bounds anyway.
    pub fn new(block: &'a [u8]) -> Vars<'a> {
        Vars { rest: block, left: usize::MAX }
    }

    #[inline]
    fn take(&mut self) -> Result<&'a [u8], BlockError> {
        let (len, rest) = self.rest.split_first_chunk::<2>().ok_or(BlockError::Truncated)?;
        let (item, rest) =
            rest.split_at_checked(u16::from_le_bytes(*len) as usize).ok_or(BlockError::Truncated)?;
        self.rest = rest;
        Ok(item)
    }

    #[inline]
    fn pair(&mut self) -> Result<(&'a [u8], &'a [u8]), BlockError> {
        self.left = self.left.checked_sub(1).ok_or(BlockError::TooMany)?;
        let key = self.take()?;
        if key.is_empty() {
            return Err(BlockError::EmptyKey);
        }
        Ok((key, self.take()?))
    }
}

impl<'a> Iterator for Vars<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), BlockError>;

    #[inline]
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

/// Appends one variable to a block. Fails when either side is longer than 65,535 bytes or the key is empty; whether the
/// whole block still fits a packet is for the caller to check, which writes the head.
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

#[cfg(test)]
mod tests {
    use super::*;

    type Pair<'a> = (&'a [u8], &'a [u8]);

    fn block(pairs: &[Pair]) -> Vec<u8> {
        let mut block = Vec::new();
        pairs.iter().for_each(|(key, value)| push_var(&mut block, key, value).unwrap());
        block
    }

    fn packet(pairs: &[Pair]) -> Vec<u8> {
        let block = block(pairs);
        let head = Head { modifier1: WSGI, size: block.len() as u16, modifier2: 0 };
        [&head.to_bytes()[..], &block].concat()
    }

    #[test]
    fn what_is_written_is_read() {
        let pairs: [Pair; 3] = [(b"A", b"1"), (b"EMPTY", b""), (b"BIN", b"\0\xff\r\n")];
        let bytes = [packet(&pairs), b"body".to_vec()].concat();
        let found = parse(&bytes, &Limits::default()).unwrap().unwrap();
        assert_eq!(found.vars(&Limits::default()).collect::<Result<Vec<_>, _>>(), Ok(pairs.to_vec()));
        assert_eq!(&bytes[found.len()..], b"body");
    }

    #[test]
    fn a_packet_needs_all_its_bytes_and_no_more() {
        let bytes = packet(&[(b"KEY", b"value")]);
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut], &Limits::default()), Ok(None), "{cut}");
        }
        assert!(parse(&bytes, &Limits::default()).unwrap().is_some());
    }

    #[test]
    fn a_block_cut_anywhere_is_truncated() {
        let whole = block(&[(b"KEY", b"value"), (b"OTHER", b"")]);
        let boundary = block(&[(b"KEY", b"value")]).len();
        for cut in (1..whole.len()).filter(|&cut| cut != boundary) {
            let last = Vars::new(&whole[..cut]).last();
            assert_eq!(last, Some(Err(BlockError::Truncated)), "{cut}");
        }
    }

    #[test]
    fn errors_end_the_walk() {
        let mut vars = Vars::new(b"\0\0\x01\0x\x01\0A\0\0");
        assert_eq!(vars.next(), Some(Err(BlockError::EmptyKey)));
        assert_eq!(vars.next(), None);
    }

    #[test]
    fn limits() {
        let bytes = packet(&[(b"A", b"1"), (b"B", b"2")]);
        let size = bytes.len() - HEAD_LEN;
        let small = Limits { block: size - 1, vars: 2 };
        assert_eq!(parse(&bytes[..HEAD_LEN], &small), Err(PacketError::TooLarge));
        let one = Limits { block: size, vars: 1 };
        let found = parse(&bytes, &one).unwrap().unwrap();
        assert_eq!(found.vars(&one).last(), Some(Err(BlockError::TooMany)));
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let long = vec![b'x'; 65_536];
        let mut out = Vec::new();
        assert_eq!(push_var(&mut out, b"", b"v"), Err(BlockError::EmptyKey));
        assert_eq!(push_var(&mut out, &long, b"v"), Err(BlockError::Truncated));
        assert_eq!(push_var(&mut out, b"k", &long), Err(BlockError::Truncated));
        assert!(out.is_empty());
    }
}

//! The PROXY protocol, versions 1 and 2: the client that a balancer speaks for, sent before the first byte of a
//! connection (haproxy's doc/proxy-protocol.txt; the sections named here are its).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header of version 1 with its line end (§2.1).
const MAX_V1: usize = 107;
/// The longest header of version 2 that is read: addresses, and as many extensions as balancers send.
pub const MAX_V2: usize = 16 + 4096;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The header is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotProxy(pub &'static str);

impl fmt::Display for NotProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A header, as long as `len` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub len: usize,
    /// The peer of the balancer; `None`: the balancer itself (a health check), or a peer whose address is not sent.
    pub source: Option<SocketAddr>,
}

/// Reads the header at the start of `buf`; `Ok(None)`: more bytes are needed.
pub fn parse(buf: &[u8]) -> Result<Option<Header>, NotProxy> {
    let begins = |start: &[u8]| buf.iter().zip(start).all(|(a, b)| a == b);
    if begins(SIGNATURE) {
        return if buf.len() < SIGNATURE.len() { Ok(None) } else { version_2(buf) };
    }
    if begins(b"PROXY ") {
        return version_1(buf);
    }
    Err(NotProxy("the connection does not begin with a PROXY header"))
}

fn version_1(buf: &[u8]) -> Result<Option<Header>, NotProxy> {
    let window = &buf[..buf.len().min(MAX_V1)];
    let Some(end) = window.iter().position(|&byte| byte == b'\n') else {
        return if window.len() == MAX_V1 { Err(NotProxy("the PROXY line is too long")) } else { Ok(None) };
    };
    let line = window[..end].strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok());
    let words = line.and_then(|line| line.strip_prefix("PROXY "));
    let source = words.ok_or(BAD_LINE).and_then(line_source)?;
    Ok(Some(Header { len: end + 1, source }))
}

const BAD_LINE: NotProxy = NotProxy("the PROXY line is malformed");

/// §2.1: single spaces, canonical addresses, ports without leading zeros.
fn line_source(words: &str) -> Result<Option<SocketAddr>, NotProxy> {
    if words == "UNKNOWN" || words.starts_with("UNKNOWN ") {
        return Ok(None);
    }
    let words: Vec<&str> = words.split(' ').collect();
    let [family, source, target, source_port, target_port] = words[..] else { return Err(BAD_LINE) };
    let (source, _) = (address(family, source)?, address(family, target)?);
    let (port, _) = (port(source_port)?, port(target_port)?);
    Ok(Some(SocketAddr::new(source, port)))
}

fn address(family: &str, text: &str) -> Result<IpAddr, NotProxy> {
    match family {
        "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| BAD_LINE),
        "TCP6" => text.parse::<Ipv6Addr>().map(|ip| ip.to_canonical()).map_err(|_| BAD_LINE),
        _ => Err(BAD_LINE),
    }
}

fn port(text: &str) -> Result<u16, NotProxy> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain).ok_or(BAD_LINE)
}

fn version_2(buf: &[u8]) -> Result<Option<Header>, NotProxy> {
    let Some(&[version_command, family, high, low]) = buf.get(12..16) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if version_command >> 4 != 2 || version_command & 0xf > 1 {
        return Err(NotProxy("a PROXY header of a version or command that is not known"));
    }
    let len = 16 + length;
    if len > MAX_V2 {
        return Err(NotProxy("the PROXY header is too long"));
    }
    let Some(block) = buf.get(16..len) else { return Ok(None) };
    // §2.2: LOCAL is the balancer's own connection; what its block says is to be ignored.
    let source = if version_command & 0xf == 0 { None } else { block_source(family, block)? };
    Ok(Some(Header { len, source }))
}

fn block_source(family: u8, block: &[u8]) -> Result<Option<SocketAddr>, NotProxy> {
    const SHORT: NotProxy = NotProxy("the PROXY header is shorter than its addresses");
    match family {
        0x11 => {
            let Some((&[a, b, c, d, .., high, low, _, _], _)) = block.split_first_chunk::<12>() else {
                return Err(SHORT);
            };
            let port = u16::from_be_bytes([high, low]);
            Ok(Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port)))
        }
        0x21 => {
            let Some((address, rest)) = block.split_first_chunk::<16>() else { return Err(SHORT) };
            let Some(&[high, low, _, _]) = rest.get(16..20) else { return Err(SHORT) };
            let ip = Ipv6Addr::from(*address).to_canonical();
            Ok(Some(SocketAddr::new(ip, u16::from_be_bytes([high, low]))))
        }
        // Unspecified, datagrams, unix sockets: the connection is served, its origin is not known.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => Ok(None),
        _ => Err(NotProxy("a PROXY header of a family that is not known")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole, and cut at every place before its end; what follows is never looked at.
    fn read(bytes: &[u8]) -> Result<Option<Header>, NotProxy> {
        let whole = parse(&[bytes, b"GET / HTTP/1.1\r\n"].concat());
        if let Ok(Some(header)) = whole {
            assert_eq!(header.len, bytes.len());
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "cut at {cut}");
            }
        }
        whole
    }

    fn source(bytes: &[u8]) -> Option<String> {
        read(bytes).unwrap().unwrap().source.map(|source| source.to_string())
    }

    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = (block.len() as u16).to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, block].concat()
    }

    #[test]
    fn version_1_lines() {
        let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
        assert_eq!(source(line).as_deref(), Some("192.0.2.7:56324"));
        let line = b"PROXY TCP6 2001:db8::7 2001:db8::1 1 65535\r\n";
        assert_eq!(source(line).as_deref(), Some("[2001:db8::7]:1"));
        assert_eq!(source(b"PROXY UNKNOWN\r\n"), None);
        assert_eq!(source(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), None);
    }

    #[test]
    fn version_1_lines_that_are_wrong() {
        for wrong in [
            &b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n"[..],
            b"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 x\r\n",
            b"PROXY  TCP4 192.0.2.7 198.51.100.1 56324 443\r\n",
            b"PROXY TCP4 192.0.2.7 ::1 56324 443\r\n",
            b"PROXY TCP6 192.0.2.7 198.51.100.1 56324 443\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 443\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 01 443\r\n",
            b"PROXY TCP4 192.0.02.7 198.51.100.1 1 443\r\n",
            b"PROXY UDP4 192.0.2.7 198.51.100.1 1 443\r\n",
            b"PROXY UNKNOWNS\r\n",
            b"PROXY \r\n",
            b"PROXY\r\n",
            b"proxy UNKNOWN\r\n",
            b"\r\n\r\n\0\r\nQUIT\r",
        ] {
            assert!(read(wrong).is_err(), "{}", wrong.escape_ascii());
        }
        assert!(parse(&[&b"PROXY UNKNOWN "[..], &[b'x'; 120]].concat()).is_err());
        assert!(parse(b"GET / HTTP/1.1\r\n").is_err());
    }

    #[test]
    fn version_2_headers() {
        let four = [192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 4, 1, 187];
        assert_eq!(source(&v2(0x21, 0x11, &four)).as_deref(), Some("192.0.2.7:56324"));
        assert_eq!(
            source(&v2(0x21, 0x11, &[&four[..], &[3, 0, 4, 1, 2, 3, 4]].concat())).as_deref(),
            Some("192.0.2.7:56324")
        );
        let mut six = [0; 36];
        (six[15], six[33]) = (1, 80);
        assert_eq!(source(&v2(0x21, 0x21, &six)).as_deref(), Some("[::1]:80"));
        assert_eq!(source(&v2(0x20, 0x11, &four)), None);
        assert_eq!(source(&v2(0x20, 0x00, &[])), None);
        assert_eq!(source(&v2(0x21, 0x31, &[0; 216])), None);
    }

    #[test]
    fn version_2_headers_that_are_wrong() {
        for wrong in [v2(0x21, 0x11, &[0; 11]), v2(0x21, 0x21, &[0; 35]), v2(0x11, 0x11, &[0; 12])] {
            assert!(read(&wrong).is_err());
        }
        assert!(read(&v2(0x22, 0x11, &[0; 12])).is_err());
        assert!(read(&v2(0x21, 0x41, &[0; 12])).is_err());
        assert!(parse(&v2(0x21, 0x00, &[0; 5000])).is_err());
    }
}

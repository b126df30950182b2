//! Addresses of sockets, from text.

use std::net::Ipv4Addr;

use super::glob::fits;
use super::{Address, ValueError};

/// A `sockaddr_un` holds this many bytes and a closing NUL.
const MAX_PATH: usize = 107;

/// `host:port`, `:port`, `[v6]:port`, a path, `@abstract` or `fd://N`.
pub fn parse(text: &str) -> Result<Address, ValueError> {
    if let Some(number) = text.strip_prefix("fd://") {
        return inherited(number);
    }
    if let Some(name) = text.strip_prefix('@').or_else(|| text.strip_prefix("\\0")) {
        return abstract_name(name);
    }
    if text.starts_with('=') {
        return Err(ValueError::new("shared sockets are not supported yet", "write the address itself"));
    }
    // Nobody calls a socket file so.
    if text == "localhost" || text.parse::<Ipv4Addr>().is_ok() {
        return Err(ValueError::new(format!("\"{text}\" has no port"), format!("write {text}:8000")));
    }
    let path = text.strip_prefix("unix:").unwrap_or(text);
    if path.starts_with(['/', '.']) || !path.contains(':') {
        return unix(path);
    }
    tcp(text)
}

fn inherited(number: &str) -> Result<Address, ValueError> {
    match number.parse() {
        Ok(fd) if fd >= 0 => Ok(Address::Inherited(fd)),
        _ => Err(ValueError::new(
            format!("\"fd://{number}\" names no descriptor"),
            "write fd://3 for descriptor 3",
        )),
    }
}

fn abstract_name(name: &str) -> Result<Address, ValueError> {
    short_enough(name)?;
    Ok(Address::Abstract(name.as_bytes().to_vec()))
}

fn unix(path: &str) -> Result<Address, ValueError> {
    short_enough(path)?;
    Ok(Address::Unix(path.into()))
}

fn short_enough(name: &str) -> Result<(), ValueError> {
    if name.is_empty() || name.contains('\0') {
        return Err(ValueError::new("the socket has no name", "write a path such as /run/mysite.sock"));
    }
    if name.len() > MAX_PATH {
        let text = format!("the name of a unix socket has at most {MAX_PATH} bytes, this one {}", name.len());
        return Err(ValueError::new(text, "choose a shorter path"));
    }
    Ok(())
}

fn tcp(text: &str) -> Result<Address, ValueError> {
    if let Some((_, address)) = text.split_once("://") {
        return Err(ValueError::new(format!("\"{text}\" is a URL"), format!("write {address}")));
    }
    let wrong = || ValueError::new(format!("\"{text}\" is no address"), REMEDY);
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').filter(|v6| !v6.is_empty()).ok_or_else(wrong)?,
        None if host.contains(':') => return Err(too_many_colons(text, host, port)),
        None => host,
    };
    let host = if host.contains('*') { local_address(host)? } else { host.to_owned() };
    match self::port(port) {
        Some(port) => Ok(Address::Tcp { host, port }),
        None if port.bytes().all(|b| b.is_ascii_digit()) => {
            Err(ValueError::new(format!("there is no port {port}"), "write a number up to 65535"))
        }
        None => Err(wrong()),
    }
}

/// `host::80` is a slip of the finger, `::1:80` an IPv6 address.
fn too_many_colons(text: &str, host: &str, port: &str) -> ValueError {
    let name = host.trim_end_matches(':');
    let remedy = if !name.is_empty() && !name.contains(':') {
        format!("write {name}:{}", if port.is_empty() { "PORT" } else { port })
    } else {
        "write an IPv6 address in brackets, such as [::1]:3031".to_owned()
    };
    ValueError::new(format!("\"{text}\" has more than one colon"), remedy)
}

/// `10.0.*`: the first address of this machine that fits.
fn local_address(pattern: &str) -> Result<String, ValueError> {
    let table = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let found = local_addresses(&table).find(|address| fits(pattern, address));
    found.map(str::to_owned).ok_or_else(|| {
        let text = format!("no address of this machine fits \"{pattern}\"");
        ValueError::new(text, "write the address itself, or :port for all of them")
    })
}

/// The kernel's table has a line with an address, and one below it that says whether it is one of its own.
fn local_addresses(table: &str) -> impl Iterator<Item = &str> {
    let is_local = |line: &str| line.trim() == "/32 host LOCAL";
    let lines = table.lines().zip(table.lines().skip(1));
    lines.filter(move |(_, next)| is_local(next)).filter_map(|(line, _)| line.split("|-- ").nth(1))
}

const REMEDY: &str = "write host:port, :port, [v6]:port, a path, @name or fd://N";

/// As uWSGI: no port, or one that starts with 0, lets the kernel choose.
fn port(text: &str) -> Option<u16> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if text.is_empty() || text.starts_with('0') { Some(0) } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inet(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.into(), port }
    }

    #[test]
    fn forms() {
        for (text, address) in [
            ("127.0.0.1:3031", inet("127.0.0.1", 3031)),
            (":9090", inet("", 9090)),
            ("localhost:80", inet("localhost", 80)),
            ("[::1]:3031", inet("::1", 3031)),
            ("127.0.0.1:", inet("127.0.0.1", 0)),
            (":0", inet("", 0)),
            ("/tmp/a.sock", Address::Unix("/tmp/a.sock".into())),
            ("unix:localhost", Address::Unix("localhost".into())),
            ("/tmp/a:b.sock", Address::Unix("/tmp/a:b.sock".into())),
            ("unix:/tmp/a.sock", Address::Unix("/tmp/a.sock".into())),
            ("run/a.sock", Address::Unix("run/a.sock".into())),
            ("@name", Address::Abstract(b"name".to_vec())),
            ("\\0name", Address::Abstract(b"name".to_vec())),
            ("fd://3", Address::Inherited(3)),
        ] {
            assert_eq!(parse(text), Ok(address), "{text}");
        }
    }

    #[test]
    fn patterns_of_addresses() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.7\n        /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        assert_eq!(local_addresses(table).collect::<Vec<_>>(), ["10.0.0.7", "127.0.0.1"]);
        assert_eq!(parse("127.0.*:80"), Ok(inet("127.0.0.1", 80)));
    }

    #[test]
    fn wrong_ones_say_why() {
        for text in [
            "", "@", ":http", "a:70000", "a:-1", "::1:80", "[]:80", "[::1:80", "=0", "fd://x", "fd://-1",
            "300.*:80", "x::",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&format!("/{}", "x".repeat(107))).is_err());
        for (text, said) in [
            ("x::", "\"x::\" has more than one colon; write x:PORT"),
            ("localhost::80", "\"localhost::80\" has more than one colon; write localhost:80"),
            (
                "::80",
                "\"::80\" has more than one colon; write an IPv6 address in brackets, such as [::1]:3031",
            ),
            ("http://127.0.0.1:80", "\"http://127.0.0.1:80\" is a URL; write 127.0.0.1:80"),
            ("0.0.0.0", "\"0.0.0.0\" has no port; write 0.0.0.0:8000"),
            ("localhost", "\"localhost\" has no port; write localhost:8000"),
            ("127.0.0.1:99999", "there is no port 99999; write a number up to 65535"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), said);
        }
    }
}

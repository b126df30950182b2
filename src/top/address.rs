//! Where a stats server listens, written as uwsgitop takes it.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Http { host: String, port: u16, path: String },
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
    Abstract(String),
}

impl Address {
    pub fn parse(text: &str) -> Result<Address, String> {
        if let Some(rest) = text.strip_prefix("http://") {
            return http(rest).ok_or_else(|| wrong(text));
        }
        if text.contains("://") {
            return Err(format!("{text}: a stats server speaks http:// or nothing but JSON"));
        }
        if let Some(name) = text.strip_prefix('@').filter(|name| !name.is_empty()) {
            return Ok(Address::Abstract(name.to_owned()));
        }
        if !text.starts_with(['/', '.']) && text.contains(':') {
            let (host, port) = host_and_port(text).ok_or_else(|| wrong(text))?;
            return Ok(Address::Tcp { host, port });
        }
        if text.is_empty() || text == "@" { Err(wrong(text)) } else { Ok(Address::Unix(text.into())) }
    }

    pub fn connect(&self, timeout: Duration) -> io::Result<Stream> {
        match self {
            Address::Http { host, port, .. } | Address::Tcp { host, port } => {
                connect_tcp(host, *port, timeout).map(Stream::Tcp)
            }
            Address::Unix(path) => UnixStream::connect(path).map(Stream::Unix),
            Address::Abstract(name) => connect_abstract(name).map(Stream::Unix),
        }
    }

    /// For the Host field of a request.
    pub fn host(&self) -> String {
        match self {
            Address::Http { host, port, .. } | Address::Tcp { host, port } if host.contains(':') => {
                format!("[{host}]:{port}")
            }
            Address::Http { host, port, .. } | Address::Tcp { host, port } => format!("{host}:{port}"),
            Address::Unix(_) | Address::Abstract(_) => "localhost".to_owned(),
        }
    }

    /// Where a document of this name stands. `http://proxy/rwsgi/stats` has its neighbours in `/rwsgi/`.
    pub fn path_of(&self, document: &str) -> String {
        let Address::Http { path, .. } = self else { return format!("/{document}") };
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        match path.rsplit('/').next() {
            Some(name) if !name.is_empty() && name != "stats" && document == "stats" => path.clone(),
            _ => format!("{folder}/{document}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Http { path, .. } => write!(f, "http://{}{path}", self.host()),
            Address::Tcp { .. } => f.write_str(&self.host()),
            Address::Unix(path) => write!(f, "{}", path.display()),
            Address::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

fn wrong(text: &str) -> String {
    format!("{text:?} is no address: HOST:PORT, http://HOST:PORT/, /PATH or @NAME is wanted")
}

fn http(rest: &str) -> Option<Address> {
    let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let has_port = place.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    let (host, port) = if has_port { host_and_port(place)? } else { host_and_port(&format!("{place}:80"))? };
    (!place.is_empty()).then(|| Address::Http {
        host,
        port,
        path: if path.is_empty() { "/" } else { path }.to_owned(),
    })
}

/// An empty host is this machine, where uWSGI's server listens on all of its addresses.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let is_number = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = is_number(port).then(|| port.parse().ok())?.filter(|&port| port > 0)?;
    let inner = host.strip_prefix('[').map_or(Some(host), |host| host.strip_suffix(']'))?;
    let host = if inner.is_empty() { "127.0.0.1" } else { inner };
    (!host.contains(char::is_whitespace) && !host.contains('/')).then(|| (host.to_owned(), port))
}

fn connect_tcp(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// uWSGI binds a name with a NUL byte at its end, which is a part of it (unix(7)).
fn connect_abstract(name: &str) -> io::Result<UnixStream> {
    let connect = |name: &[u8]| UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?);
    connect(name.as_bytes()).or_else(|error| connect(format!("{name}\0").as_bytes()).map_err(|_| error))
}

/// A connection to a stats server.
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// How long a read or a write waits.
    pub fn set_timeout(&self, time: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => {
                stream.set_read_timeout(Some(time)).and_then(|()| stream.set_write_timeout(Some(time)))
            }
            Stream::Unix(stream) => {
                stream.set_read_timeout(Some(time)).and_then(|()| stream.set_write_timeout(Some(time)))
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.to_owned(), port }
    }

    #[test]
    fn the_forms_of_uwsgitop() {
        assert_eq!(Address::parse("localhost:9191"), Ok(tcp("localhost", 9191)));
        assert_eq!(Address::parse(":9191"), Ok(tcp("127.0.0.1", 9191)));
        assert_eq!(Address::parse("[::1]:9191"), Ok(tcp("::1", 9191)));
        assert_eq!(Address::parse("/run/a:1"), Ok(Address::Unix("/run/a:1".into())));
        assert_eq!(Address::parse("stats.sock"), Ok(Address::Unix("stats.sock".into())));
        assert_eq!(Address::parse("@stats"), Ok(Address::Abstract("stats".into())));
        let http =
            |host: &str, port, path: &str| Ok(Address::Http { host: host.into(), port, path: path.into() });
        assert_eq!(Address::parse("http://h"), http("h", 80, "/"));
        assert_eq!(Address::parse("http://h:8/x"), http("h", 8, "/x"));
        assert_eq!(Address::parse("http://[::1]/x"), http("::1", 80, "/x"));
        for bad in ["", "@", "h:", "h:0", "h:x", "h:70000", "h:+1", "http://", "https://h", "a b:1"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn documents_are_neighbours() {
        let at = |address: &str, document| Address::parse(address).unwrap().path_of(document);
        assert_eq!(at("h:1", "stats"), "/stats");
        assert_eq!(at("http://h", "stacks?worker=1"), "/stacks?worker=1");
        assert_eq!(at("http://h/a/stats", "stacks"), "/a/stacks");
        assert_eq!(at("http://h/a/", "stats"), "/a/stats");
        assert_eq!(at("http://h/a/uwsgi.json", "stats"), "/a/uwsgi.json");
        assert_eq!(Address::parse("[::1]:5").unwrap().to_string(), "[::1]:5");
    }
}

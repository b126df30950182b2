//! Where the text of a configuration comes from: a file, standard input, a descriptor, a command, a web server.
//! Each way ends after a time and a size.

use crate::base::reason::reason;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a command or a web server may take.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Schemes of uWSGI that read from its own binary or from an emperor.
const NOT_HERE: &[&str] = &["data", "section", "sym", "call", "callint", "emperor"];

/// Whether `name` is no file.
pub fn is_url(name: &str) -> bool {
    name == "-" || scheme(name).is_some()
}

fn scheme(name: &str) -> Option<(&str, &str)> {
    name.split_once("://").filter(|(scheme, _)| scheme.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// What stands there, of at most `most` bytes, or what is wrong with it.
pub fn fetch(name: &str, most: usize) -> Result<Vec<u8>, String> {
    if name == "-" {
        return bounded(std::io::stdin().lock(), most);
    }
    match scheme(name) {
        None => file(name, most),
        Some(("exec", command)) => output(command, most),
        Some(("fd", number)) if number.parse::<u32>().is_ok() => {
            file(&format!("/proc/self/fd/{number}"), most)
        }
        Some(("fd", number)) => Err(format!("\"{number}\" is no descriptor")),
        Some(("http", url)) => http(url, most),
        Some(("https", _)) => Err("https is not supported here; exec://curl -fsS URL reads it".to_owned()),
        Some((scheme, _)) if NOT_HERE.contains(&scheme) => {
            Err(format!("{scheme}:// reads from uWSGI's binary or emperor; write a file"))
        }
        Some((scheme, _)) => Err(format!("there is no scheme {scheme}://")),
    }
}

fn file(path: &str, most: usize) -> Result<Vec<u8>, String> {
    bounded(std::fs::File::open(path).map_err(reason)?, most)
}

fn bounded(from: impl Read, most: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    from.take(most as u64 + 1).read_to_end(&mut bytes).map_err(reason)?;
    if bytes.len() > most { Err(too_large(most)) } else { Ok(bytes) }
}

fn too_large(most: usize) -> String {
    format!("it has more than {most} bytes")
}

/// What a shell command prints. Its output is a socket, because only that has a time limit in std.
fn output(command: &str, most: usize) -> Result<Vec<u8>, String> {
    let deadline = Instant::now() + TIMEOUT;
    let (ours, theirs) = UnixStream::pair().map_err(reason)?;
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::from(OwnedFd::from(theirs)));
    let mut child = shell.spawn().map_err(reason)?;
    // The stream ends when neither the child nor `shell` holds the writing end.
    drop(shell);
    let result = read_until(ours, deadline, most).and_then(|bytes| Ok((bytes, wait(&mut child, deadline)?)));
    let _ = child.kill();
    let _ = child.wait();
    match result? {
        (bytes, status) if status.success() => Ok(bytes),
        (_, status) => Err(format!("the command failed: {status}")),
    }
}

fn wait(child: &mut Child, deadline: Instant) -> Result<ExitStatus, String> {
    loop {
        match child.try_wait().map_err(reason)? {
            Some(status) => return Ok(status),
            None if Instant::now() >= deadline => return Err(too_slow()),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn too_slow() -> String {
    format!("it took longer than {} seconds", TIMEOUT.as_secs())
}

/// A stream whose reads can be given a time limit.
trait Patient: Read {
    fn patience(&self, time: Duration) -> std::io::Result<()>;
}

impl Patient for UnixStream {
    fn patience(&self, time: Duration) -> std::io::Result<()> {
        self.set_read_timeout(Some(time))
    }
}

impl Patient for TcpStream {
    fn patience(&self, time: Duration) -> std::io::Result<()> {
        self.set_read_timeout(Some(time))
    }
}

fn read_until(mut stream: impl Patient, deadline: Instant, most: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut part = [0; 16 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(too_slow());
        }
        stream.patience(left).map_err(reason)?;
        match stream.read(&mut part) {
            Ok(0) => return Ok(bytes),
            Ok(n) => bytes.extend_from_slice(&part[..n]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(too_slow());
            }
            Err(e) => return Err(reason(e)),
        }
        if bytes.len() > most {
            return Err(too_large(most));
        }
    }
}

/// `host[:port][/path]`, as a browser of 1996 would ask for it: the answer ends with the connection.
fn http(url: &str, most: usize) -> Result<Vec<u8>, String> {
    let deadline = Instant::now() + TIMEOUT;
    let (host, path) = url.split_once('/').unwrap_or((url, ""));
    if host.is_empty() || url.bytes().any(|b| b.is_ascii_control() || b == b' ') {
        return Err("this is no address of a web page".to_owned());
    }
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let address = if has_port { host.to_owned() } else { format!("{host}:80") };
    let address = address.to_socket_addrs().map_err(reason)?.next().ok_or("it has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).map_err(reason)?;
    stream.set_write_timeout(Some(CONNECT_TIMEOUT)).map_err(reason)?;
    let request = format!("GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(reason)?;
    let answer = read_until(stream, deadline, most.saturating_add(64 << 10))?;
    body(&answer, most)
}

fn body(answer: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let line = answer.split(|&b| b == b'\r' || b == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    if status != Some("200") {
        return Err(format!("the server answered \"{}\"", line.chars().take(80).collect::<String>()));
    }
    let end =
        answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("the answer has no end of its head")?;
    let body = &answer[end + 4..];
    if body.len() > most { Err(too_large(most)) } else { Ok(body.to_vec()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str) -> Result<String, String> {
        fetch(name, 1000).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    #[test]
    fn commands() {
        assert_eq!(text("exec://echo a; echo b"), Ok("a\nb\n".into()));
        assert!(text("exec://exit 3").unwrap_err().contains("exit status: 3"));
        assert!(text("exec://cat /dev/zero").unwrap_err().contains("more than 1000 bytes"));
    }

    #[test]
    fn descriptors_and_files() {
        let file = std::fs::File::open("/proc/self/cmdline").unwrap();
        assert!(text(&format!("fd://{}", std::os::fd::AsRawFd::as_raw_fd(&file))).is_ok());
        for wrong in
            ["fd://x", "fd://99999", "/no/such", "/", "/dev/zero", "sym://a", "gopher://a", "https://a"]
        {
            assert!(text(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn web_servers() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            for answer in ["HTTP/1.0 200 OK\r\nA: b\r\n\r\n[uwsgi]\n", "HTTP/1.1 404 Not Found\r\n\r\n", ""] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = [0; 1000];
                let n = stream.read(&mut head).unwrap();
                assert!(head[..n].starts_with(b"GET /a/b.ini HTTP/1.0\r\nHost: "));
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        assert_eq!(text(&format!("http://{address}/a/b.ini")), Ok("[uwsgi]\n".into()));
        assert!(text(&format!("http://{address}/a/b.ini")).unwrap_err().contains("404 Not Found"));
        assert!(text(&format!("http://{address}/a/b.ini")).is_err());
        server.join().unwrap();
        for wrong in ["http://", "http:///x", "http://a b/", "http://[::1/", "http://host:port/"] {
            assert!(text(wrong).is_err(), "{wrong}");
        }
    }
}

//! Reads documents of a stats server, whichever of the two ways it speaks: at once and raw, or HTTP when asked.

use super::address::{Address, Stream};
use super::http;
use crate::base::reason::reason;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// How long a raw stats server may take to its first byte. uWSGI with stats-http waits for input instead.
const RAW_TIME: Duration = Duration::from_millis(300);
/// How long anything may take that is waited for, and all of it together.
const STEP_TIME: Duration = Duration::from_secs(5);
const WHOLE_TIME: Duration = Duration::from_secs(15);
/// 1,000 workers of 20 cores with long URIs take less.
const MAX_BYTES: usize = 64 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Raw,
    Http,
}

pub struct Client {
    address: Address,
    /// Once an answer has shown it.
    protocol: Option<Protocol>,
    /// How long an answer may take.
    patience: Duration,
}

impl Client {
    pub fn new(address: Address) -> Client {
        let protocol = matches!(address, Address::Http { .. }).then_some(Protocol::Http);
        Client { address, protocol, patience: STEP_TIME }
    }

    pub fn protocol(&self) -> Option<Protocol> {
        self.protocol
    }

    /// The document that tells all: its bytes, whatever they are.
    pub fn stats(&mut self) -> Result<Vec<u8>, String> {
        let bytes = self.read("stats")?;
        if !http::is_answer(&bytes) {
            self.protocol = self.protocol.or((!bytes.is_empty()).then_some(Protocol::Raw));
            return Ok(bytes);
        }
        let answer = http::parse(&bytes).map_err(|why| self.about(&why))?;
        self.protocol = Some(Protocol::Http);
        if answer.status == 200 { Ok(answer.body) } else { Err(self.refused(&answer)) }
    }

    /// A document that only HTTP can ask for, from a server that may take so long for it.
    pub fn get_within(&mut self, document: &str, patience: Duration) -> Result<http::Answer, String> {
        self.patience = patience;
        self.protocol = Some(Protocol::Http);
        let bytes = self.read(document)?;
        if bytes.starts_with(b"{") {
            let why = "this is a raw stats socket, which writes its JSON and reads nothing: configure stats-http = true";
            return Err(self.about(why));
        }
        let answer = http::parse(&bytes).map_err(|why| self.about(&why))?;
        let said = String::from_utf8_lossy(&answer.body).trim_end().to_owned();
        match answer.status {
            200 => Ok(answer),
            421 | 401 | 403 => Err(self.refused(&answer)),
            _ => Err(self.about(&said)),
        }
    }

    /// A document that only HTTP can ask for.
    pub fn get(&mut self, document: &str) -> Result<http::Answer, String> {
        self.protocol = Some(Protocol::Http);
        http::parse(&self.read(document)?).map_err(|why| self.about(&why))
    }

    fn refused(&self, answer: &http::Answer) -> String {
        let why = match answer.status {
            401 | 403 => "it does not let this client in",
            421 => "it does not know this name; use an IP address, or let stats-host name it",
            _ => "this is no stats server",
        };
        self.about(&format!("it answers with HTTP status {}: {why}", answer.status))
    }

    pub fn about(&self, why: &str) -> String {
        format!("{}: {why}", self.address)
    }

    fn read(&self, document: &str) -> Result<Vec<u8>, String> {
        let mut stream =
            self.address.connect(STEP_TIME).map_err(|error| self.about(&cannot_connect(&error)))?;
        self.exchange(&mut stream, document).map_err(|why| self.about(&why))
    }

    fn exchange(&self, stream: &mut Stream, document: &str) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        if self.protocol.is_none() {
            stream.set_timeout(RAW_TIME).map_err(reason)?;
            match read_some(stream, &mut bytes) {
                Err(error) if is_time(error.kind()) => {}
                Err(error) => return Err(reason(error)),
                Ok(0) => return Ok(bytes),
                Ok(_) => return rest(stream, bytes, self.patience),
            }
        }
        if self.protocol != Some(Protocol::Raw) {
            let request = http::request(&self.address.host(), &self.address.path_of(document));
            stream.set_timeout(STEP_TIME).and_then(|()| stream.write_all(&request)).map_err(reason)?;
        }
        rest(stream, bytes, self.patience)
    }
}

fn cannot_connect(error: &std::io::Error) -> String {
    let remedy = match error.kind() {
        ErrorKind::PermissionDenied => "; a user is wanted who may write to the socket",
        ErrorKind::ConnectionRefused => "; nobody listens there",
        _ => "",
    };
    format!("{}{remedy}", reason(error))
}

fn is_time(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn read_some(stream: &mut Stream, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut buffer = [0; 65536];
    loop {
        match stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(taken) => {
                bytes.extend_from_slice(&buffer[..taken]);
                return Ok(taken);
            }
        }
    }
}

/// Reads on to the end of what is sent.
fn rest(stream: &mut Stream, mut bytes: Vec<u8>, patience: Duration) -> Result<Vec<u8>, String> {
    let begun = Instant::now();
    stream.set_timeout(patience).map_err(reason)?;
    while !http::is_answer(&bytes) || !http::is_whole(&bytes) {
        match read_some(stream, &mut bytes) {
            Ok(0) => break,
            Ok(_) if bytes.len() > MAX_BYTES => {
                return Err("it sends without end: no stats server".to_owned());
            }
            Ok(_) if begun.elapsed() > WHOLE_TIME + patience => return Err(too_late(&bytes, patience)),
            Ok(_) => {}
            Err(error) if is_time(error.kind()) => return Err(too_late(&bytes, patience)),
            // A server that closes before it has read the request resets the connection behind its answer.
            Err(error) if error.kind() == ErrorKind::ConnectionReset && !bytes.is_empty() => break,
            Err(error) => return Err(reason(error)),
        }
    }
    Ok(bytes)
}

fn too_late(bytes: &[u8], patience: Duration) -> String {
    if bytes.is_empty() {
        return format!("no answer within {} s", patience.as_secs());
    }
    format!("the answer stops after {} bytes and does not end", bytes.len())
}

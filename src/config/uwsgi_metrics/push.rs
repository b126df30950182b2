//! `stats-push` and `carbon`: who is sent what there is to know, and how often.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::pairs::Pairs;
use crate::config::value::seconds;
use crate::config::{Address, ValueError, address};

/// A host to send to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address.
    pub host: String,
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pusher {
    /// A datagram for each metric.
    Datagrams { format: Datagrams, to: HostPort, prefix: String },
    /// Lines over TCP.
    Carbon(HostPort),
    /// The document of the stats server, appended to a file.
    File { path: PathBuf, separator: String, every: Option<Duration> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datagrams {
    /// uWSGI's own.
    Socket,
    Statsd,
}

impl Pusher {
    /// Whoever gets only what the stats server shows does not need metrics to be collected.
    pub fn sends_metrics(&self) -> bool {
        !matches!(self, Pusher::Carbon(_))
    }
}

/// How carbon is sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carbon {
    pub every: Duration,
    /// For the connection and for all that goes through it.
    pub timeout: Duration,
    pub max_retries: u64,
    pub retry_delay: Duration,
    /// `None`: the name of the first socket.
    pub id: Option<String>,
    /// Before the host's name; ends with a dot, or is empty.
    pub root: String,
    /// Instead of the dots in the host's name.
    pub hostname_dots: Option<char>,
    pub no_workers: bool,
    pub idle_average: IdleAverage,
    /// The metrics instead.
    pub use_metrics: bool,
}

/// What is sent as the time of an average request where there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdleAverage {
    #[default]
    Last,
    Zero,
    None,
}

impl Default for Carbon {
    fn default() -> Carbon {
        Carbon {
            every: Duration::from_secs(60),
            timeout: Duration::from_secs(3),
            max_retries: 0,
            retry_delay: Duration::from_secs(7),
            id: None,
            root: "uwsgi.".to_owned(),
            hostname_dots: None,
            no_workers: false,
            idle_average: IdleAverage::Last,
            use_metrics: false,
        }
    }
}

impl HostPort {
    pub fn parse(text: &str) -> Result<HostPort, ValueError> {
        match address::parse(text.trim())? {
            Address::Tcp { host, port } if !host.is_empty() && port > 0 => Ok(HostPort { host, port }),
            _ => Err(ValueError::new(format!("\"{text}\" names no host and port"), "write HOST:PORT")),
        }
    }
}

/// Those of uWSGI that are not here.
const MISSING: [&str; 3] = ["rrdtool", "mongodb", "zabbix"];
const INSTEAD: &str = "send to statsd or carbon, or let Prometheus read the metrics";

/// What `stats-push` names.
#[derive(Debug, PartialEq, Eq)]
pub enum Named {
    There(Pusher),
    /// What to say about it.
    Missing(String),
}

/// `NAME:ARGUMENT`.
pub fn parse(text: &str) -> Result<Named, ValueError> {
    let (name, argument) = text.split_once(':').unwrap_or((text, ""));
    let pusher = match name.trim() {
        "socket" => datagrams(Datagrams::Socket, argument)?,
        "statsd" => datagrams(Datagrams::Statsd, argument)?,
        "carbon" => Pusher::Carbon(HostPort::parse(argument)?),
        "file" => file(argument)?,
        name if MISSING.contains(&name) => {
            return Ok(Named::Missing(format!("nothing is sent to {name}; {INSTEAD}")));
        }
        name => {
            let remedy = "write socket:HOST:PORT, statsd:HOST:PORT, carbon:HOST:PORT or file:path=PATH";
            return Err(ValueError::new(format!("there is no pusher \"{name}\""), remedy));
        }
    };
    Ok(Named::There(pusher))
}

/// `host:port[,prefix]`.
fn datagrams(format: Datagrams, argument: &str) -> Result<Pusher, ValueError> {
    let (to, prefix) = argument.split_once(',').unwrap_or((argument, "uwsgi"));
    Ok(Pusher::Datagrams { format, to: HostPort::parse(to)?, prefix: prefix.to_owned() })
}

/// `path=…,separator=…,freq=…`, all of which may be missing.
fn file(argument: &str) -> Result<Pusher, ValueError> {
    let pairs = Pairs::read(argument, &["path", "separator", "freq"])?;
    let every = pairs.get("freq").map(|text| seconds(Some(text))).transpose()?;
    Ok(Pusher::File {
        path: pairs.get("path").unwrap_or("uwsgi.stats").into(),
        separator: pairs.get("separator").map_or_else(|| "\n\n".to_owned(), |text| text.replace("\\n", "\n")),
        every: every.filter(|every| !every.is_zero()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: &str, port: u16) -> HostPort {
        HostPort { host: host.into(), port }
    }

    #[test]
    fn forms() {
        let there = |text| match parse(text) {
            Ok(Named::There(pusher)) => pusher,
            other => panic!("{text}: {other:?}"),
        };
        let (to, prefix) = (host("127.0.0.1", 8125), "site".to_owned());
        let expected = Pusher::Datagrams { format: Datagrams::Statsd, to, prefix };
        assert_eq!(there("statsd:127.0.0.1:8125,site"), expected);
        let (to, prefix) = (host("::1", 1), "uwsgi".to_owned());
        let expected = Pusher::Datagrams { format: Datagrams::Socket, to, prefix };
        assert_eq!(there("socket:[::1]:1"), expected);
        assert_eq!(there("carbon:graphite:2003"), Pusher::Carbon(host("graphite", 2003)));
        let (path, separator) = ("/a".into(), "\n".to_owned());
        let expected = Pusher::File { path, separator, every: Some(Duration::from_secs(60)) };
        assert_eq!(there("file:path=/a,separator=\\n,freq=60"), expected);
        let (path, separator) = ("uwsgi.stats".into(), "\n\n".to_owned());
        assert_eq!(there("file"), Pusher::File { path, separator, every: None });
    }

    #[test]
    fn what_is_not_there_says_what_is() {
        let Ok(Named::Missing(said)) = parse("mongodb:addr=127.0.0.1:27017") else { panic!() };
        assert!(said.contains("statsd or carbon"), "{said}");
        for text in
            ["x:y", "statsd:/run/s", "statsd:8125", "socket:", "carbon::2003", "file:pth=x", "file:freq=x"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

//! Where the stats server listens, and what it shows.

use super::{Address, Draft, ValueError, address};

/// A socket of the stats server. It is bound once, when the server starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsSocket {
    pub address: Address,
    /// A reader asks by HTTP for one of several documents; otherwise it gets the document of uWSGI without asking.
    pub http: bool,
    /// It answers for the metrics alone.
    pub metrics: bool,
    /// It gets the Python stacks of this worker instead (`py-tracebacker`).
    pub worker: Option<u32>,
    /// The option by which it was written, and the address as it was written.
    pub option: &'static str,
    pub text: String,
}

impl StatsSocket {
    /// `py-tracebacker`: the socket of one worker, whose number stands behind the path.
    pub fn of_worker(text: &str, worker: u32) -> Result<StatsSocket, ValueError> {
        let address = address::parse(&format!("{text}{worker}"))?;
        Ok(StatsSocket {
            address,
            http: false,
            metrics: false,
            worker: Some(worker),
            option: "py-tracebacker",
            text: text.to_owned(),
        })
    }
}

/// What the stats server shows, and to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub minified: bool,
    pub no_cores: bool,
    pub no_metrics: bool,
    /// The metrics show each worker, too.
    pub metrics_per_worker: bool,
    /// Bytes of memory that a worker has for itself or shares are looked up, too.
    pub memory_report: bool,
    /// Names in a Host header that are answered, beside addresses and the names that are bound.
    pub hosts: Vec<String>,
}

impl Draft {
    /// `ADDRESS`, or `0` for a port of the kernel's choice at the loopback address.
    pub fn stats_socket(&mut self, option: &'static str, text: &str, http: bool) -> Result<(), ValueError> {
        let address = match text {
            "0" => Address::Tcp { host: LOOPBACK.to_owned(), port: 0 },
            _ => address::parse(text)?,
        };
        if text != "0" && text.bytes().all(|b| b.is_ascii_digit()) {
            self.note(format!(
                "\"{text}\" is taken for the path of a unix socket; a port is written 127.0.0.1:{text}"
            ));
        }
        self.settings.instance.stats.push(StatsSocket {
            address,
            http,
            metrics: false,
            worker: None,
            option,
            text: text.to_owned(),
        });
        Ok(())
    }

    /// One that gives the metrics, over HTTP always.
    pub fn metrics_socket(&mut self, option: &'static str, text: &str) -> Result<(), ValueError> {
        self.stats_socket(option, text, true)?;
        self.settings.instance.stats.last_mut().into_iter().for_each(|socket| socket.metrics = true);
        Ok(())
    }

    /// Every option has been read. What browsers can reach is bound to the loopback address unless an address is named.
    pub(super) fn settle_stats(&mut self) {
        let instance = &mut self.settings.instance;
        for socket in &mut instance.stats {
            socket.http |= instance.stats_http;
            if let Address::Tcp { host, .. } = &mut socket.address
                && host.is_empty()
                && socket.http
            {
                host.push_str(LOOPBACK);
            }
        }
    }
}

const LOOPBACK: &str = "127.0.0.1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Format, load_text};

    fn sockets(text: &str) -> Vec<(Address, bool)> {
        let loaded = load_text(Format::Ini, &format!("[uwsgi]\n{text}"), &[]).unwrap();
        loaded.settings.instance.stats.into_iter().map(|socket| (socket.address, socket.http)).collect()
    }

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.to_owned(), port }
    }

    #[test]
    fn every_form_of_an_address() {
        let text = "stats = 0\nstats-server = :9191\nstats = @name\nstats = 127.0.0.1:0\nstats = 9191";
        let expected = [
            (tcp("127.0.0.1", 0), false),
            (tcp("", 9191), false),
            (Address::Abstract(b"name".to_vec()), false),
            (tcp("127.0.0.1", 0), false),
            (Address::Unix("9191".into()), false),
        ];
        assert_eq!(sockets(text), expected);
    }

    #[test]
    fn what_browsers_reach_is_on_the_loopback_address_unless_told_otherwise() {
        let text = "stats = :9191\nstats = 0.0.0.0:9192\nstats = [::]:9193\nstats-http = true";
        let expected =
            [(tcp("127.0.0.1", 9191), true), (tcp("0.0.0.0", 9192), true), (tcp("::", 9193), true)];
        assert_eq!(sockets(text), expected);
    }

    #[test]
    fn a_socket_that_was_handed_over_for_it_serves_no_requests() {
        let environment = [("LISTEN_PID", std::process::id().to_string()), ("LISTEN_FDS", "2".to_owned())];
        let environment = environment.map(|(name, value)| (name.to_owned(), value));
        let loaded = load_text(Format::Ini, "[uwsgi]\nstats = fd://4", &environment).unwrap();
        let addresses: Vec<_> = loaded.settings.listeners.iter().map(|listener| &listener.address).collect();
        assert_eq!(addresses, [&Address::Inherited(3)]);
    }
}

//! How HTTP sockets treat their clients.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::ValueError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// How long the head of a request may take.
    pub head_timeout: Duration,
    /// How long a connection may stay without a request; `None`: each request closes its connection.
    pub idle_timeout: Option<Duration>,
    /// The longest wait for a byte of a body, or for room to send one.
    pub timeout: Duration,
    /// Bytes a second of a body or of an answer, on average, beyond the first `timeout`; 0: any number.
    pub min_rate: u64,
    /// Requests of one connection; 0: any number.
    pub requests: u64,
    /// Connections of one worker, as far as the system allows.
    pub connections: usize,
    /// Bytes that what has come of requests takes in one worker.
    pub request_memory: usize,
    /// Bytes of the request line without its line end.
    pub request_line: usize,
    /// Header fields of one request.
    pub headers: usize,
    /// Bytes of a body that stay in memory before the application runs; more go to a file. 0: bodies are streamed.
    pub body_memory: usize,
    /// The application sees bodies while they arrive.
    pub stream_body: bool,
    /// Longer bodies are refused to clients that ask with `Expect: 100-continue`.
    pub expect_limit: Option<u64>,
    /// Header names with underscores reach the application.
    pub keep_underscores: bool,
    /// WebSocket requests reach the application.
    pub ignore_upgrade: bool,
    /// The paths that the server answers by itself.
    pub livez: Option<String>,
    pub readyz: Option<String>,
    /// Peers that are believed when they say for whom they ask.
    pub trusted: Vec<Network>,
    /// They are believed about the Host, too.
    pub trusts_host: bool,
    /// Trusted peers begin a connection with a PROXY header.
    pub proxy_protocol: bool,
    /// Server header of answers without one.
    pub server: Option<String>,
}

impl Default for Http {
    fn default() -> Http {
        Http {
            head_timeout: Duration::from_secs(15),
            // Longer than the 60 s of common balancers, so that they close first.
            idle_timeout: Some(Duration::from_secs(75)),
            timeout: Duration::from_secs(60),
            min_rate: 256,
            requests: 10_000,
            connections: 16 * 1024,
            request_memory: 64 << 20,
            request_line: 8190,
            headers: 100,
            body_memory: 64 * 1024,
            stream_body: false,
            expect_limit: None,
            keep_underscores: false,
            ignore_upgrade: false,
            livez: None,
            readyz: None,
            trusted: vec![
                Network::new(Ipv4Addr::new(127, 0, 0, 0).into(), 8),
                Network::new(Ipv6Addr::LOCALHOST.into(), 128),
            ],
            trusts_host: false,
            proxy_protocol: false,
            server: None,
        }
    }
}

impl Http {
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }
}

/// Addresses with a common beginning: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    const fn new(address: IpAddr, bits: u8) -> Network {
        Network { address, bits }
    }

    /// An address, or an address with the number of bits that count.
    pub fn parse(text: &str) -> Result<Network, ValueError> {
        let wrong = || {
            let message = format!("\"{text}\" is no address and no network");
            ValueError::new(message, "write 192.0.2.7, 10.0.0.0/8, 2001:db8::/32 or *")
        };
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, bits)| (a, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| wrong()))?;
        if bits > most { Err(wrong()) } else { Ok(Network { address, bits }) }
    }

    /// Every network of a list with commas or blanks between; `*` is every address.
    pub fn parse_list(text: &str) -> Result<Vec<Network>, ValueError> {
        let mut networks = Vec::new();
        for item in text.split([',', ' ']).filter(|item| !item.is_empty()) {
            if item == "*" {
                networks.push(Network::new(Ipv4Addr::UNSPECIFIED.into(), 0));
                networks.push(Network::new(Ipv6Addr::UNSPECIFIED.into(), 0));
            } else {
                networks.push(Network::parse(item)?);
            }
        }
        Ok(networks)
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                (network.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                (network.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        let networks = Network::parse_list(network).unwrap();
        networks.iter().any(|network| network.contains(address.parse().unwrap()))
    }

    #[test]
    fn a_network_is_its_first_bits() {
        assert!(holds("10.0.0.0/8", "10.255.0.1"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.6"));
        assert!(holds("192.0.2.6/31", "192.0.2.7"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(holds("2001:db8::/32", "2001:db8:ffff::1") && !holds("2001:db8::/32", "2001:db9::"));
        assert!(holds("*", "::1") && holds("*", "8.8.8.8"));
        assert!(!holds("", "127.0.0.1"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for wrong in
            ["10.0.0.0/33", "::/129", "localhost", "10.0.0", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8"]
        {
            assert!(Network::parse(wrong).is_err(), "{wrong}");
        }
    }
}

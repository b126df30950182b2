//! TCP handshakes under way. The kernel is asked for those of one port: /proc/net/tcp is all connections of the machine as
//! text, and to read tens of thousands of them takes seconds on a loaded machine.

use super::sock_diag::{self, HEAD_LEN, SOCK_DIAG_BY_FAMILY};
use std::io::{Error, Result};

/// net/tcp_states.h: the kernel counts connections in TCP_NEW_SYN_RECV among these.
const TCP_SYN_RECV: u32 = 3;

/// struct nlmsghdr and struct inet_diag_req_v2.
const REQUEST_LEN: usize = HEAD_LEN + 56;

/// Are handshakes under way at a TCP port of this machine? Their clients may believe that they are connected already;
/// with TCP_DEFER_ACCEPT a handshake lasts until the first byte (tcp(7)).
///
/// # Errors
/// The kernel does not tell.
pub fn are_under_way(port: u16) -> Result<bool> {
    Ok(has_any(libc::AF_INET, port)? || has_any(libc::AF_INET6, port)?)
}

fn has_any(family: i32, port: u16) -> Result<bool> {
    // The head of the first message says enough; the kernel cuts off what has no room.
    let mut answer = [0; HEAD_LEN + 4];
    let got = sock_diag::ask(&request(family, port), &mut answer)?;
    is_one(&answer[..got])
}

fn request(family: i32, port: u16) -> [u8; REQUEST_LEN] {
    let mut bytes: [u8; REQUEST_LEN] = sock_diag::request(libc::NLM_F_DUMP);
    bytes[HEAD_LEN] = family as u8;
    bytes[HEAD_LEN + 1] = libc::IPPROTO_TCP as u8;
    bytes[HEAD_LEN + 4..HEAD_LEN + 8].copy_from_slice(&(1u32 << TCP_SYN_RECV).to_ne_bytes());
    // The port of the server's side; the other fields match any connection.
    bytes[HEAD_LEN + 8..HEAD_LEN + 10].copy_from_slice(&port.to_be_bytes());
    bytes
}

/// Is the first message of an answer a connection? Else it is the end of the list, with an error or without.
fn is_one(answer: &[u8]) -> Result<bool> {
    match sock_diag::kind_of(answer)? {
        (SOCK_DIAG_BY_FAMILY, _) => Ok(true),
        (_, 0) => Ok(false),
        (_, code) => Err(Error::from_raw_os_error(code.saturating_neg())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::socket;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::time::Duration;

    /// With TCP_DEFER_ACCEPT a client that says nothing is one whose handshake is under way.
    fn ends_with_the_first_byte(address: &str) {
        let listener = TcpListener::bind(address).unwrap();
        socket::defer_accept(listener.as_fd(), Duration::from_secs(30)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!are_under_way(port).unwrap());
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(are_under_way(port).unwrap());
        assert!(!are_under_way(port ^ 1).unwrap());
        client.write_all(b"x").unwrap();
        listener.accept().unwrap();
        assert!(!are_under_way(port).unwrap());
    }

    #[test]
    fn a_handshake_is_seen_at_its_port_until_it_ends() {
        ends_with_the_first_byte("127.0.0.1:0");
        if TcpListener::bind("[::1]:0").is_ok() {
            ends_with_the_first_byte("[::1]:0");
        }
    }

    #[test]
    fn an_answer_without_connections_says_why() {
        let answer = |kind: u16, code: i32| {
            let mut bytes = [0; HEAD_LEN + 4];
            bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
            bytes[HEAD_LEN..].copy_from_slice(&code.to_ne_bytes());
            is_one(&bytes)
        };
        assert!(answer(SOCK_DIAG_BY_FAMILY, 7).unwrap());
        assert!(!answer(libc::NLMSG_DONE as u16, 0).unwrap());
        let refused = answer(libc::NLMSG_ERROR as u16, -libc::ENOENT).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENOENT));
    }
}

//! How many connections wait to be accepted.

use super::owned_files;
use super::sock_diag::{self, HEAD_LEN, SOCK_DIAG_BY_FAMILY};
use super::socket::{self, Backlog};
use std::os::fd::BorrowedFd;

/// `None`: the kernel does not tell. Nothing is waited for, and no privilege is needed.
pub fn of(listener: BorrowedFd<'_>) -> Option<Backlog> {
    socket::backlog(listener).or_else(|| of_unix(listener))
}

/// linux/unix_diag.h: struct unix_diag_req, struct unix_diag_msg, what is asked for, and the attribute with the answer.
const REQUEST_LEN: usize = HEAD_LEN + 24;
const MESSAGE_LEN: usize = HEAD_LEN + 16;
const UDIAG_SHOW_RQLEN: u32 = 0x10;
const UNIX_DIAG_RQLEN: u16 = 4;

/// Of a listening socket udiag_rqueue is the length of its queue, udiag_wqueue the longest that it may have.
fn of_unix(listener: BorrowedFd<'_>) -> Option<Backlog> {
    let inode = owned_files::stat(listener).ok()?.st_ino;
    let mut bytes: [u8; REQUEST_LEN] = sock_diag::request(0);
    bytes[HEAD_LEN] = libc::AF_UNIX as u8;
    // All states; one socket, by its inode; whatever its cookie is.
    bytes[HEAD_LEN + 4..HEAD_LEN + 8].copy_from_slice(&u32::MAX.to_ne_bytes());
    bytes[HEAD_LEN + 8..HEAD_LEN + 12].copy_from_slice(&u32::try_from(inode).ok()?.to_ne_bytes());
    bytes[HEAD_LEN + 12..HEAD_LEN + 16].copy_from_slice(&UDIAG_SHOW_RQLEN.to_ne_bytes());
    bytes[HEAD_LEN + 16..].fill(0xff);
    let mut answer = [0; 256];
    let got = sock_diag::ask(&bytes, &mut answer).ok()?;
    let answer = &answer[..got];
    let (kind, _) = sock_diag::kind_of(answer).ok()?;
    (kind == SOCK_DIAG_BY_FAMILY).then(|| queue_of(answer.get(MESSAGE_LEN..)?)).flatten()
}

/// The queue among attributes (struct nlattr: length, kind, value), each of which begins at a multiple of 4.
fn queue_of(mut attributes: &[u8]) -> Option<Backlog> {
    loop {
        let (head, _) = attributes.split_first_chunk::<4>()?;
        let (length, kind) =
            (u16::from_ne_bytes([head[0], head[1]]) as usize, u16::from_ne_bytes([head[2], head[3]]));
        if kind == UNIX_DIAG_RQLEN {
            let words: &[u8; 8] = attributes.get(4..12)?.try_into().ok()?;
            let [a, b, c, d, e, f, g, h] = *words;
            return Some(Backlog {
                waiting: u32::from_ne_bytes([a, b, c, d]),
                most: u32::from_ne_bytes([e, f, g, h]),
            });
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixStream};

    #[test]
    fn those_who_wait_at_a_tcp_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(of(listener.as_fd()).unwrap().waiting, 0);
        let _client = TcpStream::connect(address).unwrap();
        assert_eq!(of(listener.as_fd()).unwrap().waiting, 1);
    }

    #[test]
    fn those_who_wait_at_a_unix_socket() {
        let text = format!("rwsgi-backlog-{}", std::process::id());
        let listener = socket::listen_abstract(text.as_bytes(), 7).unwrap();
        let name = SocketAddr::from_abstract_name(text).unwrap();
        assert_eq!(of(listener.as_fd()), Some(Backlog { waiting: 0, most: 7 }));
        let clients = [(); 3].map(|()| UnixStream::connect_addr(&name).unwrap());
        assert_eq!(of(listener.as_fd()), Some(Backlog { waiting: 3, most: 7 }));
        socket::accept(listener.as_fd()).unwrap();
        assert_eq!(of(listener.as_fd()), Some(Backlog { waiting: 2, most: 7 }));
        drop(clients);
    }

    #[test]
    fn attributes_that_are_cut_off_say_nothing() {
        assert_eq!(queue_of(&[]), None);
        assert_eq!(queue_of(&[0; 64]), None);
        assert_eq!(queue_of(&[12, 0, 4, 0, 1, 0, 0, 0]), None);
        let whole = [5, 0, 1, 0, 9, 0, 0, 0, 12, 0, 4, 0, 1, 0, 0, 0, 2, 0, 0, 0];
        assert_eq!(queue_of(&whole), Some(Backlog { waiting: 1, most: 2 }));
    }
}

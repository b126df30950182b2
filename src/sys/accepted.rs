//! The accepted connections of this process as the kernel knows them: their own address is that of a listener. For the
//! child of a fork: system calls and nothing else.

use super::{check, check_len, listeners, socket_name};
use std::io::Result;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Offsets of length and name in a directory entry (getdents64(2)).
const ENTRY_LENGTH: usize = 16;
const ENTRY_NAME: usize = 19;

/// Puts the placeholder in the place of each.
pub(super) fn close_all() {
    let _ = each_descriptor(|number| {
        // SAFETY: in a child that was just forked no other thread opens or closes anything; borrowed for this call alone.
        let file = unsafe { BorrowedFd::borrow_raw(number) };
        if socket_name::names_of(file).is_some_and(listeners::has_name)
            && socket_name::is_connected_stream(file)
        {
            listeners::replace(number);
        }
    });
}

/// Visits the numbers of all that is open.
fn each_descriptor(mut visit: impl FnMut(RawFd)) -> Result<()> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: a NUL-terminated name; the descriptor that comes back is ours alone.
    let directory = unsafe { OwnedFd::from_raw_fd(check(libc::open(c"/proc/self/fd".as_ptr(), flags))?) };
    let mut buffer = [0u8; 4096];
    loop {
        // SAFETY: buffer and length belong together.
        let got = check_len(unsafe {
            libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), buffer.as_mut_ptr(), buffer.len())
        } as libc::ssize_t)?;
        if got == 0 {
            return Ok(());
        }
        numbers(&buffer[..got]).filter(|&number| number != directory.as_raw_fd()).for_each(&mut visit);
    }
}

/// The names of these directory entries that are numbers.
fn numbers(mut entries: &[u8]) -> impl Iterator<Item = RawFd> {
    std::iter::from_fn(move || {
        let length = entries.get(ENTRY_LENGTH..ENTRY_LENGTH + 2)?;
        let length = usize::from(u16::from_ne_bytes([length[0], length[1]]));
        let name = entries.get(ENTRY_NAME..length)?.split(|&byte| byte == 0).next()?;
        entries = &entries[length..];
        Some(str::from_utf8(name).ok().and_then(|name| name.parse().ok()))
    })
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn every_open_file_is_visited() {
        let files: Vec<TcpListener> = (0..300).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let mut found = Vec::new();
        each_descriptor(|number| found.push(number)).unwrap();
        assert!(files.iter().all(|file| found.contains(&file.as_raw_fd())));
    }

    /// Whose connections are those of `listener`?
    fn has_accepted(listener: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
        let name = socket_name::names_of(listener).unwrap()[0];
        socket_name::names_of(other).is_some_and(|names| names.contains(&name))
            && socket_name::is_connected_stream(other)
    }

    #[test]
    fn a_connection_has_a_name_of_its_listener() {
        for host in ["127.0.0.1", "0.0.0.0", "::1", "::"] {
            let listener = TcpListener::bind((host, 0)).unwrap();
            let other_host = if host == "127.0.0.1" { "127.0.0.2" } else { "127.0.0.1" };
            let port = listener.local_addr().unwrap().port();
            let to = if host == "::1" { "::1" } else { "127.0.0.1" };
            let client = TcpStream::connect((to, port)).unwrap();
            let accepted = listener.accept().unwrap().0;
            assert!(has_accepted(listener.as_fd(), accepted.as_fd()), "{host}");
            assert!(!has_accepted(listener.as_fd(), client.as_fd()));
            assert!(!has_accepted(listener.as_fd(), listener.as_fd()));
            // The port alone does not make it one.
            if let Ok(neighbour) = TcpListener::bind((other_host, port)) {
                let _client = TcpStream::connect((other_host, port)).unwrap();
                let accepted = neighbour.accept().unwrap().0;
                assert!(!has_accepted(listener.as_fd(), accepted.as_fd()), "{host}");
            }
        }
    }

    #[test]
    fn over_unix_sockets_too() {
        let path = std::env::temp_dir().join(format!("rwsgi-accepted-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).unwrap();
        let accepted = listener.accept().unwrap().0;
        std::fs::remove_file(&path).unwrap();
        assert!(has_accepted(listener.as_fd(), accepted.as_fd()));
        assert!(!has_accepted(listener.as_fd(), client.as_fd()));
    }
}

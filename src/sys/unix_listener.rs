//! Unix sockets that are files: bound, given their mode and owner, and only then put under their name.
//!
//! A socket has no descriptor through which chmod and chown reach its file (fchmod(2) changes the socket itself). So it
//! is bound in a new directory that only this user may enter, where no other user can put another file in its place,
//! and is renamed when it is ready. Clients connect by path: for them it appears in one step, listening and with its
//! final mode.

use super::owned_files::{Identity, Owner, Place, identity, is_socket, stat};
use super::{check, retry, socket};
use std::cell::Cell;
use std::ffi::{CString, OsStr};
use std::io::{Error, ErrorKind, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

/// sun_path with its NUL (unix(7)).
const MAX_PATH: usize = 107;
/// Private names that may be taken before this one gives up.
const MAX_TRIES: u32 = 16;

/// A bound socket that no client can reach yet.
#[derive(Debug)]
pub struct NewSocket<'a> {
    directory: BorrowedFd<'a>,
    name: CString,
}

/// Binds a path, lets `prepare` set what it is to be, and listens. The file of a server that is gone is replaced; a
/// live server's is refused with `AddrInUse`, a file that is no socket with `AlreadyExists`.
pub fn listen(
    path: &Path,
    backlog: u32,
    prepare: impl FnOnce(&NewSocket<'_>) -> Result<()>,
) -> Result<(OwnedFd, Identity)> {
    if path.as_os_str().len() > MAX_PATH {
        return Err(Error::new(ErrorKind::InvalidInput, "the path is longer than 107 bytes"));
    }
    let place = Place::find_name(path)?;
    make_way(&place)?;
    let private = Private::new(&place)?;
    let made = private.listen(backlog, prepare).and_then(|made| private.publish().map(|()| made));
    private.remove();
    made
}

/// Is the name free, or that of a socket without a listener?
fn make_way(place: &Place) -> Result<()> {
    let found = match open_anything(place.directory.as_fd(), &place.name) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !is_socket(&stat(found.as_fd())?) {
        return Err(ErrorKind::AlreadyExists.into());
    }
    match probe(&path_below(place.directory.as_fd(), &place.name)) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(error),
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => Ok(()),
        _ => Err(ErrorKind::AddrInUse.into()),
    }
}

fn open_anything(directory: BorrowedFd<'_>, name: &CString) -> Result<OwnedFd> {
    let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: a NUL-terminated name; the descriptor that comes back is ours alone.
    retry(|| unsafe {
        check(libc::openat(directory.as_raw_fd(), name.as_ptr(), flags)).map(|fd| OwnedFd::from_raw_fd(fd))
    })
}

/// A path that leads there whatever is renamed meanwhile, and short enough for a socket's address.
fn path_below(directory: BorrowedFd<'_>, name: &CString) -> Vec<u8> {
    [format!("/proc/self/fd/{}/", directory.as_raw_fd()).as_bytes(), name.as_bytes()].concat()
}

/// Connects without waiting: a server whose backlog is full (unix(7): EAGAIN) is there, too.
fn probe(path: &[u8]) -> Result<()> {
    let mut address = MaybeUninit::<libc::sockaddr_un>::zeroed();
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: a zeroed address is valid; the path is copied in when it fits with its NUL; the new descriptor is ours
    // alone.
    unsafe {
        let place = &mut *address.as_mut_ptr();
        place.sun_family = libc::AF_UNIX as libc::sa_family_t;
        if path.len() >= place.sun_path.len() {
            return Err(ErrorKind::InvalidInput.into());
        }
        for (to, &from) in place.sun_path.iter_mut().zip(path) {
            *to = from as libc::c_char;
        }
        let fd = OwnedFd::from_raw_fd(check(libc::socket(libc::AF_UNIX, kind, 0))?);
        let len = size_of::<libc::sockaddr_un>() as libc::socklen_t;
        check(libc::connect(fd.as_raw_fd(), address.as_ptr().cast(), len)).map(drop)
    }
}

/// The directory that only this user may enter, beside the place where the socket is to be.
struct Private<'a> {
    place: &'a Place,
    name: CString,
    directory: OwnedFd,
    /// What the socket is called in it: as it will be, so that tools which list sockets show a name that says
    /// something.
    socket: CString,
    /// What stands under the name in it is this socket.
    is_bound: Cell<bool>,
}

impl Private<'_> {
    fn new(place: &Place) -> Result<Private<'_>> {
        let name = make_directory(place.directory.as_fd())?;
        let directory = match open_directory(place.directory.as_fd(), &name) {
            Ok(directory) => directory,
            Err(error) => {
                remove_directory(place.directory.as_fd(), &name);
                return Err(error);
            }
        };
        let is_short = path_below(directory.as_fd(), &place.name).len() <= MAX_PATH;
        let socket = if is_short { place.name.clone() } else { c"s".to_owned() };
        Ok(Private { place, name, directory, socket, is_bound: Cell::new(false) })
    }

    fn listen(
        &self,
        backlog: u32,
        prepare: impl FnOnce(&NewSocket<'_>) -> Result<()>,
    ) -> Result<(OwnedFd, Identity)> {
        let path = path_below(self.directory.as_fd(), &self.socket);
        let listener = OwnedFd::from(UnixListener::bind(OsStr::from_bytes(&path))?);
        self.is_bound.set(true);
        prepare(&NewSocket { directory: self.directory.as_fd(), name: self.socket.clone() })?;
        socket::set_backlog(listener.as_fd(), backlog)?;
        socket::set_nonblocking(listener.as_fd())?;
        let file = open_anything(self.directory.as_fd(), &self.socket)?;
        Ok((listener, identity(file.as_fd())?))
    }

    fn publish(&self) -> Result<()> {
        let (from, to) = (self.directory.as_raw_fd(), self.place.directory.as_raw_fd());
        // SAFETY: NUL-terminated names.
        check(unsafe { libc::renameat(from, self.socket.as_ptr(), to, self.place.name.as_ptr()) })?;
        self.is_bound.set(false);
        Ok(())
    }

    fn remove(&self) {
        // Whoever may write beside it can have put another private directory of this user's in its place before it was
        // opened: what was there stays.
        if self.is_bound.get() {
            // SAFETY: a NUL-terminated name.
            unsafe { libc::unlinkat(self.directory.as_raw_fd(), self.socket.as_ptr(), 0) };
        }
        remove_directory(self.place.directory.as_fd(), &self.name);
    }
}

fn make_directory(parent: BorrowedFd<'_>) -> Result<CString> {
    for number in 0..MAX_TRIES {
        let name = CString::new(format!(".rwsgi-{}-{number}", std::process::id()))?;
        // SAFETY: a NUL-terminated name.
        match check(unsafe { libc::mkdirat(parent.as_raw_fd(), name.as_ptr(), 0o700) }) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map(|_| name),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// The directory that was made, not another in its place: that one would not be this user's alone.
fn open_directory(parent: BorrowedFd<'_>, name: &CString) -> Result<OwnedFd> {
    let directory = open_anything(parent, name)?;
    let facts = stat(directory.as_fd())?;
    // SAFETY: no pointers, cannot fail.
    let is_mine = facts.st_uid == unsafe { libc::geteuid() };
    let is_private = facts.st_mode & (libc::S_IFMT | 0o077) == libc::S_IFDIR;
    if is_mine && is_private { Ok(directory) } else { Err(ErrorKind::PermissionDenied.into()) }
}

fn remove_directory(parent: BorrowedFd<'_>, name: &CString) {
    // SAFETY: a NUL-terminated name.
    unsafe { libc::unlinkat(parent.as_raw_fd(), name.as_ptr(), libc::AT_REMOVEDIR) };
}

impl NewSocket<'_> {
    pub fn set_mode(&self, mode: u32) -> Result<()> {
        // SAFETY: a NUL-terminated name, in a directory where no other user can create files.
        check(unsafe {
            libc::fchmodat(self.directory.as_raw_fd(), self.name.as_ptr(), mode as libc::mode_t, 0)
        })
        .map(drop)
    }

    pub fn set_owner(&self, owner: Owner) -> Result<()> {
        // The highest number leaves what is there (chown(2)).
        let (uid, gid) = (owner.uid.unwrap_or(u32::MAX), owner.gid.unwrap_or(u32::MAX));
        let flags = libc::AT_SYMLINK_NOFOLLOW;
        // SAFETY: as above.
        check(unsafe { libc::fchownat(self.directory.as_raw_fd(), self.name.as_ptr(), uid, gid, flags) })
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    use std::os::unix::net::UnixStream;
    use std::path::PathBuf;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("rwsgi-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn what_gets_into_its_place_meanwhile_is_left_alone() {
        let directory = directory("unix-race");
        let (path, other) = (directory.join("s"), directory.join("other"));
        fs::write(&other, "").unwrap();
        fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).unwrap();
        let (_listener, identity) = listen(&path, 4, |socket| {
            assert!(!path.exists());
            symlink(&other, &path)?;
            socket.set_mode(0o666)
        })
        .unwrap();
        assert_eq!(other.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let found = path.symlink_metadata().unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!(found.permissions().mode() & 0o777, 0o666);
        UnixStream::connect(&path).unwrap();
        crate::sys::owned_files::remove_if(&path, identity).unwrap();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn nothing_is_left_of_a_socket_that_cannot_be_readied() {
        let directory = directory("unix-failed");
        let failed = listen(&directory.join("s"), 4, |_| Err(Error::other("no")));
        assert_eq!(failed.unwrap_err().to_string(), "no");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn what_stands_in_another_directory_stays() {
        let top = directory("unix-swapped");
        let others = top.join("others");
        fs::create_dir_all(&others).unwrap();
        fs::write(others.join("s"), "").unwrap();
        let place = Place::find_name(&top.join("s")).unwrap();
        let directory = open_anything(place.directory.as_fd(), &c"others".to_owned()).unwrap();
        let private = Private { directory, ..Private::new(&place).unwrap() };
        assert_eq!(private.listen(4, |_| Ok(())).unwrap_err().kind(), ErrorKind::AddrInUse);
        private.remove();
        assert!(others.join("s").exists());
        assert!(!top.join("s").exists());
        fs::remove_dir_all(&top).unwrap();
    }

    #[test]
    fn what_stands_there_decides() {
        let directory = directory("unix-there");
        let path = directory.join("s");
        let kind = || listen(&path, 4, |_| Ok(())).map(drop).map_err(|error| error.kind());
        fs::write(&path, "").unwrap();
        assert_eq!(kind(), Err(ErrorKind::AlreadyExists));
        fs::remove_file(&path).unwrap();
        let living = UnixListener::bind(&path).unwrap();
        assert_eq!(kind(), Err(ErrorKind::AddrInUse));
        drop(living);
        assert_eq!(kind(), Ok(()));
        fs::remove_dir_all(&directory).unwrap();
    }
}

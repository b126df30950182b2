//! Files that the server makes and changes by their paths: logs, pid files, unix sockets. A user that may write to one
//! of the directories can put another file or link under the name, before the server looks and while it does; root
//! would then open, truncate or give away a file of root's that this user chose.
//!
//! As root every path is therefore walked directory by directory. A symlink on the way counts only where root has put
//! it and no other user can replace it: in a directory of root's that is not writable for all. A file is checked and
//! changed only through its descriptor. A server that does not run as root has no rights that another user could
//! misuse: for it the kernel follows links as usual.

use super::{check, check_len, files, retry, user};
use std::collections::VecDeque;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};

/// As many symlinks as the kernel follows in one path (path_resolution(7)).
const MAX_LINKS: u32 = 40;
/// How often another process may make and remove the file between two looks.
const MAX_TRIES: u32 = 16;
/// Read at most of a small file; longer than any pid.
const MAX_READ: u64 = 64;

/// Opening does not wait (O_NONBLOCK), and makes no controlling terminal (O_NOCTTY).
const QUIET: i32 = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
const DIRECTORY: i32 = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
const ANYTHING: i32 = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;

/// User and group; `None`: unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

/// Identifies one file for as long as it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

/// A name in a directory that was reached without following a link of another user.
#[derive(Debug)]
pub struct Place {
    pub(super) directory: OwnedFd,
    pub(super) name: CString,
    /// Users other than root may create files there, and the server is root.
    is_exposed: bool,
    /// It is followed if it is a symlink.
    is_followed: bool,
}

fn c_string(text: &OsStr) -> Result<CString> {
    CString::new(text.as_bytes()).map_err(Error::from)
}

fn open_at(directory: BorrowedFd<'_>, name: &CStr, flags: i32, mode: u32) -> Result<OwnedFd> {
    // SAFETY: a NUL-terminated name; the descriptor that comes back is ours alone.
    retry(|| unsafe {
        check(libc::openat(directory.as_raw_fd(), name.as_ptr(), flags, mode))
            .map(|fd| OwnedFd::from_raw_fd(fd))
    })
}

fn open_directory(path: &Path) -> Result<OwnedFd> {
    // SAFETY: AT_FDCWD is always valid, and is never closed.
    let here = unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) };
    open_at(here, &c_string(path.as_os_str())?, DIRECTORY, 0)
}

pub(super) fn stat(file: BorrowedFd<'_>) -> Result<libc::stat> {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `stat` is a place for one stat; it is read only when the call succeeded.
    unsafe {
        check(libc::fstat(file.as_raw_fd(), stat.as_mut_ptr()))?;
        Ok(stat.assume_init())
    }
}

fn kind(stat: &libc::stat) -> u32 {
    stat.st_mode & libc::S_IFMT
}

/// May users other than root create and replace files in this directory?
fn is_exposed(directory: &libc::stat) -> bool {
    let groups_write = directory.st_mode & 0o020 != 0 && directory.st_gid != 0;
    directory.st_uid != 0 || groups_write || directory.st_mode & 0o002 != 0
}

/// Has root put this symlink there, and can only root, or a group that root has chosen, replace it?
fn is_roots(link: &libc::stat, directory: &libc::stat) -> bool {
    link.st_uid == 0 && directory.st_uid == 0 && directory.st_mode & 0o002 == 0
}

fn is_in_proc(file: BorrowedFd<'_>) -> bool {
    let mut found = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: `found` is a place for one statfs; it is read only when the call succeeded.
    unsafe {
        libc::fstatfs(file.as_raw_fd(), found.as_mut_ptr()) == 0
            && found.assume_init().f_type as u64 == libc::PROC_SUPER_MAGIC as u64
    }
}

fn read_link(link: BorrowedFd<'_>) -> Result<OsString> {
    let mut text = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: an empty name stands for the link itself (readlinkat(2)); buffer and length belong together.
    let length = check_len(unsafe {
        libc::readlinkat(link.as_raw_fd(), c"".as_ptr(), text.as_mut_ptr().cast(), text.len())
    })?;
    text.truncate(length);
    Ok(OsString::from_vec(text))
}

fn refused(directory: BorrowedFd<'_>, name: &CStr, why: &str) -> Error {
    let name = Path::new(OsStr::from_bytes(name.to_bytes()));
    let path = files::real_path(directory).map_or_else(|_| name.to_owned(), |directory| directory.join(name));
    Error::other(format!("{} {why}", path.display()))
}

const FOREIGN_LINK: &str = "is a symlink that others than root can change, and root does not write to where others say; name \
                            the place that it leads to, or make it root's in a directory of root's";
const FOREIGN_LINKS: &str = "has another name elsewhere (a hard link), and others than root may have made it; remove it, or \
                             choose a directory that only root may write to";
const NO_PROC: &str = "others than root may write to its directory, and without /proc nobody can tell whether it is what it \
                       seems; mount /proc, or choose a directory that only root may write to";
const FOREIGN_KIND: &str = "is no regular file, and others than root may have made it; remove it, or choose a directory that \
                            only root may write to";

/// What is left to walk: the last part of a path is at the end.
struct Walk {
    here: OwnedFd,
    left: VecDeque<CString>,
    links: u32,
    /// The last part is a name, whatever it leads to.
    ends_at_link: bool,
}

impl Walk {
    fn from_root(path: &Path, ends_at_link: bool) -> Result<Walk> {
        let here = open_directory(Path::new("/"))?;
        let mut walk = Walk { here, left: VecDeque::new(), links: 0, ends_at_link };
        walk.go_first(path)?;
        Ok(walk)
    }

    fn go_first(&mut self, path: &Path) -> Result<()> {
        for part in path.components().rev() {
            match part {
                Component::RootDir => self.here = open_directory(Path::new("/"))?,
                Component::Normal(name) => self.left.push_front(c_string(name)?),
                Component::ParentDir => self.left.push_front(c"..".to_owned()),
                Component::CurDir | Component::Prefix(_) => {}
            }
        }
        Ok(())
    }

    fn run(mut self) -> Result<Place> {
        while let Some(name) = self.left.pop_front() {
            if let Some(is_followed) = self.step(&name)? {
                let is_exposed = !is_followed && is_exposed(&stat(self.here.as_fd())?);
                return Ok(Place { directory: self.here, name, is_exposed, is_followed });
            }
        }
        Err(Error::from(ErrorKind::IsADirectory))
    }

    /// One part of the path. `Some`: it is the last one; `true` when it has to be followed by the kernel.
    fn step(&mut self, name: &CStr) -> Result<Option<bool>> {
        let is_last = self.left.is_empty();
        if is_last && self.ends_at_link {
            return Ok(Some(false));
        }
        let found = match open_at(self.here.as_fd(), name, ANYTHING, 0) {
            Err(error) if is_last && error.kind() == ErrorKind::NotFound => return Ok(Some(false)),
            found => found?,
        };
        let facts = stat(found.as_fd())?;
        if kind(&facts) != libc::S_IFLNK {
            self.here = if is_last { return Ok(Some(false)) } else { found };
        } else if is_in_proc(found.as_fd()) {
            // Links to open files (/proc/self/fd/1) lead to no path, and only the kernel makes links here.
            self.here =
                if is_last { return Ok(Some(true)) } else { open_at(self.here.as_fd(), name, DIRECTORY, 0)? };
        } else {
            self.follow(name, found.as_fd(), &facts)?;
        }
        Ok(None)
    }

    fn follow(&mut self, name: &CStr, link: BorrowedFd<'_>, facts: &libc::stat) -> Result<()> {
        if !is_roots(facts, &stat(self.here.as_fd())?) {
            return Err(refused(self.here.as_fd(), name, FOREIGN_LINK));
        }
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Error::from_raw_os_error(libc::ELOOP));
        }
        self.go_first(Path::new(&read_link(link)?))
    }
}

impl Place {
    /// The place of a file.
    ///
    /// # Errors
    /// A directory does not exist or may not be entered, or another user's symlink is on the way.
    pub fn find(path: &Path) -> Result<Place> {
        Place::walk_to(path, false)
    }

    /// The place of a name, which may be that of a symlink. Errors as in [`Place::find`].
    pub fn find_name(path: &Path) -> Result<Place> {
        Place::walk_to(path, true)
    }

    fn walk_to(path: &Path, ends_at_link: bool) -> Result<Place> {
        if user::is_root() {
            return Walk::from_root(&std::path::absolute(path)?, ends_at_link)?.run();
        }
        let name = path.file_name().ok_or_else(|| Error::from(ErrorKind::IsADirectory))?;
        let directory = path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory = open_directory(directory)?;
        Ok(Place { directory, name: c_string(name)?, is_exposed: false, is_followed: true })
    }

    /// Opens the file, or makes it; `true`: it was made.
    fn open(&self, flags: i32, mode: u32) -> Result<(File, bool)> {
        let flags = flags | QUIET | if self.is_followed { 0 } else { libc::O_NOFOLLOW };
        for _ in 0..MAX_TRIES {
            // O_CREAT of what is there already is more than some directories allow (protected_regular, proc_sys_fs(5)).
            let made = match open_at(self.directory.as_fd(), &self.name, flags, 0) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let new = flags | libc::O_CREAT | if self.is_followed { 0 } else { libc::O_EXCL };
                    open_at(self.directory.as_fd(), &self.name, new, mode).map(|file| (file, true))
                }
                found => found.map(|file| (file, false)),
            };
            match made {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(self.explain(error)),
                Ok((file, is_new)) if is_new || self.is_only_name(file.as_fd())? => {
                    return self.examine(file.into()).map(|file| (file, is_new));
                }
                Ok(_) => {}
            }
        }
        Err(refused(self.directory.as_fd(), &self.name, FOREIGN_LINKS))
    }

    fn explain(&self, error: Error) -> Error {
        match error.raw_os_error() {
            Some(libc::ENXIO) => {
                Error::other("it is a FIFO from which nobody reads, or a socket; start its reader first")
            }
            // The name was something else when the path was walked.
            Some(libc::ELOOP) if !self.is_followed => {
                refused(self.directory.as_fd(), &self.name, FOREIGN_LINK)
            }
            _ => error,
        }
    }

    /// Has the open file no other name than this one? The number of its names alone does not show it: the user who made
    /// this one can remove it once the file is open. For an open file the kernel knows the name under which it was
    /// opened, and whether that has been removed since, even if there is another such name by now. So the number is
    /// right if it was asked before.
    fn is_only_name(&self, file: BorrowedFd<'_>) -> Result<bool> {
        if !self.is_exposed {
            return Ok(true);
        }
        if stat(file)?.st_nlink > 1 {
            return Err(refused(self.directory.as_fd(), &self.name, FOREIGN_LINKS));
        }
        let path = |file| files::real_path(file).map_err(|_| Error::other(NO_PROC));
        Ok(path(file)? == path(self.directory.as_fd())?.join(OsStr::from_bytes(self.name.as_bytes())))
    }

    /// Is the open file one that is meant? It is blocking from now on.
    fn examine(&self, file: File) -> Result<File> {
        let facts = stat(file.as_fd())?;
        let is_regular = kind(&facts) == libc::S_IFREG;
        if self.is_exposed && !is_regular && facts.st_uid != 0 {
            return Err(refused(self.directory.as_fd(), &self.name, FOREIGN_KIND));
        }
        set_blocking(file.as_fd())?;
        Ok(file)
    }

    /// A file to append to. `truncate`: what is in it goes.
    pub fn open_log(&self, truncate: bool) -> Result<File> {
        let (file, _) = self.open(libc::O_WRONLY | libc::O_APPEND, 0o640)?;
        if truncate && is_regular(file.as_fd())? {
            file.set_len(0)?;
        }
        Ok(file)
    }

    /// A file to write to, with what is in it. A new one belongs to `owner`; one that was there keeps the owner that it
    /// has, since its purpose is unknown. `true`: it is new.
    pub fn open_for(&self, owner: Owner) -> Result<(File, bool)> {
        let (file, is_new) = self.open(libc::O_WRONLY, 0o644)?;
        if is_new {
            std::os::unix::fs::fchown(&file, owner.uid, owner.gid)?;
        }
        Ok((file, is_new))
    }

    /// The beginning of a small regular file; empty for anything else.
    pub fn read(&self) -> Result<String> {
        let flags = libc::O_RDONLY | QUIET | if self.is_followed { 0 } else { libc::O_NOFOLLOW };
        let file = open_at(self.directory.as_fd(), &self.name, flags, 0)?;
        let mut text = String::new();
        if is_regular(file.as_fd())? {
            File::from(file).take(MAX_READ).read_to_string(&mut text)?;
        }
        Ok(text)
    }

    pub(super) fn identity(&self) -> Result<Identity> {
        identity(open_at(self.directory.as_fd(), &self.name, ANYTHING, 0)?.as_fd())
    }

    /// Removes the name; what it may lead to stays.
    pub fn remove(&self) -> Result<()> {
        // SAFETY: a NUL-terminated name.
        check(unsafe { libc::unlinkat(self.directory.as_raw_fd(), self.name.as_ptr(), 0) }).map(drop)
    }
}

/// Removes the name if it is still that of this very file.
pub fn remove_if(path: &Path, identity: Identity) -> Result<()> {
    let place = Place::find_name(path)?;
    if place.identity()? == identity { place.remove() } else { Ok(()) }
}

pub(super) fn identity(file: BorrowedFd<'_>) -> Result<Identity> {
    stat(file).map(|facts| Identity { device: facts.st_dev, inode: facts.st_ino })
}

pub(super) fn is_socket(facts: &libc::stat) -> bool {
    kind(facts) == libc::S_IFSOCK
}

fn is_regular(file: BorrowedFd<'_>) -> Result<bool> {
    stat(file).map(|facts| kind(&facts) == libc::S_IFREG)
}

fn set_blocking(file: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: no pointers.
    unsafe {
        let flags = check(libc::fcntl(file.as_raw_fd(), libc::F_GETFL))?;
        check(libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags & !libc::O_NONBLOCK)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    #[test]
    fn only_the_file_that_is_meant_is_removed() {
        let directory = std::env::temp_dir().join(format!("rwsgi-owned-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("a");
        let mut log = Place::find(&path).unwrap().open_log(false).unwrap();
        log.write_all(b"one\n").unwrap();
        Place::find(&path).unwrap().open_log(false).unwrap().write_all(b"two\n").unwrap();
        assert_eq!(Place::find(&path).unwrap().read().unwrap(), "one\ntwo\n");
        Place::find(&path).unwrap().open_log(true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        let identity = Place::find_name(&path).unwrap().identity().unwrap();
        fs::rename(&path, directory.join("b")).unwrap();
        fs::write(&path, "another").unwrap();
        remove_if(&path, identity).unwrap();
        assert!(path.exists());
        remove_if(&directory.join("b"), identity).unwrap();
        assert!(!directory.join("b").exists());
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_name_that_was_removed_while_the_file_was_opened_is_seen() {
        let directory = std::env::temp_dir().join(format!("rwsgi-links-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (secret, path) = (directory.join("secret"), directory.join("log"));
        fs::write(&secret, "").unwrap();
        let place = Place { is_exposed: true, ..Place::find(&path).unwrap() };
        let open = || open_at(place.directory.as_fd(), &place.name, libc::O_WRONLY, 0).unwrap();
        fs::hard_link(&secret, &path).unwrap();
        let file = open();
        assert!(place.is_only_name(file.as_fd()).is_err());
        fs::remove_file(&path).unwrap();
        assert!(!place.is_only_name(file.as_fd()).unwrap());
        fs::rename(&secret, &path).unwrap();
        assert!(!place.is_only_name(file.as_fd()).unwrap());
        assert!(place.is_only_name(open().as_fd()).unwrap());
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_path_without_a_name_is_refused() {
        for path in ["/", "..", "/tmp/.."] {
            let opened = Place::find(Path::new(path)).and_then(|place| place.open_log(false));
            assert_eq!(opened.unwrap_err().kind(), ErrorKind::IsADirectory, "{path}");
        }
    }
}

//! Files that are served to clients: opened so that they cannot be outside the directories they are meant to be in.

use super::{check, check_len, retry};
use std::ffi::{CStr, CString, OsString};
use std::io::{Error, ErrorKind, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Regular,
    Directory,
    Other,
}

/// Metadata of an open file.
#[derive(Clone, Copy, Debug)]
pub struct Metadata {
    pub kind: Kind,
    pub size: u64,
    /// Last modification: seconds since 1970, and nanoseconds.
    pub modified: (i64, i64),
}

pub fn facts(file: BorrowedFd<'_>) -> Result<Metadata> {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `stat` is a place for one stat; it is read only when the call succeeded.
    let stat = unsafe {
        check(libc::fstat(file.as_raw_fd(), stat.as_mut_ptr()))?;
        stat.assume_init()
    };
    let kind = match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG => Kind::Regular,
        libc::S_IFDIR => Kind::Directory,
        _ => Kind::Other,
    };
    Ok(Metadata { kind, size: stat.st_size as u64, modified: (stat.st_mtime, stat.st_mtime_nsec) })
}

/// For reading, and for nothing else to happen: no waiting for the other end of a FIFO, no terminal that takes over.
const READ: i32 = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
/// Only the place: nothing is opened that could notice it.
const PLACE: i32 = libc::O_PATH | libc::O_CLOEXEC;

/// The place that a path leads to, wherever that is.
pub fn place(path: &CStr) -> Result<OwnedFd> {
    open_at(libc::AT_FDCWD, path, PLACE)
}

fn open_at(directory: i32, path: &CStr, flags: i32) -> Result<OwnedFd> {
    // SAFETY: a NUL-terminated path; the descriptor that comes back is ours alone.
    retry(|| unsafe {
        check(libc::openat(directory, path.as_ptr(), flags)).map(|fd| OwnedFd::from_raw_fd(fd))
    })
}

/// Opens the file at a place for reading. It is that very file, whatever its path names by now.
pub fn open_place(place: BorrowedFd<'_>) -> Result<OwnedFd> {
    open_at(libc::AT_FDCWD, &own_entry(place), READ)
}

/// Where an open file or place is, without symlinks. Needs /proc.
pub fn real_path(file: BorrowedFd<'_>) -> Result<PathBuf> {
    let mut path = vec![0u8; libc::PATH_MAX as usize];
    let entry = own_entry(file);
    // SAFETY: a NUL-terminated path; the buffer and its length belong together.
    let length = check_len(unsafe { libc::readlink(entry.as_ptr(), path.as_mut_ptr().cast(), path.len()) })?;
    path.truncate(length);
    Ok(PathBuf::from(OsString::from_vec(path)))
}

fn own_entry(file: BorrowedFd<'_>) -> CString {
    CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default()
}

/// The kernel has no openat2 (before 5.6), or forbids it.
static LACKS_OPENAT2: AtomicBool = AtomicBool::new(false);

/// Opens a path below a directory for reading. Symlinks are followed as long as each step stays below it: the kernel
/// sees to that (RESOLVE_BENEATH), so that no other process can swap one at the right moment. An error of
/// [`is_elsewhere`] says that the path may lead out.
pub fn open_beneath(directory: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    if LACKS_OPENAT2.load(Relaxed) {
        return Err(Error::from_raw_os_error(libc::EXDEV));
    }
    let mut how = MaybeUninit::<libc::open_how>::zeroed();
    // SAFETY: a zeroed open_how is valid; path and structure live across the call, and the size is the structure's. The
    // descriptor that comes back is ours alone.
    let opened = retry(|| unsafe {
        let how = how.as_mut_ptr();
        (*how).flags = READ as u64;
        (*how).resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
        let fd = libc::syscall(
            libc::SYS_openat2,
            directory.as_raw_fd(),
            path.as_ptr(),
            how,
            size_of::<libc::open_how>(),
        );
        check(fd as i32).map(|fd| OwnedFd::from_raw_fd(fd))
    });
    // EPERM is what older container runtimes answer for system calls that they do not know.
    if let Err(error) = &opened
        && matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
    {
        LACKS_OPENAT2.store(true, Relaxed);
        return Err(Error::from_raw_os_error(libc::EXDEV));
    }
    opened
}

/// The place that a path below a directory leads to, wherever that is.
pub fn place_from(directory: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    open_at(directory.as_raw_fd(), path, PLACE)
}

/// A symlink may lead out, a rename came in between (EAGAIN), or the kernel cannot tell.
pub fn is_elsewhere(error: &Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EXDEV | libc::EAGAIN))
}

/// Why a path names nothing that could be opened.
pub fn is_absent(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        || matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENAMETOOLONG | libc::EINVAL | libc::ENXIO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    fn path(text: &str) -> CString {
        CString::new(text).unwrap()
    }

    #[test]
    fn nothing_outside_is_opened() {
        let top = std::env::temp_dir().join(format!("rwsgi-files-{}", std::process::id()));
        let root = top.join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("sub/in"), "in").unwrap();
        fs::write(top.join("out"), "out").unwrap();
        symlink("../out", root.join("leads-out")).unwrap();
        symlink("sub/in", root.join("stays-in")).unwrap();
        symlink(root.join("sub/in"), root.join("absolute")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        let directory = place(&path(root.to_str().unwrap())).unwrap();
        let open = |name| open_beneath(directory.as_fd(), &path(name));
        for name in ["sub/in", "stays-in", "sub/../sub/in"] {
            assert_eq!(facts(open(name).unwrap().as_fd()).unwrap().size, 2, "{name}");
        }
        for name in ["leads-out", "absolute", "../out", "sub/../../out", "/etc/passwd", "magic/etc/passwd"] {
            assert!(is_elsewhere(&open(name).unwrap_err()), "{name}");
        }
        assert!(is_absent(&open("sub/in/x").unwrap_err()) && is_absent(&open("none").unwrap_err()));
        let place = place_from(directory.as_fd(), &path("leads-out")).unwrap();
        assert_eq!(real_path(place.as_fd()).unwrap(), top.canonicalize().unwrap().join("out"));
        // It is the file that was checked, not the one that has this name now.
        fs::rename(top.join("out"), top.join("moved")).unwrap();
        let mut text = Vec::new();
        let file = open_place(place.as_fd()).unwrap();
        assert_eq!(crate::sys::io::read_at(file.as_fd(), 1, &mut text, 10).unwrap(), 2);
        assert_eq!(text, b"ut");
        fs::remove_dir_all(&top).unwrap();
    }
}

//! Users and groups: looked up by name, taken on by number.

use super::check;
use std::ffi::{CStr, CString};
use std::io::{Error, ErrorKind, Result};

/// A user's entry in the password database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub name: Option<CString>,
}

fn unknown(kind: &str, name: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("there is no {kind} {name:?}"))
}

/// A user by name or number. A number needs no entry in the database.
pub fn user(name: &str) -> Result<User> {
    if let Ok(uid) = name.parse() {
        // SAFETY: no pointers; as for names below.
        let entry = unsafe { entry(libc::getpwuid(uid)) };
        return Ok(entry.unwrap_or(User { uid, gid: uid, name: None }));
    }
    let c_name = CString::new(name).map_err(|_| unknown("user", name))?;
    // SAFETY: a NUL-terminated name; the entry is copied out at once, and the caller is the one thread of the master.
    unsafe { entry(libc::getpwnam(c_name.as_ptr())) }.ok_or_else(|| unknown("user", name))
}

/// SAFETY: null, or an entry that the next look into the database overwrites.
unsafe fn entry(found: *const libc::passwd) -> Option<User> {
    // SAFETY: as the caller says; the name of an entry is NUL-terminated.
    unsafe {
        let found = found.as_ref()?;
        let name = CStr::from_ptr(found.pw_name).to_owned();
        Some(User { uid: found.pw_uid, gid: found.pw_gid, name: Some(name) })
    }
}

/// A group's number by name or number.
pub fn group(name: &str) -> Result<u32> {
    if let Ok(gid) = name.parse() {
        return Ok(gid);
    }
    let c_name = CString::new(name).map_err(|_| unknown("group", name))?;
    // SAFETY: as in `user`.
    unsafe {
        let entry = libc::getgrnam(c_name.as_ptr());
        entry.as_ref().map(|entry| entry.gr_gid).ok_or_else(|| unknown("group", name))
    }
}

/// Gives up root: groups first, the user last, since nothing can be changed after it. Root's own further groups are never
/// kept; a uid without an entry in the user database keeps root's first one, as in containers.
pub fn become_user(user: Option<&User>, gid: Option<u32>) -> Result<()> {
    // SAFETY: numbers, a null group list of length 0, and a NUL-terminated name.
    unsafe {
        if let Some(gid) = gid.or(user.and_then(|user| user.name.is_some().then_some(user.gid))) {
            match user.and_then(|user| user.name.as_ref()) {
                Some(name) => check(libc::initgroups(name.as_ptr(), gid))?,
                None => check(libc::setgroups(0, std::ptr::null()))?,
            };
            check(libc::setgid(gid))?;
        } else {
            check(libc::setgroups(0, std::ptr::null()))?;
        }
        if let Some(user) = user {
            check(libc::setuid(user.uid))?;
        }
    }
    Ok(())
}

/// The user and the group of this process.
pub fn ids() -> (u32, u32) {
    // SAFETY: no pointers; they cannot fail.
    unsafe { (libc::getuid(), libc::getgid()) }
}

pub fn is_root() -> bool {
    // SAFETY: no pointers, cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// The machine's name.
pub fn host_name() -> String {
    let mut name = [0u8; 256];
    // SAFETY: the buffer's length is given; one byte is kept back for the NUL.
    unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let end = name.iter().position(|&c| c == 0).unwrap_or(0);
    String::from_utf8_lossy(&name[..end]).into_owned()
}

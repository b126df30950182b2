//! Processes: fork, reap, kill, limits.

use super::{accepted, check, clients, listeners, retry, signal};
use std::io::{Error, Result};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// What the interpreter needs around a fork (CPython's PyOS_BeforeFork and its two ends). All three always run.
pub trait ForkHooks {
    fn before(&self);
    fn after_in_parent(&self);
    fn after_in_child(&self);
}

/// The exit status of a child whose code panicked.
pub const PANICKED: i32 = 70;

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Exited(i32),
    Killed(i32),
}

/// Runs `body` and leaves the process with its status. Never returns, whatever `body` does: a child must not walk up
/// its parent's stack.
fn run_and_exit(body: impl FnOnce() -> i32) -> ! {
    let status = catch_unwind(AssertUnwindSafe(body)).unwrap_or(PANICKED);
    exit_now(status)
}

/// Leaves at once: no destructors, no atexit.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit takes a number and does not return.
    unsafe { libc::_exit(status) }
}

/// The fork on its way is the server's, not the application's.
static OWN_FORK: AtomicBool = AtomicBool::new(false);
static IS_COPY: AtomicBool = AtomicBool::new(false);
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Runs in the child of every fork(2), before anything else does. What the application forks has no part in the
/// server's connections: they must end when the server, or the request, does.
extern "C" fn born() {
    FORKS.fetch_add(1, Relaxed);
    if !OWN_FORK.load(Relaxed) {
        IS_COPY.store(true, Relaxed);
        clients::close_all();
        // While the listeners are known, by which these are found.
        accepted::close_all();
        listeners::close_all();
    }
}

/// Is this process one that the application has made with fork()? It has the server's code and sockets, and the master
/// does not know it.
#[inline]
pub fn is_copy() -> bool {
    IS_COPY.load(Relaxed)
}

/// How many forks lie between this process and the first of the server: what was noted with another number is the
/// parent's.
#[inline]
pub fn forks() -> u32 {
    FORKS.load(Relaxed)
}

fn fork_raw() -> Result<i32> {
    static WATCHED: Once = Once::new();
    // SAFETY: the handler is a function that never goes away, and does nothing but use atomics and make system calls.
    WATCHED.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(born));
    });
    OWN_FORK.store(true, Relaxed);
    let owner = signal::release_signals();
    // SAFETY: the caller's process has one thread that matters (the master always; a zygote when its app started none),
    // and the child runs only `run_and_exit`.
    let pid = check(unsafe { libc::fork() });
    OWN_FORK.store(false, Relaxed);
    match pid {
        // A program that has served may fork and serve again in the child: no worker of its is a copy.
        Ok(0) => IS_COPY.store(false, Relaxed),
        _ => signal::claim_signals_for(owner),
    }
    pid
}

/// Forks a child that runs `body` and exits with its status. Returns the child's pid.
pub fn fork(hooks: &dyn ForkHooks, body: impl FnOnce() -> i32) -> Result<i32> {
    hooks.before();
    match fork_raw() {
        Ok(0) => {
            hooks.after_in_child();
            run_and_exit(body)
        }
        result => {
            hooks.after_in_parent();
            result
        }
    }
}

/// Forks a grandchild and lets the process between them end, so that the nearest subreaper (the master) becomes its
/// parent. The process between calls `tell` with the grandchild's pid first: until it ends no other process can reap
/// the grandchild.
pub fn fork_orphan(hooks: &dyn ForkHooks, tell: impl FnOnce(i32), body: impl FnOnce() -> i32) -> Result<()> {
    hooks.before();
    match fork_raw() {
        Ok(0) => match fork_raw() {
            Ok(0) => {
                hooks.after_in_child();
                run_and_exit(body)
            }
            Ok(pid) => {
                tell(pid);
                exit_now(0)
            }
            Err(_) => exit_now(1),
        },
        result => {
            hooks.after_in_parent();
            match wait_for(result?)? {
                Ended::Exited(0) => Ok(()),
                _ => Err(Error::other("the second fork failed")),
            }
        }
    }
}

fn ended(status: i32) -> Ended {
    if libc::WIFSIGNALED(status) {
        Ended::Killed(libc::WTERMSIG(status))
    } else {
        Ended::Exited(libc::WEXITSTATUS(status))
    }
}

/// Waits for one child.
pub fn wait_for(pid: i32) -> Result<Ended> {
    let mut status = 0;
    // SAFETY: `status` is a live int.
    retry(|| check(unsafe { libc::waitpid(pid, &mut status, 0) }))?;
    Ok(ended(status))
}

/// One child that has ended, or `None`; never waits.
pub fn reap() -> Option<(i32, Ended)> {
    let mut status = 0;
    // SAFETY: `status` is a live int.
    let pid = retry(|| check(unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) })).ok()?;
    (pid > 0).then(|| (pid, ended(status)))
}

pub fn kill(pid: i32, signal: i32) -> Result<()> {
    if pid <= 0 {
        return Err(Error::from_raw_os_error(libc::ESRCH));
    }
    // SAFETY: no pointers.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Signals a process and all of its group, which it leads unless it has just been forked.
pub fn kill_group(pid: i32, signal: i32) -> Result<()> {
    kill(pid, signal)?;
    // SAFETY: no pointers; `pid` is above 0, or the line before has failed.
    let _ = check(unsafe { libc::kill(-pid, signal) });
    Ok(())
}

/// The kernel's number of the calling thread.
pub fn thread_id() -> i32 {
    // SAFETY: no pointers.
    unsafe { libc::gettid() }
}

/// Whose child a process is, and whose it is: real, effective, saved and file system uid (proc_pid_status(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation {
    pub parent: i32,
    pub uids: [u32; 4],
}

/// `None`: the process is gone. Of one that has ended and was not reaped it is still known.
pub fn relation(pid: i32) -> Option<Relation> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let mut uids = [0; 4];
    let mut numbers = field("Uid:")?.split_whitespace();
    for uid in &mut uids {
        *uid = numbers.next()?.parse().ok()?;
    }
    Some(Relation { parent: field("PPid:")?.trim().parse().ok()?, uids })
}

/// Bytes of memory of a process (proc_pid_statm(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub address_space: u64,
    pub resident: u64,
}

/// `None`: the process is gone.
pub fn memory(pid: i32) -> Option<Memory> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut pages = statm.split(' ').map(str::parse::<u64>);
    let (address_space, resident) = (pages.next()?.ok()?, pages.next()?.ok()?);
    // SAFETY: no pointers.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
    Some(Memory { address_space: address_space * page, resident: resident * page })
}

/// Bytes of memory of a process in which pages that it shares count by their part (PSS, proc_pid_smaps(5)). The kernel reads
/// the process's page tables for it. `None`: it is gone, has given up root, or the kernel has no such file.
pub fn proportional_memory(pid: i32) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Signals the main thread of a process.
pub fn signal_main_thread(pid: i32, signal: i32) -> Result<()> {
    if pid <= 0 {
        return Err(Error::from_raw_os_error(libc::ESRCH));
    }
    // SAFETY: no pointers. The main thread's number is that of the process (gettid(2)).
    let result = unsafe { libc::syscall(libc::SYS_tgkill, pid, pid, signal) };
    check(result as i32).map(drop)
}

/// Signals one thread of this process.
pub fn signal_thread(tid: i32, signal: i32) {
    // SAFETY: no pointers; a thread that is gone answers ESRCH.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, signal) };
}

pub fn pid() -> i32 {
    std::process::id() as i32
}

pub fn parent() -> i32 {
    // SAFETY: no pointers.
    unsafe { libc::getppid() }
}

/// Orphans below this process become its children (PR_SET_CHILD_SUBREAPER).
pub fn adopt_orphans() -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}

/// How many descriptors this process may have open.
pub fn descriptor_limit() -> Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a live rlimit.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    Ok(limit.rlim_cur)
}

/// Raises the soft limit on open descriptors to the hard one; returns what is in force.
pub fn raise_descriptor_limit() -> Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a live rlimit.
    unsafe {
        check(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit))?;
        // Some systems allow a billion; tables sized by the limit would eat the memory.
        limit.rlim_cur = limit.rlim_max.min(1 << 20).max(limit.rlim_cur);
        check(libc::setrlimit(libc::RLIMIT_NOFILE, &limit))?;
    }
    Ok(limit.rlim_cur)
}

/// What `set_limit` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Bytes of address space of each process.
    AddressSpace,
    /// Processes of the user.
    Processes,
    /// Open descriptors of each process.
    Descriptors,
}

/// Sets a limit, the hard one too where that has to be raised for it.
pub fn set_limit(resource: Resource, value: u64) -> Result<()> {
    let which = match resource {
        Resource::AddressSpace => libc::RLIMIT_AS,
        Resource::Processes => libc::RLIMIT_NPROC,
        Resource::Descriptors => libc::RLIMIT_NOFILE,
    };
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a live rlimit.
    unsafe {
        check(libc::getrlimit(which, &mut limit))?;
        limit.rlim_cur = value;
        limit.rlim_max = limit.rlim_max.max(value);
        check(libc::setrlimit(which, &limit)).map(drop)
    }
}

/// The processors that this process may run on, in order.
pub fn processors() -> Vec<usize> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: room for one set, its size given; a zeroed set is valid. CPU_ISSET reads within the set's size.
    unsafe {
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) != 0 {
            return Vec::new();
        }
        let set = set.assume_init();
        (0..libc::CPU_SETSIZE as usize).filter(|&cpu| libc::CPU_ISSET(cpu, &set)).collect()
    }
}

/// Lets this process, and what it starts, run on these processors alone.
pub fn run_on(processors: &[usize]) -> Result<()> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: a zeroed set is empty and valid; CPU_SET ignores numbers beyond it.
    unsafe {
        for &cpu in processors.iter().filter(|&&cpu| cpu < libc::CPU_SETSIZE as usize) {
            libc::CPU_SET(cpu, &mut *set.as_mut_ptr());
        }
        check(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), set.as_ptr())).map(drop)
    }
}

pub fn set_umask(mask: u32) {
    // SAFETY: no pointers, cannot fail.
    unsafe { libc::umask(mask) };
}

/// Becomes the leader of a new session: no controlling terminal.
pub fn new_session() -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::setsid() }).map(drop)
}

/// Lets others run for a moment.
pub fn yield_now() {
    // SAFETY: no arguments, cannot fail on Linux.
    unsafe { libc::sched_yield() };
}

/// Threads of this process, as the kernel counts them.
pub fn thread_count() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, |tasks| tasks.count())
}

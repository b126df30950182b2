//! The name of a process in `ps`: written over the memory that held its arguments.

use std::sync::OnceLock;

static ARGUMENTS: OnceLock<Option<(usize, usize)>> = OnceLock::new();

/// Where the kernel put the arguments (proc_pid_stat(5), fields 48 and 49).
fn arguments() -> Option<(usize, usize)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the command, may hold blanks; it ends with the last parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(45);
    let start: usize = fields.next()?.parse().ok()?;
    let end: usize = fields.next()?.parse().ok()?;
    (start != 0 && end > start).then_some((start, end))
}

/// The arguments as they were before the first `set`.
pub fn command_line() -> &'static str {
    static ORIGINAL: OnceLock<String> = OnceLock::new();
    ORIGINAL.get_or_init(|| {
        let raw = std::fs::read("/proc/self/cmdline").unwrap_or_default();
        let words: Vec<_> =
            raw.split(|&c| c == 0).filter(|word| !word.is_empty()).map(String::from_utf8_lossy).collect();
        words.join(" ")
    })
}

/// Names the calling process. What does not fit into the room of the original arguments is cut.
pub fn set(title: &str) {
    // The arguments are lost below.
    command_line();
    let short: Vec<u8> = title.bytes().filter(|&c| c != 0).take(15).chain([0]).collect();
    // SAFETY: a NUL-terminated buffer of at most 16 bytes, as PR_SET_NAME wants.
    unsafe { libc::prctl(libc::PR_SET_NAME, short.as_ptr(), 0, 0, 0) };
    let Some((start, end)) = *ARGUMENTS.get_or_init(arguments) else { return };
    let room = end - start;
    let text = &title.as_bytes()[..title.len().min(room - 1)];
    // SAFETY: the kernel says that start..end is this process's argument area, which is writable and lives as long as the
    // process; nothing in the interpreter reads it after start-up (sys.argv and sys.orig_argv are copies).
    unsafe {
        std::ptr::write_bytes(start as *mut u8, 0, room);
        std::ptr::copy_nonoverlapping(text.as_ptr(), start as *mut u8, text.len());
    }
}

//! Python stacks: what faulthandler has written, taken apart, and the document `/stacks`.

use crate::shm::scoreboard::CurrentRequest;
use std::fmt::Write;

/// What stands where a dump has not come, or not all of it.
pub const UNANSWERED: &str = "(the worker did not answer in time; it may be stuck in the kernel)";

/// One line of a stack. What faulthandler could not tell is empty, or 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    pub file: String,
    pub line: u32,
    pub function: String,
}

/// The stack of one thread, the most recent call first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadStack {
    /// As Python's `threading.get_ident()` gives it.
    pub ident: u64,
    /// From Python 3.14 on.
    pub name: Option<String>,
    /// Its thread runs requests.
    pub core: Option<usize>,
    pub current: Option<CurrentRequest>,
    pub frames: Vec<Frame>,
    /// Calls below these were left out.
    pub is_cut: bool,
}

/// The stacks of one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerStacks {
    pub id: u32,
    pub pid: i32,
    /// `false`: it did not answer in time, and `threads` is what had come until then.
    pub answered: bool,
    pub threads: Vec<ThreadStack>,
}

/// Calls of a thread that faulthandler shows (MAX_FRAME_DEPTH in its source).
const MAX_FRAMES: usize = 100;

/// The stacks in a dump of faulthandler. Lines that are none of a stack are passed over.
pub fn parse(dump: &str) -> Vec<ThreadStack> {
    let mut threads: Vec<ThreadStack> = Vec::new();
    for line in dump.lines() {
        if let Some(thread) = headline(line) {
            threads.push(thread);
        } else if let Some(thread) = threads.last_mut() {
            match frame(line) {
                Some(frame) => thread.frames.push(frame),
                None => thread.is_cut |= line == "  ...",
            }
        }
    }
    // Python 3.13 says nothing where it stops.
    threads.iter_mut().for_each(|thread| thread.is_cut |= thread.frames.len() >= MAX_FRAMES);
    threads
}

/// `Current thread 0x00007f… [name] (most recent call first):`; before Python 3.14 without a name.
pub fn headline(line: &str) -> Option<ThreadStack> {
    let rest = line.strip_prefix("Current thread 0x").or_else(|| line.strip_prefix("Thread 0x"))?;
    let rest = rest.strip_suffix("(most recent call first):")?.trim_end();
    let (number, name) = rest.split_once(' ').unwrap_or((rest, ""));
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let ident = u64::from_str_radix(number, 16).ok()?;
    Some(ThreadStack { ident, name: name.map(plain), ..ThreadStack::default() })
}

/// `  File "/srv/a.py", line 12 in view`; `???` stands for what is not known.
fn frame(line: &str) -> Option<Frame> {
    let rest = line.strip_prefix("  File ")?;
    let (file, rest) = match rest.strip_prefix('"') {
        // A file may be named anything: its name ends where a line's number follows.
        Some(rest) => rest.rsplit_once("\", line ")?,
        None => rest.split_once(", line ")?,
    };
    let (line, function) = rest.split_once(" in ")?;
    let known = |text: &str| if text == "???" { String::new() } else { plain(text) };
    Some(Frame { file: known(file), line: line.parse().unwrap_or(0), function: known(function) })
}

/// faulthandler writes what is not ASCII as `\xe4`, `\u20ac` or `\U0001f40d`.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escaped = &rest[at..];
        let (character, len) = escape(escaped).unwrap_or(('\\', 1));
        out.push(character);
        rest = &escaped[len..];
    }
    out.push_str(rest);
    out
}

/// The character that an escape stands for, and the length of the escape. Backslashes are not escaped: what could be
/// written as it is stays.
fn escape(text: &str) -> Option<(char, usize)> {
    let digits = match text.as_bytes().get(1)? {
        b'x' => 2,
        b'u' => 4,
        b'U' => 8,
        _ => return None,
    };
    let number = text.get(2..2 + digits)?;
    let character = char::from_u32(u32::from_str_radix(number, 16).ok()?)?;
    (!(' '..='~').contains(&character)).then_some((character, 2 + digits))
}

/// The lines of one stack, as Python people know them.
pub fn push_frames(out: &mut String, thread: &ThreadStack) {
    for Frame { file, line, function } in &thread.frames {
        let _ = write!(out, "\n  File \"{file}\", line {line} in {function}");
    }
    if thread.is_cut {
        out.push_str("\n  ...");
    }
}

/// The document `/stacks`.
pub fn json(workers: &[WorkerStacks], now_us: u64) -> String {
    let mut out = "{\"workers\": [".to_owned();
    push_list(&mut out, workers, |out, worker| push_worker(out, worker, now_us));
    out.push_str("]}\n");
    out
}

fn push_worker(out: &mut String, worker: &WorkerStacks, now_us: u64) {
    let WorkerStacks { id, pid, answered, threads } = worker;
    let _ = write!(out, "{{\"id\": {id}, \"pid\": {pid}, \"answered\": {answered}, \"threads\": [");
    push_list(out, threads, |out, thread| push_thread(out, thread, now_us));
    out.push_str("]}");
}

fn push_thread(out: &mut String, thread: &ThreadStack, now_us: u64) {
    let current = thread.current.as_ref();
    let age = |current: &CurrentRequest| now_us.saturating_sub(current.started_us) / 1000;
    let _ = write!(
        out,
        "{{\"ident\": \"{:#x}\", \"name\": {}, \"core\": {}, \"request\": {}, \"request_id\": {}, \"age_ms\": {}, \
         \"is_cut\": {}, \"frames\": [",
        thread.ident,
        or_null(thread.name.as_deref().map(quoted)),
        or_null(thread.core),
        or_null(current.map(|current| quoted(&format!("{} {}", current.method, current.target)))),
        or_null(current.map(|current| quoted(&current.request_id))),
        or_null(current.map(age)),
        thread.is_cut,
    );
    push_list(out, &thread.frames, |out, frame| {
        let (file, function) = (quoted(&frame.file), quoted(&frame.function));
        let _ = write!(out, "{{\"file\": {file}, \"line\": {}, \"function\": {function}}}", frame.line);
    });
    out.push_str("]}");
}

fn push_list<T>(out: &mut String, items: &[T], push: impl Fn(&mut String, &T)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        push(out, item);
    }
}

fn or_null(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The lines that uWSGI's `py-tracebacker` writes for each frame, the outermost call first.
pub fn tracebacker(workers: &[WorkerStacks]) -> String {
    let mut out = "*** uWSGI Python tracebacker output ***\n\n".to_owned();
    if !workers.iter().any(|worker| worker.answered) {
        out.push_str("(the worker does not answer: it is not ready, stopped, or stuck in the kernel)\n\n");
    }
    for thread in workers.iter().flat_map(|worker| &worker.threads) {
        let ident = format!("{:#x}", thread.ident);
        let name = thread.name.as_deref().unwrap_or(&ident);
        for Frame { file, line, function } in thread.frames.iter().rev() {
            let _ =
                writeln!(out, "thread_id = {name} filename = {file} lineno = {line} function = {function}");
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(file: &str, line: u32, function: &str) -> Frame {
        Frame { file: file.to_owned(), line, function: function.to_owned() }
    }

    #[test]
    fn dumps_of_all_pythons_are_read() {
        let dump = "Thread 0x00007f01 (most recent call first):\n  <no Python frame>\n\n\
                    Thread 0x00007f02 [pool-1_0] (most recent call first):\n  File \"/srv/a b.py\", line 3 in f\n  ...\n\n\
                    Current thread 0x00007f03 [x] (most recent call first):\n  Garbage-collecting\n  \
                    File \"<string>\", line 1 in <module>\n  File ???, line ??? in ???\n\
                    <truncated rest of calls>\nCurrent thread's C stack trace (most recent call first):\n  <nothing>\n...\n";
        let threads = parse(dump);
        let found: Vec<_> = threads.iter().map(|thread| (thread.ident, thread.name.as_deref())).collect();
        assert_eq!(found, [(0x7f01, None), (0x7f02, Some("pool-1_0")), (0x7f03, Some("x"))]);
        assert_eq!((threads[0].frames.len(), threads[1].is_cut), (0, true));
        assert_eq!(threads[1].frames, [frame("/srv/a b.py", 3, "f")]);
        let deep =
            format!("Thread 0x1 (most recent call first):\n{}", "  File \"a\", line 3 in f\n".repeat(100));
        assert!(parse(&deep)[0].is_cut);
        assert_eq!(threads[2].frames, [frame("<string>", 1, "<module>"), frame("", 0, "")]);
        assert_eq!(parse("  File \"a\", line 1 in f\nno dump\n"), []);
    }

    #[test]
    fn names_are_read_whatever_they_are() {
        let dump = "Thread 0x1 (most recent call first):\n  File \"/a\", line 1 in/b.py\", line 2 in gr\\xf6\\xdfe\n  \
                    File \"C:\\x41\\q\\u20ac\\U0001f40d\\\", line 4 in f\n";
        let frames = &parse(dump)[0].frames;
        assert_eq!(*frames, [frame("/a\", line 1 in/b.py", 2, "größe"), frame("C:\\x41\\q€🐍\\", 4, "f")]);
    }

    #[test]
    fn the_document_is_valid_whatever_it_shows() {
        let current = CurrentRequest {
            method: "GET".to_owned(),
            target: "/a\"b".to_owned(),
            started_us: 1000,
            request_id: "4f1c".to_owned(),
            ..CurrentRequest::default()
        };
        let frames = vec![frame("/srv/\"a\".py", 12, "<lambda>\u{1}")];
        let busy = ThreadStack {
            ident: 0x7f,
            core: Some(0),
            current: Some(current),
            frames,
            ..ThreadStack::default()
        };
        let workers = [
            WorkerStacks { id: 1, pid: 9, answered: true, threads: vec![busy, ThreadStack::default()] },
            WorkerStacks { id: 2, pid: 10, ..WorkerStacks::default() },
        ];
        let document: serde_json::Value = serde_json::from_str(&json(&workers, 121_000)).unwrap();
        let thread = &document["workers"][0]["threads"][0];
        assert_eq!(
            (&thread["ident"], &thread["core"], &thread["age_ms"]),
            (&"0x7f".into(), &0.into(), &120.into())
        );
        assert_eq!((&thread["request"], &thread["request_id"]), (&"GET /a\"b".into(), &"4f1c".into()));
        assert_eq!(thread["frames"][0]["file"], "/srv/\"a\".py");
        assert!(document["workers"][0]["threads"][1]["request"].is_null());
        assert_eq!(
            (&document["workers"][1]["answered"], &document["workers"][1]["id"]),
            (&false.into(), &2.into())
        );
        assert_eq!(json(&[], 0), "{\"workers\": []}\n");
    }

    #[test]
    fn the_tracebacker_tells_the_outermost_call_first() {
        let frames = vec![frame("b.py", 2, "g"), frame("a.py", 1, "f")];
        let thread = ThreadStack { ident: 0x7f, frames, ..ThreadStack::default() };
        let worker = WorkerStacks { answered: true, threads: vec![thread], ..WorkerStacks::default() };
        let lines = "thread_id = 0x7f filename = a.py lineno = 1 function = f\n\
                     thread_id = 0x7f filename = b.py lineno = 2 function = g\n";
        assert!(tracebacker(&[]).contains("does not answer"));
        assert_eq!(tracebacker(&[worker]), format!("*** uWSGI Python tracebacker output ***\n\n{lines}\n"));
    }
}

//! `rwsgi stacks`: what every thread of every worker does now.

use super::arguments::Arguments;
use super::outcome::{Failure, Outcome};
use crate::top::client::Client;
use crate::top::text::escaped;
use serde_json::Value;
use std::fmt::Write;
use std::time::Duration;

pub const USAGE: &str = "\
Usage: rwsgi stacks [--worker N] [--json] ADDR

Shows the Python stack of every thread of every worker, most recent call first. ADDR is a stats server with
stats-http: HOST:PORT, http://HOST:PORT/, /PATH of a unix socket, or @NAME of an abstract one.

  --worker N  this worker alone
  --json      the document as it is
  --help      this text

Exit status: 0, 1 where the stats server cannot be read, 2 where the arguments are wrong.
";

/// Each worker that does not answer takes a second.
const PATIENCE: Duration = Duration::from_secs(120);

pub fn run(words: &[String]) -> Result<Outcome, Failure> {
    let arguments = Arguments::parse(words, &["--worker"], &["--json"])?;
    let query = arguments.worker()?.map_or_else(String::new, |worker| format!("?{worker}"));
    let mut client = Client::new(arguments.address.clone());
    let answer = client.get_within(&format!("stacks{query}"), PATIENCE)?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    if arguments.has("--json") {
        return Ok(Outcome::Text(text));
    }
    let document: Value = serde_json::from_str(&text).unwrap_or_default();
    if !document["workers"].is_array() {
        return Err(client.about("its answer tells of no threads: this is no stats server of rwsgi").into());
    }
    Ok(Outcome::Text(render(&document)))
}

fn render(document: &Value) -> String {
    let mut out = String::new();
    for worker in list(&document["workers"]) {
        push_worker(&mut out, worker);
    }
    if out.is_empty() {
        out.push_str("no worker serves\n");
    }
    out
}

fn push_worker(out: &mut String, worker: &Value) {
    let _ = write!(out, "worker {} (pid {})", worker["id"], worker["pid"]);
    let is_silent = worker["answered"] == false;
    out.push_str(if is_silent { " has not answered: it is stopped, or stuck in the kernel\n" } else { "\n" });
    for thread in list(&worker["threads"]) {
        push_thread(out, thread);
    }
    out.push('\n');
}

fn push_thread(out: &mut String, thread: &Value) {
    let _ = write!(out, "  thread {}", shown(&thread["ident"]));
    if !thread["name"].is_null() {
        let _ = write!(out, " {}", shown(&thread["name"]));
    }
    if let Some(core) = thread["core"].as_u64() {
        let _ = write!(out, ", core {core}");
        match thread["request"].as_str() {
            None => out.push_str(", idle"),
            Some(request) => {
                let _ = write!(out, ": {} for {} ms", escaped(request), thread["age_ms"]);
            }
        }
    }
    if let Some(id) = thread["request_id"].as_str().filter(|id| !id.is_empty()) {
        let _ = write!(out, ", request id {}", escaped(id));
    }
    out.push('\n');
    for frame in list(&thread["frames"]) {
        let (file, function) = (shown(&frame["file"]), shown(&frame["function"]));
        let _ = writeln!(out, "    File \"{file}\", line {}, in {function}", frame["line"]);
    }
    if thread["is_cut"] == true {
        out.push_str("    ...\n");
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn shown(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_shown_readably() {
        let document = r#"{"workers": [
            {"id": 1, "pid": 9, "answered": true, "threads": [
                {"ident": "0x7f", "name": null, "core": 0, "request": "GET /a", "request_id": "4f", "age_ms": 120,
                 "is_cut": true, "frames": [{"file": "/srv/a.py", "line": 12, "function": "vi\u001bew"}]},
                {"ident": "0x8f", "name": "pool", "core": 1, "request": null, "age_ms": null, "frames": []}]},
            {"id": 2, "pid": 10, "answered": false, "threads": []}]}"#;
        let expected = "worker 1 (pid 9)\n  thread 0x7f, core 0: GET /a for 120 ms, request id 4f\n    \
                        File \"/srv/a.py\", line 12, in vi\\x1bew\n    ...\n  thread 0x8f pool, core 1, idle\n\n\
                        worker 2 (pid 10) has not answered: it is stopped, or stuck in the kernel\n\n";
        assert_eq!(render(&serde_json::from_str(document).unwrap()), expected);
        assert_eq!(render(&Value::Null), "no worker serves\n");
    }
}

//! The Python stacks of a worker, as lines.

use super::client::{Client, Protocol};
use super::document::Document;
use super::text::escaped;
use super::units;
use serde_json::Value;

/// Why the server cannot be asked for stacks; `None`: it can.
pub fn hindrance(document: &Document, protocol: Option<Protocol>) -> Option<String> {
    if !document.is_rwsgi() {
        return Some(
            "uWSGI's stats server knows no stacks; its option py-tracebacker has a socket for them"
                .to_owned(),
        );
    }
    (protocol != Some(Protocol::Http)).then(|| {
        "this stats socket writes JSON and reads nothing: with stats-http = true it can be asked for stacks".to_owned()
    })
}

pub fn read(client: &mut Client, worker: u64) -> Result<Vec<String>, String> {
    let answer = client.get(&format!("stacks?worker={worker}"))?;
    match answer.status {
        200 => lines(&answer.body),
        404 => Err("the server has no stacks of this worker (HTTP status 404)".to_owned()),
        status => Err(format!("the server answers with HTTP status {status}")),
    }
}

fn lines(body: &[u8]) -> Result<Vec<String>, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("no stacks came: {error}"))?;
    let workers = value.get("workers").and_then(Value::as_array).ok_or("no stacks came")?;
    if workers.is_empty() {
        return Err("the worker is gone".to_owned());
    }
    Ok(workers.iter().flat_map(of_worker).collect())
}

fn of_worker(worker: &Value) -> Vec<String> {
    let name = format!("worker {} (pid {})", worker["id"], worker["pid"]);
    if worker["answered"] != true {
        return vec![format!("{name} has not answered: it may be in C code that holds the GIL")];
    }
    let mut threads: Vec<&Value> = worker["threads"].as_array().into_iter().flatten().collect();
    // What runs a request comes first, the oldest before the others.
    threads.sort_by_key(|thread| (thread["request"].is_null(), std::cmp::Reverse(thread["age_ms"].as_u64())));
    let mut lines = vec![format!("{name}: {} threads", threads.len())];
    threads.into_iter().for_each(|thread| push_thread(&mut lines, thread));
    lines
}

fn push_thread(lines: &mut Vec<String>, thread: &Value) {
    let text = |key: &str| thread[key].as_str().map(escaped);
    let name = text("name").or(text("ident")).unwrap_or_default();
    let core = thread["core"].as_u64().map(|core| format!("core {core}"));
    let name = Some(name).filter(|name| Some(name) != core.as_ref());
    let who: Vec<String> = core.into_iter().chain(name).collect();
    let request = text("request").map(|request| {
        let age = thread["age_ms"].as_u64().map(|age| format!(" for {}", units::age(age)));
        format!(": {request}{}", age.unwrap_or_default())
    });
    lines.push(String::new());
    lines.push(format!("{}{}", who.join(", "), request.unwrap_or_default()));
    for frame in thread["frames"].as_array().into_iter().flatten() {
        let [function, file] = ["function", "file"].map(|key| escaped(frame[key].as_str().unwrap_or("?")));
        lines.push(format!("  {function}  {file}:{}", frame["line"].as_u64().unwrap_or(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_first() {
        let body = r#"{"workers":[{"id":1,"pid":9,"answered":true,"threads":[
            {"ident":"0x7f","name":null,"core":null,"request":null,"age_ms":null,"frames":[]},
            {"ident":"0x7e","name":"core 0","core":0,"request":"GET /\u001b","age_ms":1500,
             "frames":[{"file":"/a.py","line":3,"function":"view"}]}]},{"id":2,"pid":8,"answered":false}]}"#;
        let lines = lines(body.as_bytes()).unwrap();
        assert_eq!(lines[0], "worker 1 (pid 9): 2 threads");
        assert_eq!(lines[2..4], ["core 0: GET /\\x1b for 1.5s", "  view  /a.py:3"]);
        assert_eq!(lines[5], "0x7f");
        assert!(lines[6].contains("has not answered"));
    }

    #[test]
    fn odd_answers_are_errors() {
        for body in ["", "[]", "{\"workers\":[]}", "<html>"] {
            assert!(lines(body.as_bytes()).is_err(), "{body}");
        }
    }
}

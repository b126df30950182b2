//! What a stats server tells, of rwsgi or of uWSGI, as far as it is shown here. What is missing is 0 or `None`.

use super::latency::Histogram;
use super::lenient;
use serde_json::Value;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// Name and version.
    pub server: String,
    pub pid: u64,
    pub cwd: String,
    /// Connections in the fullest backlog, and how many it takes.
    pub queue: u64,
    pub max_queue: u64,
    pub workers: Vec<Worker>,
    pub own: Option<Own>,
}

/// What only rwsgi tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Own {
    pub phase: String,
    pub generation: u64,
    pub uptime_s: f64,
    /// Requests that have come to a worker and wait to begin.
    pub waiting: u64,
    pub latency: Option<Histogram>,
    /// Log lines that were dropped, and how long a write to the log hangs.
    pub dropped_lines: u64,
    pub stalled_ms: u64,
    /// Reloads that failed or were refused, and workers that died by themselves.
    pub failed_reloads: u64,
    pub deaths: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Worker {
    pub id: u64,
    pub pid: u64,
    pub status: String,
    pub requests: u64,
    pub exceptions: u64,
    pub harakiri: u64,
    pub respawns: u64,
    pub rss: u64,
    pub tx: u64,
    /// uWSGI's running average, µs.
    pub avg_rt: u64,
    pub last_spawn: u64,
    pub waiting: u64,
    /// None where the server is told not to list them.
    pub cores: Vec<WorkerCore>,
    pub busy: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkerCore {
    pub id: u64,
    pub requests: u64,
    pub running: Option<Running>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Running {
    pub method: String,
    pub uri: String,
    pub age_ms: u64,
}

impl Document {
    /// `now`: seconds since the epoch, with which uWSGI's times are compared.
    pub fn parse(bytes: &[u8], now: f64) -> Result<Document, String> {
        let value = lenient::parse(bytes)?;
        let Some(workers) = value.get("workers").and_then(Value::as_array) else {
            return Err(no_workers(&value));
        };
        let own = value.get("rwsgi").filter(|own| own.is_object());
        let mut document = Document {
            server: server(&value, own),
            pid: number(&value, "pid"),
            cwd: text(&value, "cwd"),
            queue: number(&value, "listen_queue"),
            max_queue: items(&value, "sockets").map(|socket| number(socket, "max_queue")).max().unwrap_or(0),
            workers: workers.iter().map(|worker| Worker::of(worker, now)).collect(),
            own: own.map(Own::of),
        };
        own.into_iter().flat_map(|own| items(own, "workers")).for_each(|worker| document.add(worker));
        Ok(document)
    }

    /// Adds to a worker what only rwsgi tells of it. One on its way out may have a successor of the same number.
    fn add(&mut self, told: &Value) {
        let (id, pid) = (number(told, "id"), number(told, "pid"));
        let at = self.workers.iter().position(|worker| worker.id == id && worker.pid == pid);
        let at = at.unwrap_or_else(|| {
            self.workers.push(Worker { id, pid, ..Worker::default() });
            self.workers.len() - 1
        });
        self.workers[at].add(told);
    }

    pub fn is_rwsgi(&self) -> bool {
        self.own.is_some()
    }

    pub fn sum(&self, of: impl Fn(&Worker) -> u64) -> u64 {
        self.workers.iter().map(of).fold(0, u64::saturating_add)
    }

    pub fn cores(&self) -> u64 {
        self.sum(|worker| worker.cores.len() as u64)
    }
}

impl Own {
    fn of(value: &Value) -> Own {
        Own {
            phase: text(value, "phase"),
            generation: number(value, "generation"),
            uptime_s: value.get("uptime_s").and_then(Value::as_f64).unwrap_or(0.0),
            waiting: value.get("queue").map_or(0, |queue| number(queue, "waiting")),
            latency: value.get("latency").and_then(Histogram::of),
            dropped_lines: value.get("log").map_or(0, |log| number(log, "dropped_lines")),
            stalled_ms: value.get("log").map_or(0, |log| number(log, "stalled_ms")),
            failed_reloads: sum(value, "reloads", &["failure", "refused"]),
            deaths: sum(value, "ends", &["crashed", "exited"]),
        }
    }
}

impl Worker {
    fn of(value: &Value, now: f64) -> Worker {
        let cores: Vec<WorkerCore> = items(value, "cores").map(|core| WorkerCore::of(core, now)).collect();
        Worker {
            id: number(value, "id"),
            pid: number(value, "pid"),
            status: text(value, "status"),
            requests: number(value, "requests"),
            exceptions: number(value, "exceptions"),
            harakiri: number(value, "harakiri_count"),
            respawns: number(value, "respawn_count"),
            rss: number(value, "rss"),
            tx: number(value, "tx"),
            avg_rt: number(value, "avg_rt"),
            last_spawn: number(value, "last_spawn"),
            waiting: 0,
            busy: cores.iter().filter(|core| core.running.is_some()).count() as u64,
            cores,
        }
    }

    fn add(&mut self, told: &Value) {
        self.waiting = number(told, "waiting");
        self.busy = number(told, "busy");
        match told.get("leaving").and_then(Value::as_str) {
            Some(_) => self.status = "leaving".to_owned(),
            None if self.status.is_empty() => self.status = text(told, "stage"),
            None => {}
        }
        for core in items(told, "cores") {
            let running = Running {
                method: text(core, "method"),
                uri: text(core, "uri"),
                age_ms: number(core, "age_ms"),
            };
            let id = number(core, "id");
            let at = self.cores.iter().position(|core| core.id == id).unwrap_or_else(|| {
                self.cores.push(WorkerCore { id, requests: number(core, "requests"), running: None });
                self.cores.len() - 1
            });
            self.cores[at].running = Some(running);
        }
    }

    /// What it runs, the oldest first.
    pub fn running(&self) -> Vec<(&WorkerCore, &Running)> {
        let mut all: Vec<_> =
            self.cores.iter().filter_map(|core| Some((core, core.running.as_ref()?))).collect();
        all.sort_by_key(|(_, running)| std::cmp::Reverse(running.age_ms));
        all
    }
}

impl WorkerCore {
    fn of(value: &Value, now: f64) -> WorkerCore {
        let is_running = number(value, "in_request") > 0;
        let running = is_running.then(|| Running {
            method: variable(value, "REQUEST_METHOD").unwrap_or_default(),
            uri: uri(value),
            age_ms: age_ms(value, now),
        });
        WorkerCore { id: number(value, "id"), requests: number(value, "requests"), running }
    }
}

fn uri(core: &Value) -> String {
    let path = || {
        let path = format!("{}{}", variable(core, "SCRIPT_NAME")?, variable(core, "PATH_INFO")?);
        match variable(core, "QUERY_STRING") {
            Some(query) if !query.is_empty() => Some(format!("{path}?{query}")),
            _ => Some(path),
        }
    };
    variable(core, "REQUEST_URI").or_else(path).unwrap_or_default()
}

fn variable(core: &Value, name: &str) -> Option<String> {
    let mut all = items(core, "vars").filter_map(|item| item.as_str()?.split_once('='));
    Some(all.find(|(key, _)| *key == name)?.1.to_owned())
}

/// uWSGI tells the second in which a request has begun.
fn age_ms(core: &Value, now: f64) -> u64 {
    let begun = core.get("req_info").map_or(0, |info| number(info, "request_start"));
    if begun == 0 { 0 } else { ((now - begun as f64).max(0.0) * 1000.0) as u64 }
}

fn server(value: &Value, own: Option<&Value>) -> String {
    match own {
        Some(own) => format!("rwsgi {}", text(own, "version")),
        None => format!("uWSGI {}", text(value, "version")),
    }
}

fn no_workers(value: &Value) -> String {
    let has = |key: &str| value.get(key).is_some();
    let what = match () {
        () if has("vassals") => "it is the stats server of an emperor: ask those of its vassals",
        () if has("active_sessions") => {
            "it is the stats server of a router: ask that of the workers behind it"
        }
        () => "its JSON tells of no workers: this is no stats server",
    };
    what.to_owned()
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn number(value: &Value, key: &str) -> u64 {
    match value.get(key) {
        Some(Value::Number(number)) => {
            number.as_u64().or(number.as_f64().map(|float| float as u64)).unwrap_or(0)
        }
        Some(Value::Bool(true)) => 1,
        _ => 0,
    }
}

fn sum(value: &Value, key: &str, keys: &[&str]) -> u64 {
    value.get(key).map_or(0, |counts| keys.iter().map(|key| number(counts, key)).fold(0, u64::saturating_add))
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UWSGI: &str = r#"{"version":"2.0.31","listen_queue":3,"pid":7,"cwd":"/srv","sockets":[{"max_queue":100}],
        "workers":[{"id":1,"pid":8,"requests":5,"status":"busy","avg_rt":1500,"rss":0,"cores":[
        {"id":0,"requests":5,"in_request":1,"vars":["REQUEST_METHOD=GET","REQUEST_URI=/a?b=c=d",""],
        "req_info":{"request_start":100}},{"id":1,"requests":0,"in_request":0,"vars":[],"req_info":{}}]}]}"#;

    #[test]
    fn a_document_of_uwsgi() {
        let document = Document::parse(UWSGI.as_bytes(), 102.5).unwrap();
        assert_eq!((document.server.as_str(), document.queue, document.max_queue), ("uWSGI 2.0.31", 3, 100));
        let worker = &document.workers[0];
        assert_eq!((worker.busy, worker.cores.len(), worker.avg_rt), (1, 2, 1500));
        let running = Running { method: "GET".into(), uri: "/a?b=c=d".into(), age_ms: 2500 };
        assert_eq!(worker.running()[0].1, &running);
        assert_eq!(document.own, None);
    }

    #[test]
    fn a_document_of_rwsgi() {
        let own = r#","rwsgi":{"version":"0.1.0","phase":"serving","generation":3,"uptime_s":12.5,
            "log":{"dropped_lines":7,"write_ms":9,"stalled_ms":600},"reloads":{"success":9,"failure":1,"refused":2},
            "ends":{"reloaded":8,"crashed":4,"exited":1},
            "latency":{"bounds_ms":[1,2],"counts":[1,2,3],"sum_ms":20},"queue":{"waited_ms":1,"waiting":2},
            "workers":[{"id":1,"pid":8,"stage":"ready","leaving":null,"busy":1,"waiting":2,
            "cores":[{"id":1,"requests":4,"method":"POST","uri":"/b","age_ms":12}]},
            {"id":1,"pid":6,"stage":"ready","leaving":"reloaded","busy":0,"waiting":0}]}}"#;
        let document =
            Document::parse((UWSGI[..UWSGI.len() - 1].to_owned() + own).as_bytes(), 100.0).unwrap();
        assert_eq!(document.server, "rwsgi 0.1.0");
        let told = document.own.as_ref().unwrap();
        assert_eq!((told.waiting, told.dropped_lines, told.stalled_ms), (2, 7, 600));
        assert_eq!((told.failed_reloads, told.deaths), (3, 5));
        assert_eq!(document.workers[0].cores[1].running.as_ref().unwrap().age_ms, 12);
        assert_eq!((document.workers.len(), document.workers[1].status.as_str()), (2, "leaving"));
    }

    #[test]
    fn other_stats_servers_are_named() {
        for (json, word) in [
            (r#"{"vassals":[]}"#, "emperor"),
            (r#"{"active_sessions":1}"#, "router"),
            (r#"{"a":1}"#, "no workers"),
            ("[1]", "no workers"),
        ] {
            let why = Document::parse(json.as_bytes(), 0.0).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn odd_types_are_no_trouble() {
        let json = r#"{"version":1,"pid":-5,"workers":[{"id":"x","cores":[3],"requests":1.5},4,null],"rwsgi":{"workers":[1],
            "latency":{"bounds_ms":[2,1],"counts":[]}}}"#;
        let document = Document::parse(json.as_bytes(), 0.0).unwrap();
        assert_eq!((document.pid, document.workers[0].requests), (0, 1));
    }
}

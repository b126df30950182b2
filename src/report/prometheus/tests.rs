//! What a status looks like as metrics; tests/test_metrics.py has it read by parsers.

use super::super::{ListenerStatus, Totals, WorkerTotals};
use super::*;
use std::collections::BTreeSet;

fn status() -> Status {
    let mut counters = Counters { answers: vec![[7, 0, 1, 0, 0], [1, 0, 0, 0, 0]], ..Counters::default() };
    (counters.latency[0], counters.latency[2], counters.sums.requests) = (4, 3, 7);
    let worker = |id| WorkerTotals { id, counters: counters.clone(), spawns: 2, ..WorkerTotals::default() };
    let listener =
        || ListenerStatus { name: "a".to_owned(), number: 0, protocol: "http", most: 0, waiting: Some(3) };
    let totals =
        Totals { workers: vec![worker(1), worker(2)], reloads: vec![("success", 1)], ..Totals::default() };
    let mut status = super::super::tests::status();
    status.instance.started_wall_us = 998_000_000;
    (status.instance.bounds_us, status.instance.held) = (vec![500, 1_000_000], 2);
    Status { listeners: vec![listener(), listener()], workers: Vec::new(), totals, ..status }
}

#[test]
fn sums_are_those_of_all_workers() {
    let text = render(&status(), Format::Text, false);
    for line in [
        "rwsgi_start_time_seconds 998.0",
        "rwsgi_phase{phase=\"serving\"} 1",
        "rwsgi_phase{phase=\"stopping\"} 0",
        "rwsgi_reloads_total{result=\"success\"} 1",
        // Two sockets of one name.
        "rwsgi_requests_total{listener=\"a\",status=\"2xx\"} 16",
        "rwsgi_requests_total{listener=\"a\",status=\"4xx\"} 2",
        "rwsgi_request_duration_seconds_bucket{le=\"0.0005\"} 8",
        "rwsgi_request_duration_seconds_bucket{le=\"1.0\"} 8",
        "rwsgi_request_duration_seconds_bucket{le=\"+Inf\"} 14",
        "rwsgi_request_duration_seconds_count 14",
        "rwsgi_listen_queue{listener=\"a\"} 6",
        "rwsgi_requests_waiting 2",
        "rwsgi_spawns_total 4",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("rwsgi_listen_queue_limit{") && !text.contains("worker="));
}

#[test]
fn each_worker_has_names_of_its_own() {
    let names = |text: &str| -> BTreeSet<String> {
        let name = |line: &str| line.split(['{', ' ']).next().unwrap().to_owned();
        text.lines().filter(|line| !line.starts_with('#')).map(name).collect()
    };
    let (whole, each) = (render(&status(), Format::Text, false), render(&status(), Format::Text, true));
    let rest = each.strip_prefix(&whole).unwrap();
    assert!(names(&whole).is_disjoint(&names(rest)));
    assert!(rest.contains("rwsgi_worker_requests_total{worker=\"2\"} 7\n"));
    assert!(rest.contains("rwsgi_worker_request_duration_seconds_bucket{worker=\"1\",le=\"+Inf\"} 7\n"));
}

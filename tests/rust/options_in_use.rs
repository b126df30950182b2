//! The options that people use most, and further ones that rwsgi stands for: each works and a test shows it, or it
//! belongs to a part of its own.

use std::path::Path;

use rwsgi::config::*;

const IN_USE: &str = include_str!("../fixtures/options-in-use.txt");
const NAMED: &str = include_str!("../fixtures/options-named.txt");

fn entries() -> Vec<(&'static str, &'static str, &'static str)> {
    let lines = IN_USE.lines().chain(NAMED.lines()).filter(|line| !line.starts_with('#'));
    let entry = |line: &'static str| {
        let (name, rest) = line.split_once(": ")?;
        let (state, what) = rest.split_once(' ').unwrap_or((rest, ""));
        Some((name, state, what))
    };
    lines.map(|line| entry(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

#[test]
fn every_one_has_the_state_that_is_said() {
    assert_eq!(IN_USE.lines().filter(|line| !line.starts_with('#')).count(), 120);
    for (name, state, what) in entries() {
        let row = registry::find(name).unwrap_or_else(|| panic!("{name} has no row"));
        let agrees = match state {
            "works" => row.status == Status::Works,
            "accepted" => matches!(row.status, Status::Accepted(_)),
            "refused" => matches!(row.status, Status::Refused(_)),
            // It may have been built by now.
            "part" => !what.is_empty() && !matches!(row.status, Status::Refused(_)),
            _ => panic!("{name}: {state}"),
        };
        assert!(agrees, "{name} should be {state}, and is {:?}", row.status);
    }
}

#[test]
fn what_works_has_a_test() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for (name, _, test) in entries().into_iter().filter(|(_, state, _)| *state == "works") {
        let (file, function) = test.split_once("::").unwrap_or_else(|| panic!("{name}: {test}"));
        let text = std::fs::read_to_string(tests.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let is_there =
            text.contains(&format!("def {function}(")) || text.contains(&format!("fn {function}("));
        assert!(is_there, "{name}: there is no {test}");
    }
}

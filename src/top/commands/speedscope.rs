//! A profile for https://www.speedscope.app, in its file format.

use super::folded::{Profile, parts};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";

pub fn json(profile: &Profile, hz: f64) -> String {
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut frames, mut samples, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    let mut total = 0.0;
    for (calls, count) in profile.stacks() {
        let sample: Vec<usize> = calls
            .iter()
            .map(|call| {
                *numbers.entry(call).or_insert_with(|| {
                    frames.push(frame(call));
                    frames.len() - 1
                })
            })
            .collect();
        let milliseconds = count as f64 * 1000.0 / hz;
        samples.push(sample);
        weights.push(milliseconds);
        total += milliseconds;
    }
    let document = json!({
        "$schema": SCHEMA,
        "exporter": concat!("rwsgi ", env!("CARGO_PKG_VERSION")),
        "name": "rwsgi profile",
        "activeProfileIndex": 0,
        "shared": {"frames": frames},
        "profiles": [{
            "type": "sampled",
            "name": "all workers",
            "unit": "milliseconds",
            "startValue": 0,
            "endValue": total,
            "samples": samples,
            "weights": weights,
        }],
    });
    format!("{document}\n")
}

fn frame(call: &str) -> Value {
    match parts(call) {
        (name, Some((file, line))) => json!({"name": name, "file": file, "line": line}),
        (name, None) => json!({"name": name}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_names_its_frames() {
        let profile = Profile::parse("requests;f (a.py:1);g (b.py:2) 30\nrequests;f (a.py:1) 10\n");
        let document: Value = serde_json::from_str(&json(&profile, 100.0)).unwrap();
        let frames = document["shared"]["frames"].as_array().unwrap();
        let samples = document["profiles"][0]["samples"].as_array().unwrap();
        let names = |sample: &Value| -> Vec<String> {
            let numbers = sample.as_array().unwrap().iter();
            numbers
                .map(|number| frames[number.as_u64().unwrap() as usize]["name"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names(&samples[0]), ["requests", "f"]);
        assert_eq!(names(&samples[1]), ["requests", "f", "g"]);
        assert_eq!(document["profiles"][0]["weights"], json!([100.0, 300.0]));
        assert_eq!(document["profiles"][0]["endValue"], 400.0);
        assert_eq!(frames[1], json!({"name": "f", "file": "a.py", "line": 1}));
    }
}

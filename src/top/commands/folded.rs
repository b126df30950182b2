//! A profile in the form in which it is passed on: a line for each stack, its calls from the outermost on with semicolons
//! between them, then how often it was found.

use std::collections::BTreeMap;
use std::fmt::Write;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Profile(BTreeMap<Vec<String>, u64>);

impl Profile {
    /// The same stack of several workers is counted together. Lines that are none are passed over.
    pub fn parse(text: &str) -> Profile {
        let mut stacks = BTreeMap::new();
        for line in text.lines() {
            let Some((calls, count)) = line.rsplit_once(' ') else { continue };
            let Ok(count) = count.parse::<u64>() else { continue };
            let calls: Vec<String> = calls.split(';').map(str::to_owned).collect();
            let sum = stacks.entry(calls).or_insert(0_u64);
            *sum = sum.saturating_add(count);
        }
        Profile(stacks)
    }

    pub fn stacks(&self) -> impl Iterator<Item = (&[String], u64)> {
        self.0.iter().map(|(calls, &count)| (&calls[..], count))
    }

    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub fn folded(&self) -> String {
        let mut out = String::new();
        for (calls, count) in self.stacks() {
            let _ = writeln!(out, "{} {count}", calls.join(";"));
        }
        out
    }
}

/// The parts of `view (site/views.py:12)`: function, file, line.
pub fn parts(call: &str) -> (&str, Option<(&str, u32)>) {
    let inner = call.strip_suffix(')').and_then(|call| call.split_once(" ("));
    let Some((function, place)) = inner else { return (call, None) };
    let place = place.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?)));
    place.map_or((call, None), |place| (function, Some(place)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_stacks_are_added_up() {
        let text = "requests;f (a b.py:1);g 2\nrequests;h 1\nnothing\n\nrequests;f (a b.py:1);g 3\n x\n";
        let profile = Profile::parse(text);
        assert_eq!((profile.total(), profile.stacks().count()), (6, 2));
        assert_eq!(profile.folded(), "requests;f (a b.py:1);g 5\nrequests;h 1\n");
        assert_eq!(Profile::parse(&profile.folded()), profile);
    }

    #[test]
    fn a_call_has_a_place() {
        assert_eq!(parts("C.f (a (b).py:12)"), ("C.f", Some(("a (b).py", 12))));
        assert_eq!(parts("(rwsgi)"), ("(rwsgi)", None));
        assert_eq!(parts("requests"), ("requests", None));
    }
}

//! How long requests took: the histogram that rwsgi counts, and the percentiles of what it has counted meanwhile.

use serde_json::Value;

/// `counts[i]` requests took up to `bounds_ms[i]`; the last count is of those that took longer than any bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    bounds_ms: Vec<f64>,
    counts: Vec<u64>,
}

impl Histogram {
    pub fn of(value: &Value) -> Option<Histogram> {
        let bounds: Option<Vec<f64>> =
            value.get("bounds_ms")?.as_array()?.iter().map(Value::as_f64).collect();
        let counts: Option<Vec<u64>> = value.get("counts")?.as_array()?.iter().map(Value::as_u64).collect();
        let (bounds_ms, counts) = (bounds?, counts?);
        (counts.len() == bounds_ms.len() + 1 && bounds_ms.is_sorted())
            .then_some(Histogram { bounds_ms, counts })
    }

    /// What was counted since `earlier`; `None` when that is another server's, or nothing was.
    pub fn since(&self, earlier: &Histogram) -> Option<Histogram> {
        if self.bounds_ms != earlier.bounds_ms {
            return None;
        }
        let pairs = self.counts.iter().zip(&earlier.counts);
        let counts: Option<Vec<u64>> = pairs.map(|(now, then)| now.checked_sub(*then)).collect();
        Some(Histogram { bounds_ms: self.bounds_ms.clone(), counts: counts? }).filter(|left| left.total() > 0)
    }

    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The time within which this part of the requests was answered, interpolated between two bounds.
    pub fn percentile(&self, part: f64) -> Option<Latency> {
        let rank = part * self.total() as f64;
        let mut below = 0.0;
        for (at, &count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = count as f64;
            if below + count >= rank {
                let from = at.checked_sub(1).map_or(0.0, |at| self.bounds_ms[at]);
                let Some(to) = self.bounds_ms.get(at) else { return Some(Latency::Over(from)) };
                return Some(Latency::Within(from + (to - from) * (rank - below) / count));
            }
            below += count;
        }
        None
    }
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Latency {
    Within(f64),
    /// More than the highest bound.
    Over(f64),
}

impl Latency {
    pub fn ms(self) -> f64 {
        match self {
            Latency::Within(ms) | Latency::Over(ms) => ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn histogram(counts: &[u64]) -> Histogram {
        Histogram::of(&json!({"bounds_ms": [10, 100], "counts": counts})).unwrap()
    }

    #[test]
    fn percentiles_lie_in_their_bucket() {
        let some = histogram(&[50, 50, 0]);
        assert_eq!(some.percentile(0.5), Some(Latency::Within(10.0)));
        assert_eq!(some.percentile(0.75), Some(Latency::Within(55.0)));
        assert_eq!(histogram(&[0, 0, 3]).percentile(0.5), Some(Latency::Over(100.0)));
        assert_eq!(histogram(&[0, 0, 0]).percentile(0.5), None);
    }

    #[test]
    fn only_what_came_meanwhile_counts() {
        let later = histogram(&[5, 1, 0]);
        assert_eq!(later.since(&histogram(&[5, 0, 0])), Some(histogram(&[0, 1, 0])));
        assert_eq!(later.since(&later), None);
        assert_eq!(later.since(&histogram(&[6, 0, 0])), None, "a server that began anew");
        assert_eq!(Histogram::of(&json!({"bounds_ms": [2, 1], "counts": [0, 0, 0]})), None);
    }
}

//! The bounds of the histogram of request durations.

use super::ValueError;

/// The last bucket has no bound: one less than there are places on the scoreboard.
pub const MAX_BOUNDS: usize = 31;
/// A day: no request is worth being told apart beyond.
const MAX_MS: f64 = 86_400_000.0;

/// From half a millisecond to a minute: each bound at most 2.5 times the one below.
pub const DEFAULT_BUCKETS: [u64; 20] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 150_000, 250_000, 500_000, 750_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 15_000_000, 30_000_000, 60_000_000,
];

/// Milliseconds, separated by commas, as microseconds.
pub fn buckets(value: Option<&str>) -> Result<Vec<u64>, ValueError> {
    let text = value.unwrap_or_default();
    let remedy = "write milliseconds that grow, with commas between them: 1,5,25,100,500";
    let wrong = |why: String| ValueError::new(why, remedy);
    let mut bounds = Vec::new();
    for item in text.split(',') {
        let ms = item.trim().parse::<f64>().ok().filter(|ms| (0.001..=MAX_MS).contains(ms));
        let bound = ms.ok_or_else(|| wrong(format!("\"{item}\" is no number of milliseconds")))?;
        let bound = (bound * 1000.0).round() as u64;
        if bounds.last().is_some_and(|&last| last >= bound) {
            return Err(wrong(format!("\"{item}\" is not more than the bound before it")));
        }
        bounds.push(bound);
    }
    if bounds.len() > MAX_BOUNDS {
        return Err(wrong(format!("{} bounds are more than {MAX_BOUNDS}", bounds.len())));
    }
    Ok(bounds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::registry;

    #[test]
    fn bounds_grow() {
        assert_eq!(buckets(Some("0.5, 1,250")).unwrap(), [500, 1000, 250_000]);
        for wrong in ["", "1,", "a", "-1", "0", "1,1", "5,1", "nan", "1e300", "inf"] {
            assert!(buckets(Some(wrong)).is_err(), "{wrong}");
        }
        let many = |count: usize| (1..=count).map(|ms| ms.to_string()).collect::<Vec<_>>().join(",");
        assert!(buckets(Some(&many(31))).is_ok() && buckets(Some(&many(32))).is_err());
    }

    #[test]
    fn the_default_is_what_the_row_says() {
        let row = registry::find("metrics-buckets").unwrap();
        assert_eq!(buckets(Some(row.default)).unwrap(), DEFAULT_BUCKETS);
    }
}

//! When a worker has served enough (`max-requests`), and how many may leave at once.

/// Requests after which worker `id` (from 1) asks to be replaced; `None`: never. Each worker gets a limit of its own, up
/// to a tenth above what was written, so that they do not all come due together; `seed` varies it from life to life.
pub fn limit(max_requests: u64, delta: u64, id: u32, seed: u64) -> Option<u64> {
    if max_requests == 0 {
        return None;
    }
    let spread = max_requests / 10;
    let jitter = if spread == 0 { 0 } else { mix(seed) % (spread + 1) };
    Some(max_requests + delta * u64::from(id.saturating_sub(1)) + jitter)
}

/// How many workers of `processes` may be on their way out at the same time.
pub fn at_once(processes: u32) -> usize {
    (processes as usize / 8).max(1)
}

/// The finalizer of splitmix64: spreads neighbouring seeds.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_never_even_with_a_delta() {
        assert_eq!(limit(0, 50, 3, 7), None);
    }

    #[test]
    fn limits_differ_and_stay_within_a_tenth() {
        let limits: Vec<_> = (0..50).map(|seed| limit(1000, 0, 1, seed).unwrap()).collect();
        assert!(limits.iter().all(|limit| (1000..=1100).contains(limit)));
        assert!(limits.iter().collect::<std::collections::HashSet<_>>().len() > 20);
    }

    #[test]
    fn the_delta_is_uwsgis() {
        assert_eq!(limit(5, 3, 4, 1), Some(14));
    }

    #[test]
    fn few_leave_at_once() {
        assert_eq!([1, 4, 8, 32].map(at_once), [1, 1, 1, 4]);
    }
}

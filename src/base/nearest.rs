//! The name that a misspelt word was probably meant to be.

/// Longest word worth comparing: every name is far shorter, and the work is bounded by it.
const MAX_LENGTH: usize = 64;

/// The candidate nearest to `word`, when one is near enough to be what was meant. Of equally near ones the
/// first wins, so callers list the likeliest first.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_LENGTH {
        return None;
    }
    let word = plain(word);
    let allowed = (word.len() / 3).clamp(1, 3);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let limit = best.map_or(allowed, |(d, _)| d.saturating_sub(1));
        let spelling = plain(candidate);
        if spelling.len().abs_diff(word.len()) > limit {
            continue;
        }
        let d = distance(&word, &spelling);
        if d <= limit && best.is_none_or(|(least, _)| d < least) {
            best = Some((d, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Case and `_` for `-` are no differences in meaning.
fn plain(word: &str) -> Vec<u8> {
    word.bytes().map(|b| if b == b'_' { b'-' } else { b.to_ascii_lowercase() }).collect()
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j - 1] + differs).min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_is_one_step() {
        assert_eq!(distance(b"harakiri", b"haraikri"), 1);
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"abc", b"abc"), 0);
    }

    #[test]
    fn underscores_and_case_count_nothing() {
        assert_eq!(nearest("Max_Requests", ["max-vars", "max-requests"]), Some("max-requests"));
    }

    #[test]
    fn far_words_have_no_neighbour() {
        assert_eq!(nearest("zebra", ["socket", "harakiri"]), None);
        assert_eq!(nearest(&"x".repeat(10_000), ["socket"]), None);
    }
}

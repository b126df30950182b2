//! Patterns of file names: `*`, `?` and `[…]`, which never stand for a slash or for a dot at the start of a name.

use std::path::{Path, PathBuf};

/// So many names are compared; a directory tree may be larger than anyone waits for.
const MAX_STEPS: usize = 1_000_000;

/// The paths that fit, sorted; `None` when there are more than `most` or the search takes too long. As glob(3) with
/// GLOB_NOMAGIC unset: a pattern that fits nothing gives nothing.
pub fn glob(pattern: &str, most: usize) -> Option<Vec<String>> {
    let absolute = pattern.starts_with('/');
    let mut found = vec![if absolute { PathBuf::from("/") } else { PathBuf::new() }];
    let mut steps = 0;
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for directory in found {
            if is_pattern(part) {
                entries(&directory, part, &mut next, &mut steps);
            } else if std::fs::symlink_metadata(directory.join(part)).is_ok() {
                next.push(directory.join(part));
            }
            if next.len() > most || steps > MAX_STEPS {
                return None;
            }
        }
        found = next;
    }
    let mut paths: Vec<String> = found.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    paths.retain(|path| !path.is_empty());
    paths.sort_unstable();
    Some(paths)
}

pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

fn entries(directory: &Path, pattern: &str, found: &mut Vec<PathBuf>, steps: &mut usize) {
    let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(entries) = std::fs::read_dir(here) else { return };
    for entry in entries.flatten() {
        *steps += 1;
        let name = entry.file_name();
        if *steps <= MAX_STEPS && fits(pattern, &name.to_string_lossy()) {
            found.push(directory.join(name));
        }
    }
}

/// Whether a name fits a pattern; linear in their product.
pub fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last star was, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p + 1, n));
            p += 1;
        } else if let Some(length) = one(&pattern[p.min(pattern.len())..], name[n]) {
            (p, n) = (p + length, n + 1);
        } else if let Some((after, taken)) = star {
            star = Some((after, taken + 1));
            (p, n) = (after, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// How much of the pattern the character takes, when it fits.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => match class(pattern, c) {
            Some((length, true)) => Some(length),
            Some(_) => None,
            None => (c == '[').then_some(1),
        },
        '\\' if pattern.len() > 1 => (pattern[1] == c).then_some(2),
        &literal => (literal == c).then_some(1),
    }
}

/// `[a-z]`, `[!a-z]`: its length, and whether the character is in it. `None`: it is not closed.
fn class(pattern: &[char], c: char) -> Option<(usize, bool)> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let start = 1 + usize::from(negated);
    let end = pattern.iter().skip(start + 1).position(|&p| p == ']')? + start + 1;
    let set = &pattern[start..end];
    let mut i = 0;
    let mut is_in = false;
    while i < set.len() {
        if set.get(i + 1) == Some(&'-') && i + 2 < set.len() {
            is_in |= (set[i]..=set[i + 2]).contains(&c);
            i += 3;
        } else {
            is_in |= set[i] == c;
            i += 1;
        }
    }
    Some((end + 1, is_in != negated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (pattern, name, expected) in [
            ("*.ini", "a.ini", true),
            ("*.ini", ".a.ini", false),
            (".*", ".a", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[ax", "[ax", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("\\*", "*", true),
            ("*", "", true),
            ("", "", true),
            ("a", "", false),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
        assert!(!fits(&"a*".repeat(50), &"a".repeat(49)));
    }

    #[test]
    fn paths() {
        assert_eq!(glob("/etc/pass?d", 9), Some(vec!["/etc/passwd".to_owned()]));
        assert_eq!(glob("/e*c/passwd", 9), Some(vec!["/etc/passwd".to_owned()]));
        assert_eq!(glob("/no/such/*", 9), Some(vec![]));
        assert_eq!(glob("/proc/self/*", 3), None);
    }
}

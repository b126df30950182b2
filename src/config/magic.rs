//! Magic variables of configuration files: `%n`, `%d`, `%k` …

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, absolute};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the variables say about one file.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// As it was named, without its section.
    given: String,
    absolute: String,
    section: String,
}

impl File {
    pub fn new(given: &str, path: &str, section: Option<&str>) -> File {
        let absolute = absolute(path).map_or_else(|_| path.to_owned(), |p| p.to_string_lossy().into_owned());
        File { given: given.to_owned(), absolute, section: section.unwrap_or_default().to_owned() }
    }

    /// Standard input, a command, a web page: only its name is new, as in uWSGI.
    pub fn of_url(given: &str, latest: Option<&File>) -> File {
        File { given: given.to_owned(), ..latest.cloned().unwrap_or_default() }
    }

    /// The directory with its trailing slash, and the base name.
    fn split(&self) -> (&str, &str) {
        self.absolute.split_at(self.absolute.rfind('/').map_or(0, |slash| slash + 1))
    }

    /// A variable that describes the file; the letter is lower case.
    fn variable(&self, letter: char) -> Option<String> {
        let (directory, name) = self.split();
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        Some(match letter {
            'o' => self.given.clone(),
            'p' => self.absolute.clone(),
            's' => name.to_owned(),
            'n' => stem.to_owned(),
            'd' => directory.to_owned(),
            'c' => directory.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned(),
            'e' => extension.to_owned(),
            'x' => self.section.clone(),
            'i' => fs::symlink_metadata(&self.absolute).map(|m| m.ino().to_string()).unwrap_or_default(),
            'j' => hash(self.absolute.as_bytes()),
            _ => return None,
        })
    }

    fn directory(&self, n: usize) -> String {
        self.split().0.split('/').filter(|part| !part.is_empty()).nth(n).unwrap_or_default().to_owned()
    }
}

/// `text` with its variables replaced, and the first letter after a `%` that is none: both are left out.
pub fn substitute(text: &str, file: &File, first: &File) -> (String, Option<char>) {
    let mut out = String::with_capacity(text.len());
    let mut lost = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            None => out.push('%'),
            Some(letter) => match variable(letter, file, first) {
                Some(value) => out.push_str(&value),
                None => lost = lost.or(Some(letter)),
            },
        }
    }
    (out, lost)
}

fn variable(letter: char, file: &File, first: &File) -> Option<String> {
    match letter {
        '%' => Some("%".to_owned()),
        '(' => Some("%(".to_owned()),
        '[' => Some("\u{1b}".to_owned()),
        '0'..='9' => Some(file.directory(letter.to_digit(10)? as usize)),
        'a'..='z' => machine(letter).or_else(|| file.variable(letter)),
        'A'..='Z' => machine(letter).or_else(|| first.variable(letter.to_ascii_lowercase())),
        _ => None,
    }
}

/// Variables that describe the machine, the process and the moment.
fn machine(letter: char) -> Option<String> {
    Some(match letter {
        'v' => std::env::current_dir().map(|d| d.to_string_lossy().into_owned()).unwrap_or_default(),
        'V' => env!("CARGO_PKG_VERSION").to_owned(),
        'k' => std::thread::available_parallelism().map_or(1, usize::from).to_string(),
        'h' => fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
        'H' => String::new(),
        't' => since_epoch().as_secs().to_string(),
        'T' => since_epoch().as_micros().to_string(),
        'u' => id("Uid:").unwrap_or_default(),
        'U' => name_of(id("Uid:"), "/etc/passwd"),
        'g' => id("Gid:").unwrap_or_default(),
        'G' => name_of(id("Gid:"), "/etc/group"),
        'b' => std::env::current_exe().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default(),
        _ => return None,
    })
}

fn since_epoch() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The real user or group id of this process.
fn id(field: &str) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next().map(str::to_owned)
}

/// The name of `id` in a file of the form `name:password:id:…`.
fn name_of(id: Option<String>, table: &str) -> String {
    let text = fs::read(Path::new(table)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let entry = |line: &str| -> Option<(String, String)> {
        let mut fields = line.split(':');
        Some((fields.next()?.to_owned(), fields.nth(1)?.to_owned()))
    };
    let found = text.lines().filter_map(entry).find(|(_, number)| Some(number) == id.as_ref());
    found.map(|(name, _)| name).unwrap_or_default()
}

/// Bernstein's hash with exclusive or, its bytes as they lie in memory on a little-endian machine.
fn hash(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(5381u32, |hash, &b| hash.wrapping_mul(33) ^ u32::from(b));
    hash.to_le_bytes().iter().map(|b| format!("{b:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> String {
        let file = File::new("www/my.site.ini", "/srv/www/my.site.ini", Some("prod"));
        let first = File::new("/etc/base.ini", "/etc/base.ini", None);
        substitute(text, &file, &first).0
    }

    #[test]
    fn of_the_file() {
        for (text, value) in [
            ("%o", "www/my.site.ini"),
            ("%p", "/srv/www/my.site.ini"),
            ("%s", "my.site.ini"),
            ("%n", "my.site"),
            ("%d", "/srv/www/"),
            ("%c", "www"),
            ("%e", "ini"),
            ("%x", "prod"),
            ("%0-%1-%2", "srv-www-"),
            ("%N%X", "base"),
            ("%P", "/etc/base.ini"),
            ("%D%S", "/etc/base.ini"),
        ] {
            assert_eq!(expand(text), value, "{text}");
        }
    }

    #[test]
    fn of_the_machine_and_of_signs() {
        assert!(expand("%k").parse::<usize>().unwrap() > 0);
        assert!(expand("%u").parse::<u32>().is_ok());
        assert!(expand("%t").parse::<u64>().unwrap() > 1_500_000_000);
        assert_eq!(expand("%%n %(name) %H%[ 5%"), "%n %(name) \u{1b} 5%");
        assert_eq!(expand("%y%!ö"), "ö");
    }

    #[test]
    fn a_hash_has_eight_digits() {
        let one = hash(b"a");
        assert_eq!(one, format!("{:08X}", ((5381u32 * 33) ^ 97).swap_bytes()));
    }
}
